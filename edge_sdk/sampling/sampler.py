"""The port of samplers: what watches the machine while a model answers."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from edge_sdk.errors import ConfigError

_JOIN_S = 6.0
"""Longer than any read of a backend may take."""


class Window(NamedTuple):
    """What a report measures: from the end of the warm-up to the end of the run.

    start_ns, end_ns: on time.monotonic_ns(). n: answers in that time.
    """

    start_ns: int
    end_ns: int
    n: int

    @property
    def seconds(self) -> float:
        """Its length in s."""
        return (self.end_ns - self.start_ns) / 1e9


class Reason(NamedTuple):
    """One reason why figures may not be quoted: its code, and in words."""

    code: str
    text: str


class Sampler(ABC):
    """Samples in a thread of its own between `start` and `finish`.

    `start`, `begin_window` when the warm-up is over, `finish`: once for each repeat, in this order.
    `begin_window` may be left out: a run may end within its warm-up. Anything else is a
    ConfigError. `document` and `reasons` may be asked at any time.

    key: of the run and bench documents, that `document` is the value of.
    every_s: between two samples. now_ns: a monotonic clock, in ns.
    windows: one for each repeat that is finished. One that ended within its warm-up counts only
    where there is no other.
    gaps: intervals between samples of more than three times every_s.
    failed: samples that could not be read (OSError or ValueError of the backend).
    cost_ns: processor time of the samples.
    """

    key: str
    samples_warmup = True
    """False: nothing is sampled before `begin_window`."""

    def __init__(
        self, *, every_s: float = 1.0, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        if not every_s > 0:
            raise ConfigError(f"a sampler of every {every_s:g} s", fix="use more than 0 s")
        self.windows: list[Window] = []
        self.gaps = self.failed = self.cost_ns = 0
        self._every_s, self._now_ns = every_s, now_ns
        self._last_ns: int | None = None
        self._running = False
        self._in_window = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin a repeat."""
        self._require(not self._running, "started twice")
        self._running, self._in_window, self._last_ns = True, False, None
        self._start()
        if self.samples_warmup:
            self._begin_sampling()

    def begin_window(self, start_ns: int) -> None:
        """The warm-up is over: answers count from `start_ns` on."""
        self._require(
            self._running and not self._in_window, "told of a window outside a run, or twice"
        )
        self._in_window = True
        self._begin_window(start_ns)
        if not self.samples_warmup:
            self._begin_sampling()

    def finish(self, window: Window) -> None:
        """The repeat is over: take the last sample and end the thread."""
        self._require(self._running, "finished before its start")
        self._running = False
        self._over.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self.sample()
            self._thread = None
        if self._in_window or not self.windows:
            self.windows.append(window)
        self._finish(window)

    def reset(self) -> None:
        """Forget all repeats so far: what they measured does not count."""
        self._require(not self._running, "reset while it runs")
        self.windows = []
        self.gaps = self.failed = self.cost_ns = 0
        self._reset()

    def sample(self) -> None:
        """Take one sample now; what cannot be read is counted as failed."""
        with self._lock:
            at_ns, began_ns = self._now_ns(), time.thread_time_ns()
            if self._last_ns is not None:
                self.gaps += at_ns - self._last_ns > 3e9 * self._every_s
            self._last_ns = at_ns
            try:
                self._sample(at_ns)
            except (OSError, ValueError):
                self.failed += 1
            self.cost_ns += time.thread_time_ns() - began_ns

    @abstractmethod
    def document(self) -> Any:
        """The value of `key`, of everything sampled so far; a new one at each call."""

    def reasons(self) -> Sequence[Reason]:
        """Why the figures of the whole report may not be quoted; () where they may."""
        return ()

    def _start(self) -> None:  # noqa: B027
        """A repeat begins: forget the state of the one before."""

    def _reset(self) -> None:  # noqa: B027
        """Forget everything sampled so far."""

    def _begin_window(self, start_ns: int) -> None:  # noqa: B027
        """Called once in each repeat whose warm-up ends."""

    def _finish(self, window: Window) -> None:  # noqa: B027
        """Called once for each repeat, after its last sample."""

    @abstractmethod
    def _sample(self, at_ns: int) -> None:
        """Take a sample. May raise OSError or ValueError. Never called by two threads at once."""

    def _begin_sampling(self) -> None:
        self._over.clear()
        self.sample()
        self._thread = threading.Thread(target=self._poll, name=f"edge-{self.key}", daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        while not self._over.wait(self._every_s):
            self.sample()

    def _require(self, kept: bool, broken: str) -> None:
        if not kept:
            raise ConfigError(
                f"the sampler {self.key} was {broken}",
                fix="call start, begin_window and finish once each, in this order",
            )
