"""Sampler `fake`: strict and recording. A power meter with a made-up, constant power."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from edge_sdk.sampling.sampler import Sampler, Window

if TYPE_CHECKING:
    from edge_sdk.documents.run import EnergyMeasured


class FakeSampler(Sampler):
    """A meter that reads `watts` at each sample.

    calls: what was asked, in order ("start", "sample", "begin window", "finish", "drop", "reset").
    samples: taken in the repeats that count.
    fail_at, hang_at: calls that raise `error`, or wait until `released` is set.
    Its document is never valid and marked as replayed; None before a window that holds an answer.
    """

    key = "energy_measured"

    def __init__(
        self,
        watts: float = 5.0,
        *,
        every_s: float = 1.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
        fail_at: Iterable[str] = (),
        hang_at: Iterable[str] = (),
        error: Exception | None = None,
    ) -> None:
        super().__init__(every_s=every_s, now_ns=now_ns)
        self.watts = watts
        self.calls: list[str] = []
        self.samples = self._samples_before = 0
        self.fail_at, self.hang_at = set(fail_at), set(hang_at)
        self.error = error or OSError("the meter does not answer")
        self.released = threading.Event()

    def document(self) -> EnergyMeasured | None:
        """The energy of one answer, in J: watts x seconds / answers over all windows."""
        answers = sum(window.n for window in self.windows)
        if not answers:
            return None
        seconds = sum(window.seconds for window in self.windows)
        return {
            "class": "B",
            "replayed": True,
            "meter": "fake",
            "boundary": "none: made up",
            "joules_per_inference": self.watts * seconds / answers,
            "uncertainty": None,
            "net_joules_per_inference": None,
            "net_uncertainty": None,
            "mean_watts": self.watts,
            "samples": self.samples,
            "trace_sha256": None,
            "valid": False,
            "invalid_because": "the meter is made up",
        }

    def _start(self) -> None:
        self._samples_before = self.samples
        self._do("start")

    def _begin_window(self, start_ns: int) -> None:
        self._do("begin window")

    def _finish(self, window: Window) -> None:
        self._do("finish")

    def _drop_repeat(self) -> None:
        self.samples = self._samples_before
        self._do("drop")

    def _sample(self, at_ns: int) -> None:
        self._do("sample")
        self.samples += 1

    def _reset(self) -> None:
        self.samples = 0
        self._do("reset")

    def _do(self, call: str) -> None:
        self.calls.append(call)
        if call in self.hang_at:
            self.released.wait()
        if call in self.fail_at:
            raise self.error
