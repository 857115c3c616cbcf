"""LoadGen's four scenarios on a bundle: engines opened, loads made, latencies counted."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_device.bench.loads import (
    Now,
    Stop,
    Workers,
    from_scheduled,
    multi_stream,
    of_query,
    poisson,
    server,
    single_stream,
)
from edge_device.bench.rate import (
    MIN_QUERIES,
    Trial,
    attempt,
    find_rate,
    may_be_late,
    queries_of,
    search_seconds,
)
from edge_device.metrics.mlperf import PERCENTILE, SAMPLES_PER_QUERY, latency_estimate
from edge_device.metrics.recorder import Latency, RunStatistics, own_latency
from edge_device.metrics.subject import Subject
from edge_device.metrics.warmup import UntilSteady
from edge_device.run.runtime import open_subject
from edge_sdk.errors import ConfigError
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.frames import Frame
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Result

if TYPE_CHECKING:
    from edge_sdk.documents.run import Load


@dataclass(frozen=True)
class Options:
    """The options of a scenario. bound_ms: of the latency of server; None takes the bundle's
    budget.latency_ms. streams: samples of a multi-stream query. listen: is told of progress.
    """

    bundle: str | Path
    engine: str
    threads: int
    frames: Sequence[Frame]
    bound_ms: float | None = None
    streams: int = SAMPLES_PER_QUERY
    stop: Stop = lambda: False
    listen: Listener = ignore
    prove: bool = False
    now_ns: Now = time.monotonic_ns
    sleep: Callable[[float], object] = time.sleep


class Scenario(ABC):
    """A load pattern: `open` first; then `results`, once.

    workers: recognizers that share the load. streams: samples of a query. bound_ms: latency above
    which an answer is late; 0 is none. latency: what is counted as latency.
    """

    name: str
    workers = 1
    streams = 1
    bound_ms = 0.0
    metric: str

    def __init__(self, options: Options) -> None:
        self.options = options
        self.latency: Latency = own_latency

    def open(self, stack: ExitStack) -> Subject:
        """A fresh engine, closed with `stack`. Raises as Runtime does."""
        self.recognizer, subject = self._recognizer(stack, self.options.threads)
        return subject

    @abstractmethod
    def results(self, stack: ExitStack, repeat: int) -> Iterator[Result]:
        """Answers without an end, begun when they are asked for."""

    def accept(self, statistics: RunStatistics) -> bool:
        """True if the measurement stands; False to measure once more."""
        return True

    def add_detail(self, load: Load, statistics: RunStatistics) -> None:  # noqa: B027
        """Add the scenario's own key to the document, where it has one."""

    def value(self, statistics: RunStatistics, fps: float | None) -> float | None:
        """The scenario's result, as LoadGen has it; `metric` is what it means."""
        return latency_estimate(statistics.latency, PERCENTILE[self.name])

    def _recognizer(self, stack: ExitStack, threads: int) -> tuple[Recognizer, Subject]:
        options = self.options
        recognizer, subject = open_subject(
            options.bundle,
            options.engine,
            threads=threads,
            prove=options.prove,
            now_ns=options.now_ns,
        )
        stack.callback(recognizer.close)
        return recognizer, subject


class SingleStream(Scenario):
    """The result is the 90th percentile of latency."""

    name = "single-stream"
    metric = "p90 latency, ms"

    def results(self, stack: ExitStack, repeat: int) -> Iterator[Result]:
        """One frame after another."""
        return single_stream(self.recognizer, self.options.frames)


class MultiStream(Scenario):
    """The result is the 99th percentile of a query's latency."""

    name = "multi-stream"
    metric = "p99 latency of a query, ms"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.streams = options.streams
        self.latency = of_query(self.streams)

    def results(self, stack: ExitStack, repeat: int) -> Iterator[Result]:
        """One query after another."""
        options = self.options
        return multi_stream(self.recognizer, options.frames, self.streams, now_ns=options.now_ns)

    def add_detail(self, load: Load, statistics: RunStatistics) -> None:
        """Samples per query, and how many queries were counted."""
        queries = statistics.latency.count
        load["multi_stream"] = {"samples_per_query": self.streams, "queries": queries}


class Offline(Scenario):
    """The result is the throughput, in samples per second."""

    name = "offline"
    metric = "samples a second"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.workers = options.threads

    def open(self, stack: ExitStack) -> Subject:
        """As many engines as threads, each with one."""
        opened = [self._recognizer(stack, 1) for _ in range(self.workers)]
        self._recognizers = [recognizer for recognizer, _ in opened]
        return opened[-1][1]

    def results(self, stack: ExitStack, repeat: int) -> Iterator[Result]:
        """In the order they are ready."""
        return stack.enter_context(Workers(self._recognizers, self.options.frames))

    def value(self, statistics: RunStatistics, fps: float | None) -> float | None:
        """Frames a second."""
        return fps


class Server(Scenario):
    """The result is the highest rate of arrivals at which 99 % of latencies are within the bound.

    It is looked for with the first engine, after as many answers one after another as tell that
    there can be such a rate, and for `search_seconds` at most: where something else keeps the
    machine busy, answers are late at every rate, and each lower one takes longer to try. The
    measurement that is reported is made at the rate found; a trial is
    short, so where the bound is not held for as long as that, it is repeated a little slower.
    """

    SLOWER = 0.95
    MAX_TIMES = 6
    """Measurements of the rate found at most, each SLOWER than the one before."""

    name = "server"
    metric = "queries a second within the latency bound"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.latency = from_scheduled
        self._rate: float | None = None
        self._alone: Trial | None = None
        self._trials: list[Trial] = []
        self._search_until_ns = math.inf
        self._measured = 0

    def open(self, stack: ExitStack) -> Subject:
        """With the first engine, also find the rate. Raises ConfigError where none holds the
        bound, or there is no bound.
        """
        subject = super().open(stack)
        if self._alone is None:
            self.bound_ms = self._bound(subject)
            self._find()
        return subject

    def results(self, stack: ExitStack, repeat: int) -> Iterator[Result]:
        """As they arrive, at the rate found; each repeat has arrivals of its own."""
        return self._at(self._rate or 1.0, seed=repeat + 1)

    def accept(self, statistics: RunStatistics) -> bool:
        """True if the bound was held, or the last try is over; otherwise lowers the rate."""
        self._measured += 1
        if _held(statistics) is not False or self._measured >= self.MAX_TIMES:
            return True
        assert self._rate is not None
        p99 = statistics.latency.percentiles(["p99"])["p99"]
        self._trials.append(Trial(self._rate, statistics.n, statistics.misses, p99, False))
        self._rate *= self.SLOWER
        return False

    def add_detail(self, load: Load, statistics: RunStatistics) -> None:
        """The bound, the rate found, what was tried, and whether the rate held when measured."""
        load["server"] = {
            "latency_bound_ms": self.bound_ms,
            "rate": self._rate,
            "held": _held(statistics),
            "alone": self._alone.as_dict() if self._alone else None,
            "trials": [trial.as_dict() for trial in self._trials],
        }

    def value(self, statistics: RunStatistics, fps: float | None) -> float | None:
        """The rate, where it held."""
        return self._rate if _held(statistics) else None

    def _bound(self, subject: Subject) -> float:
        bound = self.options.bound_ms or subject.manifest.budget.latency_ms
        if bound is None:
            raise ConfigError(
                "server needs a latency limit, and the bundle's budget has none",
                fix="give one in ms, for example --latency-bound 50",
            )
        return bound

    def _find(self) -> None:
        """The rate, or as far as it was found when `stop` said so."""
        self._alone = self._one_after_another()
        self._require(self._alone.held)
        seconds = search_seconds(self._alone.rate)
        self._search_until_ns = self.options.now_ns() + seconds * 1e9
        self._rate = find_rate(self._try, self._alone.rate / 2, self._search_over)
        self._require(self._rate is not None)

    def _search_over(self) -> bool:
        return self.options.stop() or self.options.now_ns() >= self._search_until_ns

    def _one_after_another(self) -> Trial:
        """Warmed up, without any waiting: its rate is what this machine can do at most."""
        stop = self.options.stop
        self.options.listen(Event("progress", message="measuring without a queue"))
        results = single_stream(self.recognizer, self.options.frames)
        warmup = UntilSteady()
        next(result for result in results if stop() or warmup.over(result))
        began_ns = self.options.now_ns()
        until_stopped = takewhile(lambda _: not stop(), results)
        trial = attempt(until_stopped, 0.0, self.bound_ms, MIN_QUERIES, own_latency)
        seconds = (self.options.now_ns() - began_ns) / 1e9
        return replace(trial, rate=max(1, trial.queries) / seconds)

    def _try(self, rate: float) -> Trial:
        self.options.listen(
            Event("progress", f"trial {len(self._trials) + 1}", f"{rate:.4g} per second")
        )
        queries = queries_of(rate, self.bound_ms)
        answers = takewhile(lambda _: not self._search_over(), self._at(rate))
        trial = attempt(answers, rate, self.bound_ms, queries, from_scheduled)
        if not self._search_over():
            self._trials.append(trial)
        return trial

    def _at(self, rate: float, seed: int = 0) -> Iterator[Result]:
        options = self.options
        return server(
            self.recognizer,
            options.frames,
            poisson(rate, options.now_ns(), seed),
            stop=options.stop,
            now_ns=options.now_ns,
            sleep=options.sleep,
        )

    def _require(self, possible: bool) -> None:
        if not possible and not self.options.stop():
            raise ConfigError(
                f"no rate keeps within the latency limit of {self.bound_ms:g} ms here",
                fix="raise --latency-bound well above the p99 latency of --scenario single-stream",
            )


def _held(statistics: RunStatistics) -> bool | None:
    """True if 99 % of answers were within the bound; None where they are too few to tell."""
    return statistics.misses <= may_be_late(statistics.n) if statistics.n >= MIN_QUERIES else None


SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario for scenario in (SingleStream, MultiStream, Server, Offline)
}
