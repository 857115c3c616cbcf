"""MLPerf's rules for a load, and LoadGen's early stopping."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest

from edge_device.metrics.mlperf import latency_estimate, mlperf, most_late
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

PERCENTILES = {"p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@pytest.mark.parametrize(("name", "percentile"), PERCENTILES.items())
def test_the_minima_of_percentiles_are_those_of_early_stopping(
    name: str, percentile: float
) -> None:
    """The fewest queries of which one may be late, so that the highest latency is an estimate."""
    least = MINIMUM_SAMPLES[name]
    assert most_late(least, percentile) == 1
    assert most_late(least - 1, percentile) == 0


@pytest.mark.parametrize("queries", [0, 1, 458, 459, 661, 662, 1000, 2000])
def test_the_chance_of_so_few_late_ones_is_below_a_percent(queries: int) -> None:
    """Against sums of exact fractions."""

    def chance(late: int) -> Fraction:
        terms = (
            math.comb(queries, k) * Fraction(1, 100) ** k * Fraction(99, 100) ** (queries - k)
            for k in range(late + 1)
        )
        return sum(terms, Fraction(0))

    late = most_late(queries)
    if late is None:
        assert chance(0) >= Fraction(1, 100)
    else:
        assert chance(late) < Fraction(1, 100) <= chance(late + 1)


def test_many_queries_may_have_nearly_their_percent_late() -> None:
    assert most_late(270_336) == pytest.approx(2703 - 2.33 * math.sqrt(2676), abs=3)


def test_the_estimate_is_the_highest_latency_that_may_not_be_late() -> None:
    latency = Histogram()
    for value in range(1, 2001):
        latency.add(value * 1_000_000)
    late = most_late(2000)
    assert late == 9
    assert latency_estimate(latency, 0.99) == pytest.approx(2000 - late + 1, rel=1e-3)
    few = Histogram()
    for _ in range(661):
        few.add(1)
    assert latency_estimate(few, 0.99) is None
    few.add(7_000_000)
    assert latency_estimate(few, 0.99) == pytest.approx(7, rel=1e-3)


@pytest.mark.parametrize(
    ("scenario", "queries", "others"),
    [
        ("single-stream", 64, {}),
        ("multi-stream", 662, {}),
        ("multi-stream", 662, {"streams": 8}),
        ("server", 662, {"late": 1}),
        ("server", 459, {"late": 0}),
        ("offline", 24_576, {}),
    ],
)
def test_when_the_rules_are_met(scenario: str, queries: int, others: dict[str, Any]) -> None:
    expected = {"scenario": scenario, "met": True, "because": None}
    assert mlperf(scenario, 600, queries, True, **others) == expected
    for seconds, n, valid in (
        (599, queries, True),
        (600, queries - 1, True),
        (600, queries, False),
    ):
        outcome = mlperf(scenario, seconds, n, valid, **others)
        assert outcome["met"] is False and outcome["because"]


@pytest.mark.parametrize(
    ("scenario", "others", "because"),
    [
        ("multi-stream", {"streams": 4}, "queries of 4 samples, not of 8"),
        ("server", {"late": 9}, "the latency bound was not held by 99 % of queries"),
        ("server", {}, "the latency bound was not held by 99 % of queries"),
        ("camera", {}, "camera is not an MLPerf scenario"),
    ],
)
def test_what_else_is_not_met(scenario: str, others: dict[str, Any], because: str) -> None:
    outcome = mlperf(scenario, 600, 1000, True, **others)
    assert outcome["met"] is False
    assert because in outcome["because"]
    assert outcome["scenario"] == (None if scenario == "camera" else scenario)
