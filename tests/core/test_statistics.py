"""Percentiles against exact ones, and intervals against published and simulated ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_sdk.statistics import (
    MINIMUM_SAMPLES,
    Histogram,
    Interval,
    median_interval,
    paired_difference,
    wilson,
)

RANKS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
DISTRIBUTIONS: dict[str, Draw] = {
    "a long tail": lambda r, n: r.lognormal(15, 1.5, n),
    "two modes": lambda r, n: np.where(r.random(n) < 0.93, r.normal(2e6, 1e4, n), 4e7),
    "a microsecond": lambda r, n: r.exponential(900, n) + 100,
}


def exact(values: NDArray[np.int64], rank: float) -> int:
    """By nearest rank, from the sorted values."""
    return int(np.sort(values)[math.ceil(rank * len(values)) - 1])


def filled(values: NDArray[np.int64]) -> Histogram:
    histogram = Histogram()
    for value in values.tolist():
        histogram.add(value)
    return histogram


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_million_values_within_a_thousandth(name: str) -> None:
    draw = DISTRIBUTIONS[name](np.random.default_rng(len(name)), 1_000_000)
    values = np.maximum(draw, 0).astype(np.int64)
    histogram = filled(values)
    for rank in RANKS.values():
        wanted = exact(values, rank)
        assert abs(histogram.quantile(rank) - wanted) <= max(0.001 * wanted, 0.5)
    assert histogram.max == values.max()
    assert histogram.count == 1_000_000
    assert histogram.summary()["max"] == values.max() / 1e6
    assert len(list(histogram.bins())) < 40_000


@given(st.lists(st.integers(0, 2**63), min_size=1), st.floats(0, 1))
def test_any_values_at_any_rank(values: list[int], rank: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    wanted = sorted(values)[max(1, math.ceil(rank * len(values))) - 1]
    assert abs(histogram.quantile(rank) - wanted) <= 0.0005 * wanted + 0.5
    bins = list(histogram.bins())
    assert sum(count for _, _, count in bins) == len(values)
    assert all(low < high for low, high, _ in bins)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(bins))
    assert all(any(low <= value < high for low, high, _ in bins) for value in values)


@pytest.mark.parametrize("name", MINIMUM_SAMPLES)
def test_a_percentile_is_null_below_its_minimum(name: str) -> None:
    assert MINIMUM_SAMPLES == {"p50": 11, "p90": 64, "p95": 130, "p99": 662, "p999": 6636}
    histogram = Histogram()
    for _ in range(MINIMUM_SAMPLES[name] - 1):
        histogram.add(3_000_000)
    assert histogram.percentiles([name]) == {name: None}
    assert histogram.summary()[name] is None
    histogram.add(3_000_000)
    assert histogram.percentiles([name]) == {name: pytest.approx(3.0, rel=0.001)}


def test_an_empty_histogram() -> None:
    assert Histogram().summary() == dict.fromkeys([*MINIMUM_SAMPLES, "max"])
    with pytest.raises(ValueError, match="empty"):
        Histogram().quantile(0.5)


def test_a_clock_that_went_backwards_counts_as_nothing() -> None:
    histogram = Histogram()
    histogram.add(-5)
    assert (histogram.max, histogram.quantile(1.0), histogram.count) == (0, 0.0, 1)


# Two-sided 95 % Wilson score intervals. 81 of 263: Newcombe, Stat. Med. 17 (1998) 857-872, table I.
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("right", "of", "low", "high"), PUBLISHED)
def test_wilson_against_newcombes_table(right: int, of: int, low: float, high: float) -> None:
    interval = wilson(right, of)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert interval.as_list() == [interval.low, interval.high]


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_own_equation(case: tuple[int, int]) -> None:
    """Its ends are the shares p at which the observed one is 1.96 standard errors away."""
    right, of = case
    interval = wilson(right, of)
    assert 0 <= interval.low <= right / of <= interval.high <= 1
    for end in (interval.low, interval.high):
        if 0 < end < 1:
            error = math.sqrt(end * (1 - end) / of)
            assert math.isclose(abs(right / of - end), 1.959963984540054 * error, rel_tol=1e-6)


def test_wilson_at_other_confidences_is_wider_or_narrower() -> None:
    assert wilson(5, 10, 0.99).low < wilson(5, 10).low < wilson(5, 10, 0.8).low
    assert wilson(10, 10).high == 1.0
    assert wilson(0, 10).low == 0.0


@pytest.mark.parametrize(("right", "of"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_of_nothing(right: int, of: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson(right, of)


def test_a_paired_difference_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    both, first, second, neither = 0.90, 0.04, 0.02, 0.04
    for trials in (100, 1000):
        tables = random.multinomial(trials, [both, first, second, neither], 4000)
        covered = [
            (found := paired_difference(only_first, only_second, trials)).low
            <= first - second
            <= found.high
            for _, only_first, only_second, _ in tables.tolist()
        ]
        assert 0.94 <= np.mean(covered) <= 0.98


def test_a_paired_difference_by_hand() -> None:
    """Bonett and Price: the Wald interval of (f + 1) / (n + 2) and (s + 1) / (n + 2)."""
    found = paired_difference(10, 2, 98)
    error = math.sqrt((0.11 + 0.03 - 0.08**2) / 100)
    assert math.isclose(found.low, 0.08 - 1.959963984540054 * error)
    assert math.isclose(found.high, 0.08 + 1.959963984540054 * error)
    turned = paired_difference(2, 10, 98)
    assert (turned.low, turned.high) == (-found.high, -found.low)
    assert paired_difference(1, 0, 1).high == 1.0
    with pytest.raises(ValueError, match="no trials"):
        paired_difference(0, 0, 0)


def test_intervals_compare() -> None:
    assert Interval(0.1, 0.2) == Interval(0.1, 0.2, 0.95)


@pytest.mark.parametrize(
    ("n", "confidence", "ranks"),
    [
        (5, 0.95, None),
        (6, 0.95, (1, 6)),
        (10, 0.95, (2, 9)),
        (20, 0.95, (6, 15)),
        (30, 0.95, (10, 21)),
        (7, 0.99, None),
        (8, 0.99, (1, 8)),
        (30, 0.99, (8, 23)),
    ],
)
def test_the_interval_of_a_median_has_the_ranks_of_the_tables(
    n: int, confidence: float, ranks: tuple[int, int] | None
) -> None:
    found = median_interval(range(n, 0, -1), confidence)
    assert (found and (found.low, found.high)) == ranks
