"""Results: the answers of a model about a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge_sdk.documents.result import DetectedObject, ResultLine


@dataclass(frozen=True)
class Classification:
    """One class with its score (a probability where the model ends in softmax)."""

    label: str
    index: int
    score: float


class BBox(NamedTuple):
    """A box in pixels of the frame that was answered (Frame.shown), x to the right, y down: x0, y0
    its left upper corner, x1, y1 the right lower one, within 0..width and 0..height.
    """

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Detection:
    """A detected object: its class, score and box. track: its ID, the same in every frame; None
    without tracking.
    """

    label: str
    index: int
    score: float
    box: BBox
    track: int | None = None

    def as_dict(self) -> DetectedObject:
        """The JSON form; `track` only where there is one."""
        fields: DetectedObject = {
            "label": self.label,
            "index": self.index,
            "score": self.score,
            "box": list(self.box),
        }
        if self.track is not None:
            fields["track"] = self.track
        return fields


@dataclass(frozen=True)
class StageTimes:
    """Durations in ns of the stages that one frame went through."""

    capture: int = 0
    preprocess: int = 0
    invoke: int = 0
    postprocess: int = 0

    @property
    def latency_ns(self) -> int:
        """preprocess + invoke + postprocess."""
        return self.preprocess + self.invoke + self.postprocess


@dataclass(frozen=True)
class Result:
    """The answer about one frame.

    classes: best first, those of at least the least score that was asked for. detections: likewise,
    for task "detect", which has no classes; None for the others.
    sensor_ns, result_ns: time.monotonic_ns() when the sensor saw the frame and when the answer was
    there. source: the frame's path, or "". late: the frame was older than the deadline by then.
    """

    classes: tuple[Classification, ...]
    index: int
    sensor_ns: int
    result_ns: int
    stages: StageTimes
    source: str = ""
    detections: tuple[Detection, ...] | None = None
    late: bool = False

    @property
    def unknown(self) -> bool:
        """True where no class reached the minimum score."""
        return self.detections is None and not self.classes

    @property
    def frame_age_ms(self) -> float:
        """Result time minus sensor time, in ms."""
        return (self.result_ns - self.sensor_ns) / 1e6

    def as_dict(self) -> ResultLine:
        """The JSON form that sinks write: one line a result."""
        return {
            "index": self.index,
            "source": self.source,
            "classes": [
                {"label": c.label, "index": c.index, "score": c.score} for c in self.classes
            ],
            "detections": [found.as_dict() for found in self.detections or ()],
            "unknown": self.unknown,
            "late": self.late,
            "frame_age_ms": self.frame_age_ms,
            "latency_ms": self.stages.latency_ns / 1e6,
        }
