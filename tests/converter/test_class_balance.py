"""Class weights, oversampling, and the warning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_converter.training.class_balance import class_weights, oversampled
from edge_sdk.data.splits import DEFAULT_SPLIT, MIN, imbalance, split_sizes

labels = st.lists(st.integers(0, 4), min_size=1, max_size=200)


def test_weights_by_hand() -> None:
    # 6 samples, 3 classes: 6 / (3 x 3), 6 / (3 x 2), 6 / (3 x 1).
    np.testing.assert_allclose(class_weights([0, 0, 0, 1, 1, 2], 3), [2 / 3, 1, 2])
    assert class_weights([0, 1], 2).dtype == np.float32


@given(labels)
def test_every_class_weighs_the_same_and_the_mean_is_1(values: list[int]) -> None:
    weights = class_weights(values, 5)
    total = np.bincount(values, weights[values], minlength=5)
    present = np.unique(values)
    np.testing.assert_allclose(total[present], len(values) / len(present), rtol=1e-5)
    np.testing.assert_array_equal(np.delete(weights, present), 0)


@given(labels)
def test_oversampling_makes_every_class_as_frequent(values: list[int]) -> None:
    chosen = oversampled(values, 5, np.random.default_rng(0))
    counts = np.bincount(np.array(values)[chosen], minlength=5)
    present = np.unique(values)
    assert set(counts[present]) == {np.bincount(values).max()}
    # Every sample is there, and none of a class twice more often than another.
    for label in present:
        times = np.bincount(chosen, minlength=len(values))[np.array(values) == label]
        assert times.min() >= 1 and times.max() - times.min() <= 1
    np.testing.assert_array_equal(chosen[: len(values)], np.arange(len(values)))


def test_oversampling_is_the_seeds() -> None:
    values = [0] * 20 + [1] * 7
    one, same, other = (oversampled(values, 2, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("small", "warned"), [(0, True), (9, True), (10, False), (100, False)])
def test_a_class_under_a_tenth_of_the_largest_is_warned_about(small: int, warned: bool) -> None:
    line = imbalance({"a": 100, "b": small, "c": 60})
    assert bool(line) == warned
    if warned:
        assert f"class 'b' has {small} images to train, 'a' has 100" in line
        assert "data.balance" in line


def test_one_of_a_kind_is_not_plural() -> None:
    assert "has 1 clip to train" in imbalance({"a": 50, "b": 1}, "clip")


@given(
    st.integers(MIN, 500),
    st.sampled_from([DEFAULT_SPLIT, (0.98, 0.01, 0.01), (0.02, 0.49, 0.49), (0.1, 0.8, 0.1)]),
)
def test_no_part_of_a_split_is_empty(count: int, shares: tuple[float, float, float]) -> None:
    sizes = split_sizes(count, shares)
    assert sum(sizes) == count and min(sizes) >= 1
    if count >= 200:
        np.testing.assert_allclose(np.array(sizes) / count, shares, atol=0.01)
