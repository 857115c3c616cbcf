"""Histograms, percentiles that know when they have too few samples, and intervals."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

MINIMUM_SAMPLES = {"p50": 11, "p90": 64, "p95": 130, "p99": 662, "p999": 6636}
"""Fewest samples at which a percentile is stated at all.

Source: MLPerf LoadGen's early-stopping minima at 99 % confidence (p90, p95, p99, p99.9); 11 for the
median, where a distribution-free interval first has ten samples beside it.
"""

_RANKS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle. Raises ValueError for none.

    Not that of Python's statistics, whose import (fractions, decimal) every start would pay for.
    """
    if not values:
        raise ValueError("no median of no values")
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


class Histogram:
    """Counts of durations in ns, in bins no wider than 1/1024 of their value.

    Each power of two is cut into 1024 bins, values below 2048 are kept exactly; a value is
    reported as its bin's middle, so the error is below 0.05 % + 0.5 ns. Memory is 16 kB for each
    power of two that was met, whatever the number of samples.
    """

    SUB_BITS = 10

    def __init__(self) -> None:
        self._octaves: dict[int, array[int]] = {}
        self.count = 0
        self.max = 0

    def add(self, value_ns: int) -> None:
        """Count one duration (negative ones as 0)."""
        value = max(0, value_ns)
        shift = max(0, value.bit_length() - 1 - self.SUB_BITS)
        counts = self._octaves.get(shift)
        if counts is None:
            counts = self._octaves[shift] = array("Q", bytes(8 << (self.SUB_BITS + 1)))
        counts[value >> shift] += 1
        self.count += 1
        self.max = max(self.max, value)

    def quantile(self, rank: float) -> float:
        """The value at `rank` (0..1) by nearest rank, in ns. Raises ValueError when empty."""
        if not self.count:
            raise ValueError("an empty histogram has no quantile")
        wanted = max(1, math.ceil(rank * self.count))
        seen = 0
        for low, width, counted in self._used():
            middle = low + (width - 1) / 2
            seen += counted
            if seen >= wanted:
                break
        return min(middle, float(self.max))

    def percentiles(
        self, names: Iterable[str] = ("p50", "p90", "p95", "p99")
    ) -> dict[str, float | None]:
        """{name: ms}, None where there are fewer samples than MINIMUM_SAMPLES asks for."""
        return {
            name: self.quantile(_RANKS[name]) / 1e6 if self.count >= MINIMUM_SAMPLES[name] else None
            for name in names
        }

    def summary(self) -> dict[str, float | None]:
        """p50, p90, p95, p99, p999 and max in ms; None where there are too few samples."""
        highest = self.max / 1e6 if self.count else None
        return {**self.percentiles(MINIMUM_SAMPLES), "max": highest}

    def bins(self) -> Iterator[tuple[float, float, int]]:
        """(low, high, count) of each used bin in ns, ascending."""
        for low, width, counted in self._used():
            yield float(low), float(low + width), counted

    def _used(self) -> Iterator[tuple[int, int, int]]:
        """(low, width, count) of each used bin in ns, ascending."""
        for shift, counts in sorted(self._octaves.items()):
            for top, counted in enumerate(counts):
                if counted:
                    yield top << shift, 1 << shift, counted


class Interval(NamedTuple):
    """A two-sided confidence interval."""

    low: float
    high: float
    confidence: float = 0.95

    def as_list(self) -> list[float]:
        """[low, high]."""
        return [self.low, self.high]


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion.

    Source: E. B. Wilson, JASA 22 (1927) 209-212. Raises ValueError for trials < 1.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    z = _normal_quantile((1 + confidence) / 2)
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes == trials else (middle + spread) / scale
    return Interval(low, high, confidence)


def paired_difference(
    only_first: int, only_second: int, trials: int, confidence: float = 0.95
) -> Interval:
    """Interval of the difference of two proportions measured on the same samples.

    only_first, only_second: samples that only one of the two got right. Wald interval with the
    Bonett-Price adjustment (Bonett & Price, J. Educ. Behav. Stat. 37 (2012) 479-488).
    """
    if trials < 1:
        raise ValueError("no trials")
    z = _normal_quantile((1 + confidence) / 2)
    first, second = (only_first + 1) / (trials + 2), (only_second + 1) / (trials + 2)
    gap = first - second
    spread = z * math.sqrt((first + second - gap * gap) / (trials + 2))
    return Interval(max(-1.0, gap - spread), min(1.0, gap + spread), confidence)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Interval of the median, whatever the distribution; None for too few values (below 6 at 95 %,
    8 at 99 %).

    Between the k-th lowest and the k-th highest value, k as the sign test has it: W. J. Conover,
    Practical Nonparametric Statistics, 3rd ed. (1999), section 3.2.
    """
    n = len(values)
    tails = [2 * below / 2**n for below in accumulate(math.comb(n, i) for i in range(n // 2))]
    k = sum(tail <= 1 - confidence for tail in tails)
    if k == 0:
        return None
    ordered = sorted(values)
    return Interval(ordered[k - 1], ordered[n - k], confidence)


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist  # a device's run needs no intervals of shares

    return NormalDist().inv_cdf(share)
