"""Sampler `fake`: strict and recording. A power meter with a made-up, constant power."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_sdk.sampling.sampler import Sampler, Window

if TYPE_CHECKING:
    from edge_sdk.documents.run import EnergyMeasured


class FakeSampler(Sampler):
    """A meter that reads `watts` at each sample.

    calls: what was asked, in order ("start", "sample", "begin window", "finish",
    "reset"). Its document is
    never valid and marked as replayed; None before a window that holds an answer.
    """

    key = "energy_measured"

    def __init__(
        self,
        watts: float = 5.0,
        *,
        every_s: float = 1.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(every_s=every_s, now_ns=now_ns)
        self.watts = watts
        self.calls: list[str] = []

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
            "samples": self.calls.count("sample"),
            "trace_sha256": None,
            "valid": False,
            "invalid_because": "the meter is made up",
        }

    def _start(self) -> None:
        self.calls.append("start")

    def _begin_window(self, start_ns: int) -> None:
        self.calls.append("begin window")

    def _finish(self, window: Window) -> None:
        self.calls.append("finish")

    def _sample(self, at_ns: int) -> None:
        self.calls.append("sample")

    def _reset(self) -> None:
        self.calls.append("reset")
