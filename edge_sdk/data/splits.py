"""The division of images among training, validation and test, and among the classes."""

from __future__ import annotations

from collections.abc import Mapping

Shares = tuple[float, float, float]

DEFAULT_SPLIT: Shares = (0.70, 0.15, 0.15)
"""A recipe's `data.split` where it does not say otherwise."""

MIN = 3
"""Images, or clips, that a class needs: one each to train, validate and test."""

SMALL = 0.1
"""Share of the largest class below which the smallest is warned about."""


def split_sizes(count: int, shares: Shares = DEFAULT_SPLIT) -> tuple[int, int, int]:
    """(train, val, test) for `count` >= MIN of one class: the nearest to its shares that leaves
    none of the three empty.
    """
    val, test = (max(1, round(share * count)) for share in shares[1:])
    while val + test >= count:
        val, test = (val - 1, test) if val >= test else (val, test - 1)
    return count - val - test, val, test


def held_out(count: int, shares: Shares = DEFAULT_SPLIT) -> int:
    """The number of `count` >= 2 training images of a class that validate, where there is a test
    part already.
    """
    return min(count - 1, max(1, round(shares[1] / (shares[0] + shares[1]) * count)))


def imbalance(counts: Mapping[str, int], what: str = "image") -> str:
    """A warning where the smallest class has under a tenth of the largest, else "".

    counts: {label: training samples}.
    """
    small, large = min(counts, key=lambda k: counts[k]), max(counts, key=lambda k: counts[k])
    if counts[small] >= SMALL * counts[large]:
        return ""
    return (
        f"class {small!r} has {counts[small]} {what}{'s' * (counts[small] != 1)} to train, "
        f"{large!r} has {counts[large]}: add some, or set data.balance or train.loss in the recipe"
    )
