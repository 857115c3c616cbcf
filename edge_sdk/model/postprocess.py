"""Postprocessing of a model's outputs, as the manifest describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge_sdk.configuration import limits
from edge_sdk.model.anchors import Anchors

Activation = Literal["none", "softmax", "sigmoid"]
"""The function from a model's outputs to scores."""

Role = Literal["scores", "boxes", "classes", "count", "raw_boxes", "raw_scores", "state"]
"""The meaning of an output."""

Decode = Literal["none", "ssd", "blazeface"]
"""Who makes boxes of what a detector's network answers: the model itself, or edge_sdk.tasks."""


@dataclass(frozen=True)
class Postprocess:
    """Postprocessing of the outputs. All but the first two are for task "detect" only:

    decode: "none" where the model does it itself (TFLite_Detection_PostProcess), else how boxes are
    made of raw_boxes, raw_scores and `anchors`. iou: the overlap above which two boxes are one.
    label_offset: the class that the first label names; 1 where class 0 is the background. classes:
    how many the model tells apart without the background, where no output's shape says so.
    min_scores: {label: least score}, for labels that `min_score` does not hold for.
    """

    activation: Activation = "none"
    min_score: float = 0.0
    decode: Decode = "none"
    anchors: Anchors | None = None
    iou: float = field(default=0.5, metadata=limits(gt=0, le=1))
    label_offset: int = field(default=0, metadata=limits(ge=0, le=1))
    classes: int | None = field(default=None, metadata=limits(ge=1))
    min_scores: dict[str, float] = field(default_factory=dict, hash=False)


def roles_of(decode: Decode) -> tuple[Role, ...]:
    """The outputs that a detector must have, in the usual order."""
    if decode == "none":
        return ("boxes", "classes", "scores", "count")
    return ("raw_boxes", "raw_scores")
