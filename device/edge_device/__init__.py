"""Edge SDK on the device: runs a model on camera frames and reports latency and dropped frames.

    with Runtime("doors-1.0.0.edge") as runtime, open_camera("folder:images?fps=30") as camera:
        for result in runtime.run(camera):
            print(result.classes[0].label, result.frame_age_ms)
    print(runtime.report().latency.p99)

Public names load on first use; importing the package imports neither numpy nor OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_device.cameras import Camera, open_camera
    from edge_device.metrics.run_report import RunReport
    from edge_device.run.runtime import Runtime
    from edge_device.run.sequences import SequenceRecognizer
    from edge_device.sinks import Sink, open_sink

__all__ = [
    "Camera",
    "RunReport",
    "Runtime",
    "SequenceRecognizer",
    "Sink",
    "open_camera",
    "open_sink",
]

_HOMES = {
    "Camera": "cameras",
    "RunReport": "metrics.run_report",
    "Runtime": "run.runtime",
    "SequenceRecognizer": "run.sequences",
    "Sink": "sinks",
    "open_camera": "cameras",
    "open_sink": "sinks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
