"""The scenarios' loads on a driven clock: what is asked when, and what counts as latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from random import Random
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from edge_device.bench.loads import from_scheduled, multi_stream, of_query, poisson, server
from edge_device.bench.rate import (
    MIN_QUERIES,
    PRECISION,
    Trial,
    attempt,
    find_rate,
    queries_of,
)
from edge_device.metrics.recorder import Recorder, own_latency
from edge_device.metrics.warmup import UntilSteady
from edge_sdk import Frame, Recognizer, Result
from edge_sdk.engines.fake import FakeEngine

FRAMES = [Frame(np.full((4, 4, 3), value, np.uint8), "rgb") for value in range(3)]


@pytest.fixture
def timed(tiny_parts: Callable[..., Any], driven_clock: Any) -> Callable[..., Recognizer]:
    """`timed(seconds)`: a recognizer whose every inference lasts that long on the driven clock;
    a function gives each its own, by its number.
    """

    def make(seconds: float | Callable[[int], float]) -> Recognizer:
        manifest, members = tiny_parts()
        specs = (manifest.input.tensor.spec,), (manifest.outputs[0].tensor.spec,)
        answers = [0]

        def answer(_inputs: Any) -> Any:
            took = seconds(answers[0]) if callable(seconds) else seconds
            answers[0] += 1
            driven_clock.advance(took)
            return (np.zeros((1, 3), np.int8),)

        labels = tuple(members["labels.txt"].decode().splitlines())
        engine = FakeEngine(*specs, answer=answer)
        return Recognizer(manifest.interface, labels, engine, now_ns=driven_clock.now_ns)

    return make


@pytest.fixture
def served(timed: Callable[..., Recognizer], driven_clock: Any) -> Callable[..., Iterator[Result]]:
    """`served(rate, seconds, seed=0)`: answers of the server load."""

    def make(
        rate: float, seconds: float | Callable[[int], float], seed: int = 0
    ) -> Iterator[Result]:
        arrivals = poisson(rate, driven_clock.now_ns(), seed)
        clock = {"now_ns": driven_clock.now_ns, "sleep": driven_clock.sleep}
        return server(timed(seconds), FRAMES, arrivals, **clock)

    return make


def test_a_query_of_multi_stream_lasts_from_its_asking_to_its_last_answer(
    timed: Callable[..., Recognizer], driven_clock: Any
) -> None:
    """Answers of 10, 20, 30 and 40 ms in turn, 4 a query, 7 ms lost by the consumer after each."""
    started = driven_clock.now_ns()
    results = multi_stream(
        timed(lambda number: (number % 4 + 1) * 0.01), FRAMES, 4, now_ns=driven_clock.now_ns
    )
    recorder = Recorder(started, camera=False, latency=of_query(4), warmup=UntilSteady())
    seen = []
    for result in islice(results, 48):
        seen.append(result)
        recorder.add(result)
        driven_clock.advance(0.007)
    recorder.finish()
    assert [result.index for result in seen] == list(range(48))
    assert [from_scheduled(result) for result in seen[:4]] == [10e6, 30e6, 60e6, 100e6]
    assert (recorder.statistics.n, recorder.statistics.latency.count) == (48, 12)
    assert recorder.statistics.latency.summary()["p50"] == pytest.approx(100, rel=1e-3)
    assert recorder.statistics.latency.max == 100_000_000
    assert recorder.statistics.stages["invoke"].percentiles()["p50"] == pytest.approx(20, rel=1e-3)
    # A query is asked when the one before is answered and handed over, not before.
    asked = [result.sensor_ns - started for result in seen[::4]]
    assert asked == [query * (100 + 4 * 7) * 1_000_000 for query in range(12)]


def test_arrivals_are_poisson_and_the_same_for_a_seed() -> None:
    one, other = (list(islice(poisson(100, 5, seed), 20_000)) for seed in (3, 3))
    assert one == other
    assert one != list(islice(poisson(100, 5, 4), 20_000))
    gaps = [b - a for a, b in pairwise(one)]
    n = len(gaps)
    # An exponential's mean and standard deviation are one; 4 standard errors each.
    assert fmean(gaps) == pytest.approx(1e7, rel=4 / math.sqrt(n))
    assert stdev(gaps) == pytest.approx(1e7, rel=4 * math.sqrt(2 / n))
    assert sum(gap > 2e7 for gap in gaps) / n == pytest.approx(math.exp(-2), rel=0.1)
    # Another rate stretches the same gaps.
    slow = list(islice(poisson(50, 5, 3), 20_000))
    assert max(abs((b - 5) - 2 * (a - 5)) for a, b in zip(one, slow, strict=True)) <= 2


def test_waiting_counts_exactly_as_lindleys_recursion_has_it(
    served: Callable[..., Iterator[Result]], driven_clock: Any
) -> None:
    """W(k + 1) = max(0, W(k) + S(k) - gap): D. V. Lindley, 1952. Service varies here."""
    durations = [Random(9).choice((2, 5, 30)) * 1_000_000 for _ in range(2000)]
    start_ns = driven_clock.now_ns()
    results = list(islice(served(100, lambda number: durations[number] / 1e9), 2000))
    arrivals = list(islice(poisson(100, start_ns), 2000))
    assert [result.sensor_ns for result in results] == arrivals
    wait = 0
    for number, result in enumerate(results):
        assert from_scheduled(result) == wait + durations[number]
        if number + 1 < len(arrivals):
            wait = max(0, wait + durations[number] - (arrivals[number + 1] - arrivals[number]))


@pytest.mark.parametrize("load", [0.3, 0.7, 0.85])
def test_the_mean_wait_is_that_of_an_m_d_1_queue(
    served: Callable[..., Iterator[Result]], load: float
) -> None:
    """Pollaczek and Khinchine: load * service / (2 * (1 - load)), within 4 standard errors of
    20 batch means.
    """
    service = 0.010
    latencies = [from_scheduled(r) / 1e9 for r in islice(served(load / service, service), 20_000)]
    waits = [latency - service for latency in latencies]
    means = [fmean(waits[first : first + 1000]) for first in range(0, 20_000, 1000)]
    expected = load * service / (2 * (1 - load))
    error = stdev(means) / math.sqrt(len(means))
    assert error < 0.2 * expected
    assert fmean(means) == pytest.approx(expected, abs=4 * error)


def test_a_stall_shows_in_every_frame_that_it_made_wait(
    served: Callable[..., Iterator[Result]],
) -> None:
    """2 s once, else 1 ms, 50 a second: about 100 frames wait, the last percent of 1,000 all 1.8 s
    and more. Timed from when each was begun, a single one would be slow.
    """
    results = list(islice(served(50, lambda number: 2.0 if number == 500 else 0.001), 1000))
    scheduled = sorted(from_scheduled(result) for result in results)
    begun = sorted(own_latency(result) for result in results)
    assert sum(latency > 100e6 for latency in scheduled) == pytest.approx(100, abs=30)
    assert scheduled[990] > 1.7e9
    assert begun[990] == 1_000_000


def test_waiting_for_a_frame_ends_soon_after_stop(
    timed: Callable[..., Recognizer], driven_clock: Any
) -> None:
    began = driven_clock.now_ns()
    results = server(
        *(timed(0.001), FRAMES, iter([began + 1, began + 3_600 * 10**9])),
        stop=lambda: driven_clock.now_ns() > began + 5e9,
        now_ns=driven_clock.now_ns,
        sleep=driven_clock.sleep,
    )
    assert len(list(results)) == 1
    assert 5e9 < driven_clock.now_ns() - began < 5.2e9


@pytest.mark.parametrize("highest", [1.0, 3.1, 40.0, 99.0, 137.0, 5000.0])
def test_the_search_ends_just_below_the_highest_rate(highest: float) -> None:
    tried: list[float] = []

    def at(rate: float) -> Trial:
        tried.append(rate)
        return Trial(rate, MIN_QUERIES, 0, 1.0, rate <= highest)

    found = find_rate(at, 50.0)
    assert found is not None and found <= highest < found * (1 + PRECISION)
    assert tried[:2] == [50.0, 100.0 if highest >= 50 else 25.0]
    assert found == max(rate for rate in tried if rate <= highest)
    assert len(tried) <= 16


def test_a_search_without_an_answer_ends() -> None:
    tried: list[float] = []

    def never(rate: float) -> Trial:
        tried.append(rate)
        return Trial(rate, 3, 2, None, False)

    assert find_rate(never, 64.0) is None
    assert tried == [64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0]
    assert find_rate(never, 64.0, stop=lambda: True) is None
    assert len(tried) == 7


def test_a_trial_is_long_enough_for_its_percentile_and_for_a_queue_to_grow() -> None:
    assert queries_of(1.0, 50) == MIN_QUERIES == 662
    assert queries_of(1000.0, 50) == 5000
    assert queries_of(1000.0, 1000) == 10_000


def test_a_trial_ends_where_it_cannot_hold_any_more(
    served: Callable[..., Iterator[Result]],
) -> None:
    held = attempt(served(50, 0.010), 50, 60.0, 2000, from_scheduled)
    assert (held.held, held.queries) == (True, 2000)
    assert held.p99_ms is not None and held.p99_ms < 60
    # Twice what it can do: the queue outgrows the bound of 60 ms after some 12 frames.
    failed = attempt(served(200, 0.010), 200, 60.0, 2000, from_scheduled)
    assert not failed.held
    assert failed.late == 2000 // 100 + 1
    assert failed.queries < 100 and failed.p99_ms is None


def test_the_rate_found_for_a_queue_holds_and_the_next_does_not(
    served: Callable[..., Iterator[Result]],
) -> None:
    """Service of 10 ms, bound of 50 ms: by the exponential tail of the wait in an M/D/1 queue,
    C * exp(-theta * wait / service) with load * (exp(theta) - 1) = theta and
    C = (1 - load) / (load * exp(theta) - 1), 1 % of frames are late at a load of 0.56.
    """

    def at(rate: float) -> Trial:
        return attempt(served(rate, 0.010), rate, 50.0, queries_of(rate, 50.0), from_scheduled)

    found = find_rate(at, 50.0)
    assert found is not None and found == pytest.approx(56, rel=0.15)
    assert at(found).held
    assert not at(found * (1 + PRECISION)).held
