"""Sink `fake`: strict, recording; it fails on request."""

from __future__ import annotations

from typing import Any

from edge_device.sinks.base import Sink, Stop
from edge_sdk.frames import Frame
from edge_sdk.results import Result


class FakeSink(Sink):
    """answers: what it was given, in order, as (frame, result). calls: the calls it received
    ("write", "close").

    fail_at: the number of the answer, from 0, at which `error` is raised.
    Strict: a result that does not come after the one before it is an error. By default it is
    required and writes in the caller's thread.
    """

    name = "a fake sink"
    required = True
    capacity = 0

    def __init__(
        self, *, fail_at: int | None = None, error: Exception | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.answers: list[tuple[Frame, Result]] = []
        self.calls: list[str] = []
        self._fail_at = fail_at
        self._error = error or OSError("failed on request")

    @property
    def results(self) -> list[Result]:
        """Of the answers."""
        return [result for _, result in self.answers]

    def _write(self, frame: Frame, result: Result) -> None:
        self.calls.append("write")
        if len(self.calls) - 1 == self._fail_at:
            raise self._error
        if self.answers and result.index <= self.answers[-1][1].index:
            raise ValueError(f"result {result.index} after {self.answers[-1][1].index}")
        self.answers.append((frame, result))

    def _close(self) -> None:
        self.calls.append("close")


def open_backend(_address: str, _stop: Stop, **options: Any) -> FakeSink:
    """A sink that remembers."""
    return FakeSink(**options)
