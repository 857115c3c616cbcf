"""Dominance: one candidate is no worse on any measure and significantly better on one.

One candidate dominates another, over accuracy and the costs asked for, if
  - it is no worse on any: at least as many of the same images right, no more bytes or MACs, and not
    significantly slower;
  - it is significantly better on one: more accurate by the paired interval, faster by the paired
    rounds, or fewer bytes or MACs, which are exact.
"Significantly" is at CONFIDENCE. Noise alone never makes a candidate dominated: a lower accuracy
never dominates a higher one, because a test set too small to prove a lead does not prove that there
is none; latencies that the rounds cannot tell apart count as equal. A candidate that lacks one of
the values, has too few rounds, or is in another group is not ranked: it neither dominates nor is
dominated.

No ring of candidates can dominate one another (in a ring accuracies, bytes and MACs would all be
equal, and medians would fall all round), so some candidate is always left: the front is never
empty. Significance is not transitive, hence neither is this; where only exact costs differ it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.statistics import median, median_interval, paired_difference

Cost = Literal["latency", "bytes", "macs"]
COSTS: tuple[Cost, ...] = ("latency", "bytes", "macs")

CONFIDENCE = 0.99
"""Of one test. Many pairs are compared: at 0.95, every twentieth would differ by chance."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of the compared. right: for each image, in order, whether it was answered rightly, bool
    (images,); rounds_ms: its time in each interleaved round, ms a call; group: only candidates of
    equal groups are ranked against each other, and theirs are the same images and rounds.
    """

    right: NDArray[np.bool_] | None = None
    rounds_ms: Sequence[float] = ()
    bytes: int | None = None
    macs: int | None = None
    group: Hashable = None


def dominators(candidates: Sequence[Candidate], costs: Sequence[Cost]) -> list[list[int] | None]:
    """For each candidate the numbers (from 0) of those that dominate it over accuracy and `costs`;
    None for one that is not ranked.
    """
    ranked = [index for index, one in enumerate(candidates) if _is_ranked(one, costs)]
    return [
        [i for i in ranked if i != index and _dominates(candidates[i], one, costs)]
        if index in ranked
        else None
        for index, one in enumerate(candidates)
    ]


def _is_ranked(one: Candidate, costs: Sequence[Cost]) -> bool:
    has: dict[Cost, bool] = {
        "latency": median_interval(one.rounds_ms, CONFIDENCE) is not None,
        "bytes": one.bytes is not None,
        "macs": one.macs is not None,
    }
    return one.right is not None and all(has[cost] for cost in costs)


def _dominates(one: Candidate, other: Candidate, costs: Sequence[Cost]) -> bool:
    if one.group != other.group:
        return False
    assert one.right is not None and other.right is not None
    if one.right.sum() < other.right.sum() or any(_cheaper(other, one, cost) for cost in costs):
        return False
    return _is_more_accurate(one.right, other.right) or any(
        _cheaper(one, other, cost) for cost in costs
    )


def _is_more_accurate(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    return paired_difference(only_first, only_second, len(right), CONFIDENCE).low > 0


def _cheaper(one: Candidate, other: Candidate, cost: Cost) -> bool:
    """Significantly less, in one cost."""
    if cost == "latency":
        return _is_faster(one.rounds_ms, other.rounds_ms)
    less, more = getattr(one, cost), getattr(other, cost)
    return bool(less < more)


def _is_faster(rounds: Sequence[float], other: Sequence[float]) -> bool:
    """Significantly faster by the paired rounds, and by its median."""
    gaps = median_interval([a - b for a, b in zip(rounds, other, strict=True)], CONFIDENCE)
    return gaps is not None and gaps.high < 0 and median(rounds) < median(other)
