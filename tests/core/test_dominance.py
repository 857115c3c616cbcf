"""Dominance: noise dominates nobody, nobody is on both sides, and somebody is always left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.comparison.dominance import COSTS, Candidate, Cost, dominators

IMAGES, ROUNDS = 12, 9

candidates = st.lists(
    st.builds(
        Candidate,
        st.none()
        | st.lists(st.booleans(), min_size=IMAGES, max_size=IMAGES).map(np.array)
        | st.sampled_from([np.ones(IMAGES, bool), np.zeros(IMAGES, bool)]),
        st.lists(st.integers(1, 3), min_size=ROUNDS, max_size=ROUNDS) | st.sampled_from([(), [9]]),
        st.none() | st.integers(1, 3),
        st.none() | st.integers(1, 3),
        st.sampled_from("ab"),
    ),
    max_size=7,
)
some_costs = st.lists(st.sampled_from(COSTS), min_size=1, max_size=3, unique=True)


def right(share: float, images: int = 1000) -> np.ndarray[Any, Any]:
    """The first `share` of the images answered rightly."""
    return np.arange(images) < round(share * images)


@given(candidates, some_costs)
def test_someone_is_left_and_nobody_is_on_both_sides(
    rows: list[Candidate], costs: list[Cost]
) -> None:
    """Take the undominated away, and again: no ring of rows is left that dominate one another."""
    found = dominators(rows, costs)
    left = {index for index, by in enumerate(found) if by is not None}
    while left:
        front = {index for index in left if not left & set(found[index] or ())}
        assert front
        left -= front


@given(candidates, some_costs)
def test_only_ranked_rows_of_one_group_that_are_as_accurate_dominate(
    rows: list[Candidate], costs: list[Cost]
) -> None:
    for row, by in zip(rows, dominators(rows, costs), strict=True):
        has = {"latency": len(row.rounds_ms) >= 8, "bytes": row.bytes, "macs": row.macs}
        assert (by is None) == (row.right is None or any(not has[cost] for cost in costs))
        for other in (rows[index] for index in by or ()):
            assert other is not row and other.group == row.group
            assert other.right is not None and row.right is not None
            assert other.right.sum() >= row.right.sum()
            for cost in set(costs) & {"bytes", "macs"}:
                assert getattr(other, cost) <= getattr(row, cost)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=8))
def test_exact_costs_alone_are_ranked_as_pareto_did(sizes: list[tuple[int, int]]) -> None:
    rows = [Candidate(right(0.5, 10), (), size, macs) for size, macs in sizes]
    found = dominators(rows, ("bytes", "macs"))
    for index, by in enumerate(found):
        assert by == [
            i
            for i, (size, macs) in enumerate(sizes)
            if (size, macs) != sizes[index] and size <= sizes[index][0] and macs <= sizes[index][1]
        ]
        for middle in by:
            assert set(found[middle] or ()) <= set(by)  # transitive


def test_an_accuracy_is_beaten_only_where_the_images_prove_it() -> None:
    rows = [Candidate(right(share), (), 100) for share in (0.97, 0.965, 0.90)]
    assert dominators(rows, ("bytes",)) == [[], [], [0, 1]]


def test_an_accuracy_that_is_higher_but_not_surely_still_protects() -> None:
    """19 and 15 of 20 images: too few to tell apart, and no reason to drop the better one."""
    rows = [Candidate(right(0.95, 20), (), 200), Candidate(right(0.75, 20), (), 100)]
    assert dominators(rows, ("bytes",)) == [[], []]
    rows.append(Candidate(right(0.95, 20), (), 199))
    assert dominators(rows, ("bytes",)) == [[2], [], []]


def test_the_same_images_are_paired() -> None:
    """As many right, but others: 100 won and 60 lost prove a lead that 4 points alone would not."""
    first, second = right(0.5), right(0.5)
    second[:60], second[500:600] = False, True
    low, high = Candidate(first, (), 1), Candidate(second, (), 1)
    assert dominators([low, high], ("bytes",)) == [[1], []]
    shuffled = Candidate(np.random.default_rng(0).permutation(second), (), 1)
    assert dominators([low, shuffled], ("bytes",)) == [[], []]


def timed(random: np.random.Generator, weather: np.ndarray[Any, Any], ms: float) -> Candidate:
    noise = random.lognormal(0, 0.02, len(weather))
    return Candidate(right(0.9, 100), (ms * weather * noise).tolist())


def test_rounds_are_paired_through_the_weather_and_noise_dominates_nobody() -> None:
    """The machine's load changes threefold from round to round; 5 % less time is seen through it,
    and of equal models at most a few in a hundred seem to differ.
    """
    random = np.random.default_rng(0)
    seen = wrong = 0
    for _ in range(100):
        weather = random.lognormal(0, 0.5, 30)
        rows = [timed(random, weather, ms) for ms in (1.0, 1.0, 0.95)]
        first, second, third = dominators(rows, ("latency",))
        assert first is not None and second is not None and third == []
        seen += (2 in first) + (2 in second)
        wrong += (1 in first) + (0 in second)
    assert seen >= 198 and wrong <= 3


def test_latencies_that_the_rounds_cannot_tell_apart_count_as_equal() -> None:
    """A median that is lower by luck, in 20 of 30 rounds, protects from nobody."""
    weather = np.tile([1.0, 3.0], 15)
    luck = np.tile([1.01, 1.01, 0.99, 1.01, 0.99, 1.01], 5)
    assert np.median(weather * luck) > np.median(weather)
    better, worse = weather * luck, weather
    rows = [Candidate(right(0.97), better.tolist()), Candidate(right(0.9), worse.tolist())]
    assert dominators(rows, ("latency",)) == [[], [0]]


def test_rounds_that_go_round_in_a_ring_leave_everybody() -> None:
    """Each of five is faster than the next in 24 of 30 rounds, the last than the first."""
    rows = [Candidate(right(0.9), [float((i + r) % 5) for r in range(30)]) for i in range(5)]
    assert dominators(rows, ("latency",)) == [[], [], [], [], []]


@pytest.mark.parametrize(("rounds", "ranked"), [(7, False), (8, True)])
def test_too_few_rounds_rank_nobody(rounds: int, ranked: bool) -> None:
    rows = [Candidate(right(0.9, 10), [time] * rounds, 1) for time in (1.0, 2.0)]
    assert dominators(rows, ("latency", "bytes")) == ([[], [0]] if ranked else [None, None])
