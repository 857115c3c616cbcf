"""The warm-up: the first answers of a run, which no figure counts, while caches, clocks and the
interpreter's own threads settle.

A camera run leaves out its first second and no more: its images differ and its camera sets the
pace, so that latency may never be steady, and the frames of a short run are worth keeping. A
benchmark answers about the same frames again and again, and goes on until that is steady.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from edge_sdk.results import Result
from edge_sdk.statistics import median

STEADY_SHARE = 0.10
"""Medians of latency that differ by less are the same: those of a steady run's two halves, and of
the last two windows of a warm-up.
"""

_SECOND_NS = 1_000_000_000


class Warmup(ABC):
    """Asked with each answer until it is over. rule: what is left out, in words."""

    rule: str

    @abstractmethod
    def over(self, result: Result) -> bool:
        """True if `result` is the last one that is left out."""


class FirstSecond(Warmup):
    """Over a second after the first answer."""

    rule = "the first second of answers is excluded"

    def __init__(self) -> None:
        self._first_ns: int | None = None

    def over(self, result: Result) -> bool:
        """True once a second has passed."""
        if self._first_ns is None:
            self._first_ns = result.result_ns
        return result.result_ns - self._first_ns >= _SECOND_NS


class UntilSteady(Warmup):
    """Over when two windows in a row have the same median latency, or after LIMIT_S.

    A window lasts half a second, longer where that is fewer than MIN answers. The latency is that
    of a frame by itself: what arrives when does not show in it.
    """

    LIMIT_S = 10.0
    MIN = 3
    _WINDOW_NS = _SECOND_NS // 2

    def __init__(self) -> None:
        self.steady = False
        self._first_ns = self._window_ns = -1
        self._latencies: list[int] = []
        self._before = 0.0

    @property
    def rule(self) -> str:  # type: ignore[override]
        """The answers left out, in words."""
        words = (
            "answers are excluded until the medians of two half-seconds differ by at most "
            f"{STEADY_SHARE:.0%}".replace("%", " %")
        )
        late = f"{words}; they still differed by more after {self.LIMIT_S:g} s"
        return words if self.steady else late

    def over(self, result: Result) -> bool:
        """True once it is steady, or LIMIT_S have passed."""
        now_ns = result.result_ns
        if self._first_ns < 0:
            self._first_ns = self._window_ns = now_ns
        self._latencies.append(result.stages.latency_ns)
        full = now_ns - self._window_ns >= self._WINDOW_NS and len(self._latencies) >= self.MIN
        if full:
            newest = median(self._latencies)
            self.steady = same(newest, self._before)
            self._before, self._latencies, self._window_ns = newest, [], now_ns
        return self.steady or now_ns - self._first_ns >= self.LIMIT_S * _SECOND_NS


def same(one: float, other: float) -> bool:
    """True if two medians differ by at most STEADY_SHARE of the smaller."""
    return abs(one - other) <= STEADY_SHARE * min(one, other)
