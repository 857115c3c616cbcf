"""The highest rate of arrivals at which a latency bound is held: LoadGen's Server result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from edge_device.bench.loads import Stop
from edge_device.metrics.recorder import Latency
from edge_sdk.results import Result
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

if TYPE_CHECKING:
    from edge_sdk.documents.run import TrialRecord

PRECISION = 0.02
"""The search ends where the lowest rate that failed is so little above the highest that held."""

MIN_QUERIES = MINIMUM_SAMPLES["p99"]
_MIN_SECONDS = 5.0
_BOUNDS = 10
"""A trial lasts as long as so many bounds: a rate 10 % too high makes the queue outgrow one."""

_MIN_SEARCH_S = 120.0
_SEARCH_TRIALS = 12
"""A search may take as long as so many times the queries of a trial, one after another."""

_LOWEST = 2**-6
"""Times the first rate: below it, nothing waits any more."""


@dataclass(frozen=True)
class Trial:
    """One rate tried. rate: scheduled, in queries a second. queries: answered, fewer than were
    asked for where it failed early. late: answered after the bound. p99_ms: None below 662 queries.
    held: whether the bound was, by 99 % of the queries.
    """

    rate: float
    queries: int
    late: int
    p99_ms: float | None
    held: bool

    def as_dict(self) -> TrialRecord:
        """The JSON form."""
        return {
            "rate": self.rate,
            "queries": self.queries,
            "late": self.late,
            "p99_ms": self.p99_ms,
            "held": self.held,
        }


def may_be_late(queries: int) -> int:
    """The number of so many queries that may be late where 99 % hold their bound."""
    return queries // 100


def queries_of(rate: float, bound_ms: float) -> int:
    """The queries of a trial: enough for a p99, and for a queue to show that it grows."""
    seconds = max(_MIN_SECONDS, _BOUNDS * bound_ms / 1e3)
    return max(MIN_QUERIES, math.ceil(rate * seconds))


def search_seconds(alone: float) -> float:
    """The longest that the search for a rate may take, in s. alone: queries per second, one after
    another. A slow model needs longer: its trials take MIN_QUERIES queries each.
    """
    return max(_MIN_SEARCH_S, _SEARCH_TRIALS * MIN_QUERIES / alone)


def attempt(
    results: Iterator[Result], rate: float, bound_ms: float, queries: int, latency: Latency
) -> Trial:
    """Take `queries` results, fewer where more of them are late than can be in a trial that holds.

    latency: counts every result.
    """
    taken, late = Histogram(), 0
    for result in islice(results, queries):
        took = latency(result)
        assert took is not None
        taken.add(took)
        late += took > bound_ms * 1e6
        if late > may_be_late(queries):
            break
    held = taken.count == queries and late <= may_be_late(queries)
    return Trial(rate, taken.count, late, taken.percentiles(["p99"])["p99"], held)


def find_rate(
    attempt_at: Callable[[float], Trial], first: float, stop: Stop = lambda: False
) -> float | None:
    """The highest rate that held; None where none did.

    The rate doubles until it fails, then the gap is halved until it is PRECISION. One that fails at
    first is halved, as far as `_LOWEST`.
    """
    low, high, rate = 0.0, math.inf, first
    while high > low * (1 + PRECISION) and rate >= first * _LOWEST and not stop():
        if attempt_at(rate).held:
            low = rate
        else:
            high = rate
        rate = 2 * low if math.isinf(high) else (low + high) / 2
    return low or None
