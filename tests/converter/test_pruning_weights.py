"""Weights that become zero: how many after each step, which ones, and that they stay so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_converter.compression.pruning.magnitude import (
    RAMP,
    achieved,
    kernels,
    sparse_step,
    sparsity,
    zero_smallest,
)
from edge_sdk.errors import ModelError, TrainingError

pytestmark = pytest.mark.slow


@pytest.fixture
def model() -> Any:
    """A kernel of every kind of convolution, 400 weights in the first."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(100, 1, name="conv"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.SeparableConv2D(4, 3, name="separable"),
            layers.Flatten(),
            layers.Dense(3, name="dense"),
        ]
    )


def test_the_sparsity_rises_as_zhu_and_gupta_say() -> None:
    """s (1 - (1 - t)^3): at half of the ramp 7/8 of the whole, from its end on all of it."""
    steps = 1000
    end = int(RAMP * steps)
    assert sparsity(0.8, 0, steps) == 0
    assert sparsity(0.8, end // 2, steps) == pytest.approx(0.8 * 7 / 8)
    assert sparsity(0.8, end, steps) == sparsity(0.8, steps, steps) == 0.8
    rising = [sparsity(0.8, done, steps) for done in range(steps + 1)]
    assert rising == sorted(rising)
    assert sparsity(0.8, 1, 1) == 0.8  # one step is all there is


def test_the_least_in_magnitude_become_zero() -> None:
    import keras

    kernel = keras.Variable(np.float32([[0.3, -0.1, 2], [-4, 0.2, -0.25]]))
    zero_smallest(kernel, 0.5)
    np.testing.assert_array_equal(kernel, np.float32([[0.3, 0, 2], [-4, 0, 0]]))


@pytest.mark.parametrize(("share", "left"), [(0.0, 6), (0.16, 6), (0.17, 5), (0.999, 1)])
def test_rounded_down_and_one_stays(share: float, left: int) -> None:
    import keras

    kernel = keras.Variable(np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    zero_smallest(kernel, share)
    assert np.count_nonzero(kernel) == left


def test_every_kernel_is_pruned_and_nothing_else(model: Any) -> None:
    others = {w.path: w.numpy() for w in model.weights if "kernel" not in w.name}
    step = sparse_step(model, 0.75, 10)
    assert len(kernels(model)) == 5  # a separable convolution has two
    for done in range(1, 11):
        step(done)
    assert achieved(model, 0.75) == pytest.approx(0.75, abs=0.01)
    for kernel in kernels(model):
        assert np.mean(kernel.numpy() == 0) == pytest.approx(0.75, abs=0.03)
    for weight in model.weights:
        if weight.path in others:
            np.testing.assert_array_equal(weight, others[weight.path])


def test_too_few_zeros_are_an_error(model: Any) -> None:
    """In any one kernel: what the others have does not make up for it."""
    sparse_step(model, 0.75, 1)(1)
    dense = model.get_layer("dense").kernel
    dense.assign(np.ones(dense.shape))
    with pytest.raises(TrainingError, match=r"dense/kernel has 0.0% zeros.* asks for 75.0%"):
        achieved(model, 0.75)


def test_a_model_without_kernels() -> None:
    import keras

    given = keras.Input((3,))
    model = keras.Model(given, keras.layers.Softmax()(given), name="nothing")
    with pytest.raises(ModelError, match="nothing has no kernel") as caught:
        kernels(model)
    assert 'remove "prune"' in caught.value.fix
