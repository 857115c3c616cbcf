"""Architectures: layer by layer what their documentation says, and facts that are counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.models import ARCHITECTURES, build_model, check_model, find_architecture
from edge_sdk.cli.table import main
from edge_sdk.errors import ConfigError

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


def recipe(
    name: str, *, cell: str = "", size: tuple[int, int] = (96, 96), **options: Any
) -> Recipe:
    """The least recipe for a model; with a cell, for clips or features."""
    table: dict[str, Any] = {"name": "x", "model": {"name": name, "options": options}}
    table["data"] = {"source": "digits"}
    if name != "features":
        table["input"] = {"height": size[0], "width": size[1]}
    if cell:
        table |= {"task": "sequence", "sequence": {"cell": cell}}
        table["data"] = {"source": "csv:x.csv" if name == "features" else "video:x"}
    return Recipe.parse(table)


def weights(layer: Any) -> int:
    return int(layer.count_params())


@pytest.mark.parametrize(("asked", "sizes", "counts"), SEED_CNN, ids=["28x28x1", "224x224x3"])
def test_seed_cnn_layer_by_layer(asked: Any, sizes: Any, counts: dict[str, int]) -> None:
    model = build_model(recipe("seed_cnn"), *asked)
    image, *rest = model.layers
    assert image.name == "image"
    assert [type(layer).__name__ for layer in rest] == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense")
    ]
    assert [tuple(layer.output.shape[1:]) for layer in rest] == sizes
    assert {layer.name: weights(layer) for layer in rest if weights(layer)} == counts
    conv1, pool1, conv2, pool2, _, dense, scores = (layer.get_config() for layer in rest)
    for conv, filters in ((conv1, 32), (conv2, 64)):
        assert (conv["filters"], conv["kernel_size"], conv["strides"]) == (filters, (3, 3), (1, 1))
        assert (conv["padding"], conv["activation"]) == ("valid", "relu")
    for pool in (pool1, pool2):
        assert (pool["pool_size"], pool["strides"], pool["padding"]) == ((2, 2), (2, 2), "valid")
    assert (dense["units"], dense["activation"]) == (128, "relu")
    assert (scores["units"], scores["activation"]) == (asked[1], "softmax")
    assert model.inputs[0].shape == (None, *asked[0])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_facts_are_those_of_the_built_model(
    name: str, count_macs: Callable[[Any], int]
) -> None:
    from keras import StatelessScope

    architecture = find_architecture(name)
    assert architecture.name == name and architecture.suits and architecture.inputs
    for size in architecture.sizes:
        options = {} if size.width is None else {"width": size.width}
        cell = "lstm" if name == "features" else ""
        with StatelessScope(initialize_variables=False):  # nobody reads these weights
            model = build_model(recipe(name, cell=cell, **options), size.shape, 10)
        assert (model.count_params(), count_macs(model)) == (size.parameters, size.macs)
        assert ("width" in architecture.options) == (size.width is not None)
        assert not any(hasattr(layer, "layers") for layer in model.layers)  # flat
        assert model.layers[0].name == ("image" if len(size.shape) == 3 else "features")
        last = model.layers[-1].get_config()
        assert (last["name"], last["units"], last["activation"]) == ("scores", 10, "softmax")


IMAGES = [name for name in ARCHITECTURES if name != "features"]


@pytest.mark.parametrize("name", IMAGES)
def test_each_at_its_smallest_and_one_pixel_less(name: str) -> None:
    least = ARCHITECTURES[name].min_side
    assert build_model(recipe(name), (least, least + 2, 1), 2).output_shape == (None, 2)
    for shape in ((least - 1, 99, 3), (99, least - 1, 3), (5, least - 1, 99, 3)):
        with pytest.raises(ConfigError, match=f"{name} needs .* at least {least} x {least}"):
            build_model(recipe(name), shape, 2)
    small = recipe(name, size=(40, least - 1))
    with pytest.raises(ConfigError, match=rf"{name} .* not {least - 1} x 40") as caught:
        check_model(small)
    assert "input.width" in caught.value.fix
    check_model(recipe(name, size=(least, least)))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("seed_cnn", {"width": 0.25}, "seed_cnn does not take model.options.width = 0.25"),
        ("mobilenet_v2", {"depth": 2.0}, "mobilenet_v2 does not take model.options.depth = 2.0"),
        ("squeezenet", {"space_to_depth": True}, "does not take model.options.space_to_depth"),
        ("mobilenet_v3_small", {"width": 1.0}, "does not take model.options.width = 1.0"),
    ],
)
def test_an_option_that_the_model_does_not_take(
    name: str, options: dict[str, Any], told: str
) -> None:
    asked = recipe(name, **options)
    for refused in (lambda: check_model(asked), lambda: build_model(asked, (96, 96, 3), 2)):
        with pytest.raises(ConfigError, match=told):
            refused()


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="unknown model 'seed_cn'") as caught:
        check_model(recipe("seed_cn"))
    assert 'did you mean "seed_cnn"?' in caught.value.fix
    assert all(name in caught.value.fix for name in ARCHITECTURES)


@pytest.mark.parametrize(
    ("size", "options", "maps"),
    [
        ((28, 28), {}, [14, 7, 7, 7, 7]),
        ((96, 96), {}, [48, 24, 12, 6, 6]),
        ((224, 224), {}, [112, 56, 28, 14, 7]),
        ((8, 8), {}, [4, 4, 4, 4, 4]),
        ((7, 90), {}, [7, 7, 7, 7, 7]),
        ((28, 28), {"space_to_depth": True}, [7, 7, 7, 7, 7]),
        ((96, 96), {"space_to_depth": True}, [24, 12, 6, 6, 6]),
    ],
)
def test_edge_net_halves_as_far_as_the_image_goes(
    size: tuple[int, int], options: dict[str, Any], maps: list[int]
) -> None:
    model = build_model(recipe("edge_net", **options), (*size, 1), 2)
    last = ["stem_relu", "stage1_block1", "stage2_block2", "stage3_block2", "stage4_block2"]
    names = [last[0], *(f"{name}_pointwise_relu" for name in last[1:])]
    assert [model.get_layer(name).output.shape[1] for name in names] == maps


@pytest.mark.parametrize(
    ("options", "blocks", "channels"),
    [
        ({}, 7, [24, 48, 80, 128]),
        ({"width": 1.0, "depth": 2.0}, 14, [48, 96, 160, 256]),
        ({"width": 0.01, "depth": 0.1}, 4, [8, 8, 8, 8]),
    ],
)
def test_edge_net_by_width_and_depth(
    options: dict[str, Any], blocks: int, channels: list[int]
) -> None:
    model = build_model(recipe("edge_net", **options), (28, 28, 1), 2)
    assert sum(layer.name.endswith("_depthwise") for layer in model.layers) == blocks
    found = [model.get_layer(f"stage{n}_block1_pointwise_conv").filters for n in (1, 2, 3, 4)]
    assert found == channels


def test_space_to_depth_is_a_convolution_by_squares() -> None:
    import keras

    model = build_model(recipe("edge_net", space_to_depth=True), (16, 20, 3), 2)
    kernel = model.get_layer("stem_conv").kernel
    stem = keras.Model(model.input, model.get_layer("stem_conv").output)
    image = np.random.default_rng(0).normal(size=(2, 16, 20, 3)).astype(np.float32)
    squares = keras.ops.conv(
        image, keras.ops.reshape(kernel, (4, 4, 3, -1)), strides=4, padding="valid"
    )
    assert np.allclose(stem(image), squares, atol=1e-5)


@pytest.mark.parametrize("shape", [(30, 28, 1), (28, 30, 1), (12, 12, 1)])
def test_space_to_depth_needs_sides_that_it_divides(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=f"not {shape[1]} x {shape[0]}") as caught:
        build_model(recipe("edge_net", space_to_depth=True), shape, 2)
    assert "multiples of 4" in caught.value.fix


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_large", "efficientnet_b0"])
def test_nets_take_fed_values_and_learn_their_averages_soon(name: str) -> None:
    model = build_model(recipe(name), (32, 32, 3), 2)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not kinds & {"Rescaling", "Normalization"}
    momenta = {getattr(layer, "momentum", None) for layer in model.layers} - {None}
    assert momenta == {0.9}


def test_the_layers_of_keras_applications_keep_their_names() -> None:
    import keras

    theirs = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    ours = build_model(recipe("mobilenet_v2", width=0.35), (32, 32, 3), 2)
    named = {layer.name: [w.shape for w in layer.weights] for layer in ours.layers}
    assert [(n.name, [w.shape for w in n.weights]) for n in theirs.layers if n.weights] == [
        (name, shapes) for name, shapes in named.items() if shapes and name != "scores"
    ]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_clip_is_seen_frame_by_frame(cell: str) -> None:
    """The folded net gives the cell what the net alone says of each frame."""
    import keras

    model = build_model(recipe("seed_cnn", cell=cell), (3, 12, 10, 1), 2)
    assert model.layers[0].name == "frames"
    seen = keras.Model(model.input, model.get_layer(cell).input)
    alone = build_model(recipe("seed_cnn"), (12, 10, 1), 2)
    for layer in ("conv1", "conv2", "dense"):
        alone.get_layer(layer).set_weights(model.get_layer(layer).get_weights())
    features = keras.Model(alone.input, alone.get_layer("dense").output)
    clips = np.random.default_rng(0).normal(size=(4, 3, 12, 10, 1)).astype(np.float32)
    each = np.stack([features(clips[:, frame]) for frame in range(3)], axis=1)
    assert np.allclose(seen(clips), each, atol=1e-5)
    assert model.get_layer(cell).get_config()["unroll"] is True


def test_the_models_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edge-sdk/models/1"
    assert [entry["name"] for entry in document["models"]] == list(ARCHITECTURES)
    assert main(["models", "efficientnet_b0", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["models"]
    assert entry == document["models"][list(ARCHITECTURES).index("efficientnet_b0")]
    assert entry["sizes"][0]["shape"] == [96, 96, 3]
    assert entry["pretrained"]["mean"] == [123.675, 116.28, 103.53]


def test_the_models_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    assert all(f"\n{name} " in table for name in ARCHITECTURES)
    assert "python:MODULE:FUNCTION" in table
    assert main(["models", "mobilenet_v2"]) == 0
    told = capsys.readouterr().out
    for part in (
        "719,034 parameters",
        "17,618,240 MACs",
        "options.width",
        "0.35",
        "mean = [127.5]",
    ):
        assert part in told
    assert main(["models", "mobilenet_2"]) == 1
    assert 'did you mean "mobilenet_v2"?' in capsys.readouterr().err
