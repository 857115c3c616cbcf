"""edge-sdk/predict/1: answers for images."""

from typing import Literal, TypedDict

from edge_sdk.documents.common import BundleIdentity, Engine, GoldenOutcome
from edge_sdk.documents.result import ClassScore, DetectedObject


class ImageAnswer(TypedDict):
    """The answer for one image."""

    path: str
    classes: list[ClassScore]  # best first
    detections: list[DetectedObject]  # best first; empty for a classifier
    ms: float  # preprocess + invoke + postprocess


class Predict(TypedDict):
    """Printed by `predict`."""

    schema: Literal["edge-sdk/predict/1"]
    bundle: BundleIdentity
    engine: Engine
    golden: GoldenOutcome | None
    results: list[ImageAnswer]
    unreadable: list[str]  # images of a folder that were left out, one line each
