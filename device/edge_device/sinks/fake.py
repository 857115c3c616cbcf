"""Sink `fake`: strict, recording; it fails when it was told to."""

from __future__ import annotations

from edge_device.sinks import Sink
from edge_sdk.results import Result


class FakeSink(Sink):
    """results: what it was given, in order. calls: what was asked of it ("write", "close").

    fail_at: the number of the result, from 0, at which `error` is raised.
    Strict: a result that does not come after the one before it is an error.
    """

    name = "a fake sink"

    def __init__(self, *, fail_at: int | None = None, error: Exception | None = None) -> None:
        self.results: list[Result] = []
        self.calls: list[str] = []
        self._fail_at = fail_at
        self._error = error or OSError("told to fail")

    def _write(self, result: Result) -> None:
        self.calls.append("write")
        if len(self.results) == self._fail_at:
            raise self._error
        if self.results and result.index <= self.results[-1].index:
            raise ValueError(f"result {result.index} after {self.results[-1].index}")
        self.results.append(result)

    def _close(self) -> None:
        self.calls.append("close")


def open_backend(_address: str) -> FakeSink:
    """A sink that remembers."""
    return FakeSink()
