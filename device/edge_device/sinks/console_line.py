"""Sink `console`: a line that says, once a second, how the run is going."""

from __future__ import annotations

from typing import Any

from edge_device.sinks.base import Sink, Stop
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.frames import Frame
from edge_sdk.results import Classification, Detection, Result

_SECOND_NS = 1_000_000_000


class ConsoleSink(Sink):
    """Reports the line as progress to `listen`, for example a terminal, in the sink's thread. Times
    are those of the results.
    """

    name = "the terminal"
    capacity = 1

    def __init__(self, listen: Listener = ignore, **options: Any) -> None:
        super().__init__(**options)
        self._listen = listen
        self._first_ns: int | None = None
        self._shown_ns = 0
        self._count = self._shown_count = 0
        self._seconds, self._fps, self._dropped = 0, 0.0, 0

    def _due(self, result: Result) -> bool:
        self._count += 1
        if self._first_ns is None:
            self._first_ns = self._shown_ns = result.result_ns
            self._shown_count = 1
        since = result.result_ns - self._shown_ns
        if since < _SECOND_NS:
            return False
        self._fps = (self._count - self._shown_count) * _SECOND_NS / since
        self._seconds = (result.result_ns - self._first_ns) // _SECOND_NS
        self._dropped = result.index + 1 - self._count
        self._shown_ns, self._shown_count = result.result_ns, self._count
        return True

    def _write(self, _frame: Frame, result: Result) -> None:
        line = status_line(result, self._seconds, self._fps, self._dropped)
        self._listen(Event("progress", message=line))


def status_line(result: Result, seconds: int, fps: float, dropped: int) -> str:
    """For example "12 s  29.9 fps  age 3.1 ms  dropped 0  open 0.98", or "2 found: cat 0.91"."""
    answer = _answer(result)
    return (
        f"{seconds} s  {fps:.1f} fps  age {result.frame_age_ms:.1f} ms  dropped {dropped}  {answer}"
    )


def _answer(result: Result) -> str:
    best: tuple[Classification | Detection, ...] = (*result.classes, *(result.detections or ()))
    named = [f"{one.label} {one.score:.2f}" for one in best]
    if result.detections is None:
        return named[0] if named else "unknown"
    return f"{len(named)} found: {named[0]}" if named else "nothing found"


def open_backend(_address: str, _stop: Stop, **options: Any) -> ConsoleSink:
    """A status line without a terminal: `edge-sdk run` opens its own, with one."""
    return ConsoleSink(**options)
