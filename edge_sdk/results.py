"""What a model answers about a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Classification:
    """One class with its score (a probability where the model ends in softmax)."""

    label: str
    index: int
    score: float


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

    classes: best first. sensor_ns, result_ns: time.monotonic_ns() when the sensor saw the frame
    and when the answer was there. source: the frame's path, or "".
    """

    classes: tuple[Classification, ...]
    index: int
    sensor_ns: int
    result_ns: int
    stages: StageTimes
    source: str = ""

    @property
    def frame_age_ms(self) -> float:
        """Result time minus sensor time, in ms."""
        return (self.result_ns - self.sensor_ns) / 1e6

    def as_dict(self) -> dict[str, Any]:
        """The JSON form that sinks write: one line a result."""
        return {
            "index": self.index,
            "source": self.source,
            "classes": [
                {"label": c.label, "index": c.index, "score": c.score} for c in self.classes
            ],
            "frame_age_ms": self.frame_age_ms,
            "latency_ms": self.stages.latency_ns / 1e6,
        }
