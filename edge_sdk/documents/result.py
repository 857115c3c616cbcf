"""One result of a stream: a line that the jsonl sink writes. It has no `schema`."""

from typing import NotRequired, TypedDict


class ClassScore(TypedDict):
    """One class."""

    label: str
    index: int  # from 0, in the order of the labels
    score: float  # 0..1 where the model ends in probabilities


class DetectedObject(TypedDict):
    """One object."""

    label: str
    index: int  # of the label, from 0
    score: float  # 0..1
    box: list[float]  # [x0, y0, x1, y1] in pixels of the image
    track: NotRequired[int]  # the object's ID across frames; only with tracking


class ResultLine(TypedDict):
    """The answer about one frame."""

    index: int  # of the frame, from 0
    source: str  # the frame's path; "" for a camera
    classes: list[ClassScore]  # best first
    detections: list[DetectedObject]  # best first; empty for a classifier
    unknown: bool  # no class reached the minimum score
    late: bool  # the frame was older than the deadline
    frame_age_ms: float
    latency_ms: float  # preprocess + invoke + postprocess
