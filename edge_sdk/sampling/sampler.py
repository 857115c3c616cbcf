"""The port of samplers, which watch the machine while a model answers."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from edge_sdk.errors import ConfigError, EdgeError, SamplerError
from edge_sdk.sampling.worker import Call, SamplingThread


class Window(NamedTuple):
    """The time that a report covers: from the end of the warm-up to the end of the run.

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

    Whatever a backend raises, and a call that hangs, ends no run: a sample that fails is counted,
    any other failure is one of the `faults`. Only `start` raises SamplerError.

    key: of the run and bench documents, that `document` is the value of.
    optional: nobody asked for it; where it cannot be started, a run goes on without it.
    every_s: between two samples. now_ns: a monotonic clock, in ns.
    running: between `start` and `finish`.
    windows: one for each repeat that counts. A later one that ended within its warm-up does not.
    gaps: intervals between samples of more than three times every_s.
    failed: samples that could not be read.
    hung: calls of the backend that did not return within limit_s.
    faults: what else went wrong, in words.
    cost_ns: processor time of the samples.
    """

    key: str
    optional = False
    samples_warmup = True
    """False: nothing is sampled before `begin_window`."""
    limit_s = 6.0
    """`start` and `finish` wait so long for the backend; longer than any of its reads may take."""

    def __init__(
        self, *, every_s: float = 1.0, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        if not every_s > 0:
            raise ConfigError(f"a sampler of every {every_s:g} s", fix="use more than 0 s")
        self.running = False
        self._every_s, self._now_ns = every_s, now_ns
        self._in_window = False
        self._last_ns: int | None = None
        self._lock = threading.Lock()
        self._thread: SamplingThread | None = None
        self._forget()

    def start(self) -> None:
        """Begin a repeat. Raises SamplerError where the backend fails or hangs, and is not running
        then.
        """
        self._require(not self.running, "started twice")
        if self._thread is not None and self._thread.alive:
            raise self._error("still hangs in a call of the repeat before")
        self._in_window, self._last_ns = False, None
        self._thread = SamplingThread(self.sample, self._every_s, f"edge-{self.key}")
        if because := self._wait(self._thread.submit(self._begin_repeat)):
            self._thread.close(0.0)
            raise because if isinstance(because, EdgeError) else self._error(str(because))
        self.running = True

    def begin_window(self, start_ns: int) -> None:
        """The warm-up is over: answers count from `start_ns` on. Does not wait for the backend."""
        self._require(
            self.running and not self._in_window, "told of a window outside a run, or twice"
        )
        assert self._thread is not None
        self._in_window = True
        self._thread.submit(lambda: self._open_window(start_ns))

    def finish(self, window: Window) -> None:
        """The repeat is over: take the last sample and end the thread."""
        self._require(self.running, "finished before its start")
        assert self._thread is not None
        self.running = False
        counts = self._in_window or not self.windows
        if counts:
            self.windows.append(window)
        if because := self._wait(self._thread.submit(lambda: self._end_repeat(window, counts))):
            self.faults.append(str(because))
        self._thread.close(0.0 if because else self.limit_s)

    def reset(self) -> None:
        """Forget all repeats so far: what they measured does not count."""
        self._require(not self.running, "reset while it runs")
        self._forget()
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
            except Exception:
                self.failed += 1
            self.cost_ns += time.thread_time_ns() - began_ns

    @abstractmethod
    def document(self) -> Any:
        """The value of `key`, of everything sampled so far; a new one at each call."""

    def reasons(self) -> Sequence[Reason]:
        """Why the figures of the whole report may not be quoted; () where they may."""
        return tuple(Reason("sampler-failed", f"{self.key}: {fault}") for fault in self.faults)

    def _start(self) -> None:  # noqa: B027
        """A repeat begins. Where this fails it leaves nothing open: `_finish` is not called."""

    def _reset(self) -> None:  # noqa: B027
        """Forget everything sampled so far."""

    def _begin_window(self, start_ns: int) -> None:  # noqa: B027
        """Called once in each repeat whose warm-up ends."""

    def _finish(self, window: Window) -> None:  # noqa: B027
        """Called once for each repeat, after its last sample; closes what `_start` opened."""

    def _drop_repeat(self) -> None:  # noqa: B027
        """Called after `_finish` of a repeat that does not count: forget what it sampled."""

    @abstractmethod
    def _sample(self, at_ns: int) -> None:
        """Take a sample. May raise anything. Never called by two threads at once."""

    def _begin_repeat(self) -> None:
        self._start()
        if self.samples_warmup:
            self._begin_sampling()

    def _open_window(self, start_ns: int) -> None:
        try:
            self._begin_window(start_ns)
        except Exception as error:
            self.faults.append(_words(error))
        if not self.samples_warmup:
            self._begin_sampling()

    def _begin_sampling(self) -> None:
        assert self._thread is not None
        self.sample()
        self._thread.begin_polling()

    def _end_repeat(self, window: Window, counts: bool) -> None:
        if self.samples_warmup or self._in_window:
            self.sample()
        self._finish(window)
        if not counts:
            self._drop_repeat()

    def _wait(self, call: Call) -> EdgeError | str | None:
        """The error of a call of the backend, in words or as its own; None where it was made."""
        if not call.wait(self.limit_s):
            call.cancel()
            self.hung += 1
            return f"a reading did not return within {self.limit_s:g} s"
        if call.error is None or isinstance(call.error, EdgeError):
            return call.error
        if not isinstance(call.error, Exception):
            raise call.error
        return _words(call.error)

    def _forget(self) -> None:
        self.windows: list[Window] = []
        self.faults: list[str] = []
        self.gaps = self.failed = self.hung = self.cost_ns = 0

    def _error(self, because: str) -> SamplerError:
        return SamplerError(
            f"the sampler {self.key} cannot be started: {because}",
            fix="check the connection of its sensor or meter, or measure without it",
        )

    def _require(self, kept: bool, broken: str) -> None:
        if not kept:
            raise ConfigError(
                f"the sampler {self.key} was {broken}",
                fix="call start, begin_window and finish once each, in this order",
            )


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
