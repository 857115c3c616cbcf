"""Edge SDK: what the host and the device share.

Public names load on first use; importing the package imports neither numpy nor OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_sdk.bundle.reading import Bundle
    from edge_sdk.engines import Engine, open_engine
    from edge_sdk.errors import EdgeError
    from edge_sdk.evaluation.classification import evaluate
    from edge_sdk.evaluation.detection import DetectionEvaluation, evaluate_detections
    from edge_sdk.evaluation.result import Evaluation
    from edge_sdk.frames import Frame
    from edge_sdk.images.image_files import read_image
    from edge_sdk.inference.recognizer import Recognizer
    from edge_sdk.results import BBox, Classification, Detection, Result

__all__ = [
    "BBox",
    "Bundle",
    "Classification",
    "Detection",
    "DetectionEvaluation",
    "EdgeError",
    "Engine",
    "Evaluation",
    "Frame",
    "Recognizer",
    "Result",
    "evaluate",
    "evaluate_detections",
    "open_engine",
    "read_image",
]

_HOMES = {
    "BBox": "results",
    "Bundle": "bundle.reading",
    "Classification": "results",
    "Detection": "results",
    "DetectionEvaluation": "evaluation.detection",
    "EdgeError": "errors",
    "Engine": "engines",
    "Evaluation": "evaluation.result",
    "Frame": "frames",
    "Recognizer": "inference.recognizer",
    "Result": "results",
    "evaluate": "evaluation.classification",
    "evaluate_detections": "evaluation.detection",
    "open_engine": "engines",
    "read_image": "images.image_files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
