"""Architectures: layer by layer what their documentation says."""

from __future__ import annotations

from typing import Any

import pytest

from edge_converter.models import ARCHITECTURES, build_model, find_architecture
from edge_sdk.errors import ConfigError, NotAvailableYet

pytestmark = pytest.mark.slow

# (height, width, channels), classes: the size after each layer, and weights and biases of those
# layers that have them.
SEED_CNN = [
    (
        ((28, 28, 1), 10),
        [(26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64), (1600,), (128,), (10,)],
        {"conv1": 320, "conv2": 18_496, "dense": 204_928, "scores": 1_290},
    ),
    (
        ((224, 224, 3), 5),
        [(222, 222, 32), (111, 111, 32), (109, 109, 64), (54, 54, 64), (186_624,), (128,), (5,)],
        {"conv1": 896, "conv2": 18_496, "dense": 23_888_000, "scores": 645},
    ),
]


def weights(layer: Any) -> int:
    return int(layer.count_params())


@pytest.mark.parametrize(("asked", "sizes", "counts"), SEED_CNN, ids=["28x28x1", "224x224x3"])
def test_seed_cnn_layer_by_layer(asked: Any, sizes: Any, counts: dict[str, int]) -> None:
    model = build_model("seed_cnn", *asked)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense")
    ]
    assert [tuple(layer.output.shape[1:]) for layer in model.layers] == sizes
    assert {layer.name: weights(layer) for layer in model.layers if weights(layer)} == counts
    conv1, pool1, conv2, pool2, _, dense, scores = (layer.get_config() for layer in model.layers)
    for conv, filters in ((conv1, 32), (conv2, 64)):
        assert (conv["filters"], conv["kernel_size"], conv["strides"]) == (filters, (3, 3), (1, 1))
        assert (conv["padding"], conv["activation"]) == ("valid", "relu")
    for pool in (pool1, pool2):
        assert (pool["pool_size"], pool["strides"], pool["padding"]) == ((2, 2), (2, 2), "valid")
    assert (dense["units"], dense["activation"]) == (128, "relu")
    assert (scores["units"], scores["activation"]) == (asked[1], "softmax")
    assert model.inputs[0].shape == (None, *asked[0])


@pytest.mark.parametrize("shape", [(9, 28, 1), (28, 9, 3), (1, 1, 1)])
def test_seed_cnn_refuses_pictures_that_are_too_small(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_model("seed_cnn", shape, 2)
    assert f"at least 10 x 10, not {shape[1]} x {shape[0]}" in str(caught.value)
    assert "input.width" in caught.value.fix


def test_seed_cnn_at_its_smallest() -> None:
    assert build_model("seed_cnn", (10, 10, 1), 2).output_shape == (None, 2)


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(ConfigError) as caught:
        build_model("seed_cn", (28, 28, 1), 10)
    assert "unknown model 'seed_cn'" in str(caught.value)
    assert 'did you mean "seed_cnn"?' in caught.value.fix
    assert all(name in caught.value.fix for name in ARCHITECTURES)


@pytest.mark.parametrize("name", ["file:x.keras", "python:a:b", "features"])
def test_models_of_the_users_own_are_not_built_yet(name: str) -> None:
    with pytest.raises(NotAvailableYet, match=name):
        find_architecture(name)


def test_every_architecture_is_found_by_its_name() -> None:
    for name, architecture in ARCHITECTURES.items():
        assert find_architecture(name) is architecture and architecture.name == name
        assert architecture.inputs and architecture.suits
