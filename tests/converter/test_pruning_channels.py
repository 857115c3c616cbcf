"""Channels cut out of a network: what is left answers as if they had never said anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.compression.pruning import Trace, choose, entropies, l1_norms, narrowed, trace
from edge_converter.models import build_model

pytestmark = pytest.mark.slow

SHAPE = (8, 8, 3)
CLASSES = 3
TOLERANCE = 1e-5
"""Of probabilities: the same sums of float32 values in another order."""


@pytest.fixture
def layers() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    return keras.layers


def network(net: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> Any:
    """From an image through `net`, with weights that are nowhere a special case."""
    import keras

    given = keras.Input(shape)
    scores = keras.layers.Dense(CLASSES, activation="softmax", name="scores")
    return unsettled(keras.Model(given, scores(net(given))))


def unsettled(model: Any) -> Any:
    """`model` with biases and batch norm that leave no channel of zeros at zero."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "kernel" not in weight.name:
            weight.assign(random.uniform(0.2, 1, weight.shape))
    return model


def samples(model: Any, count: int = 4) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(1)
    return random.uniform(-1, 1, (count, *model.inputs[0].shape[1:])).astype(np.float32)


def silenced(model: Any, found: Trace, keep: np.ndarray[Any, Any]) -> Any:
    """All of `model`, with zeros in the channels that go, behind each layer."""
    import keras

    def call(op: Any, *args: Any, **kwargs: Any) -> Any:
        made = op(*args, **kwargs)
        if op.name in found.passages:
            made = made * keep[found.passages[op.name].writes].astype(np.float32)
        return made

    graph = keras.Model(model.inputs[0], model.outputs[0])
    clone = keras.models.clone_model(graph, call_function=call)
    for layer in filter(lambda layer: layer.weights, graph.layers):
        clone.get_layer(layer.name).set_weights(layer.get_weights())
    return clone


def pruned(model: Any, ratio: float = 0.5) -> tuple[Any, Trace]:
    """The narrower model by L1, shown to answer as `model` does without the channels that go."""
    found = trace(model)
    keep = choose(found, l1_norms(model, found), ratio)
    smaller, fed = narrowed(model, found, keep), samples(model)
    answers = smaller(fed, training=False)
    wanted = silenced(model, found, keep)(fed, training=False)
    np.testing.assert_allclose(answers, wanted, atol=TOLERANCE)
    assert keep.all() or not np.allclose(answers, model(fed, training=False), atol=TOLERANCE)
    return smaller, found


def widths(model: Any) -> dict[str, int]:
    """{layer: channels that it makes}."""
    sizes = {layer.name: layer.get_config() for layer in model.layers}
    both = {name: config.get("filters", config.get("units")) for name, config in sizes.items()}
    return {name: size for name, size in both.items() if size is not None}


# --- the same answers ----------------------------------------------------------------------------


def random_net(seed: int) -> Callable[[Any], Any]:
    """Ten layers drawn by lot; concatenations, additions and squeeze-and-excite among them."""
    import keras

    layers, random = keras.layers, np.random.default_rng(seed)

    def net(x: Any) -> Any:
        def width() -> int:
            return int(random.integers(3, 9))

        def convolution(x: Any, channels: int | None = None) -> Any:
            return layers.Conv2D(channels or width(), 3, padding="same", activation="relu")(x)

        def excited(x: Any) -> Any:
            pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
            gates = layers.Conv2D(x.shape[-1], 1, activation="hard_sigmoid")
            return layers.Multiply()([x, gates(convolution(pooled))])

        blocks = [
            convolution,
            lambda x: layers.DepthwiseConv2D(
                3, padding="same", depth_multiplier=int(random.integers(1, 3))
            )(x),
            lambda x: layers.SeparableConv2D(
                width(), 3, padding="same", depth_multiplier=int(random.integers(1, 3))
            )(x),
            lambda x: layers.BatchNormalization()(x),
            lambda x: layers.Add()([x, convolution(x, x.shape[-1])]),
            lambda x: x * 0.5 + convolution(x, x.shape[-1]),
            lambda x: layers.Concatenate()([convolution(x), x, convolution(x)]),
            lambda x: layers.ZeroPadding2D(1)(layers.MaxPooling2D(2, strides=1)(x)),
            excited,
        ]
        x = convolution(x)
        for block in random.permutation(len(blocks)):
            x = blocks[block](x)
        x = layers.AveragePooling2D(4)(convolution(x))
        x = (layers.Flatten() if seed % 2 else layers.Reshape((-1, x.shape[-1])))(x)
        x = layers.Dense(width(), activation="relu")(x)
        return x if seed % 2 else layers.GlobalMaxPooling1D()(x)

    return net


@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed: int) -> None:
    model = network(random_net(seed))
    smaller, found = pruned(model)
    assert not found.whole and len(found.groups) >= 5
    assert smaller.count_params() < 0.6 * model.count_params()


TINY: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("seed_cnn", (10, 10, 1), {}),
    ("edge_net", (16, 20, 3), {"width": 0.25, "space_to_depth": True}),
    ("mobilenet_v3_small", (32, 32, 3), {}),
    ("squeezenet", (31, 31, 3), {}),
]
WIDE: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("mobilenet_v1", (32, 32, 3), {"width": 0.25}),
    ("mobilenet_v2", (32, 32, 3), {"width": 0.35}),
]
"""Of layers that those before have as well: that each of them gets narrower is enough."""


def untrained(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> Any:
    recipe = {"name": "x", "model": {"name": name, "options": options}}
    parsed = Recipe.parse({**recipe, "data": {"source": "digits"}})
    return unsettled(build_model(parsed, shape, CLASSES))


def check_half(model: Any, smaller: Any) -> None:
    """Every layer has half of its channels, but for the last one."""
    halves = {name: size - size // 2 for name, size in widths(model).items()}
    assert widths(smaller) == {**halves, "scores": CLASSES}
    assert smaller.count_params() < 0.4 * model.count_params()


@pytest.mark.parametrize(("name", "shape", "options"), TINY, ids=[name for name, *_ in TINY])
def test_architectures(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    model = untrained(name, shape, options)
    smaller, found = pruned(model)
    assert not found.whole
    check_half(model, smaller)


@pytest.mark.parametrize(("name", "shape", "options"), WIDE, ids=[name for name, *_ in WIDE])
def test_more_architectures(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    model = untrained(name, shape, options)
    found = trace(model)
    assert not found.whole
    check_half(model, narrowed(model, found, choose(found, l1_norms(model, found), 0.5)))


def test_efficientnet_in_blocks(layers: Any) -> None:
    """Squeeze-and-excite over a Reshape, as in keras.applications' EfficientNet."""

    def net(x: Any) -> Any:
        x = layers.Conv2D(8, 3, use_bias=False, name="expand")(x)
        x = layers.Activation("silu")(layers.BatchNormalization()(x))
        gates = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
        gates = layers.Conv2D(2, 1, activation="silu", name="reduce")(gates)
        gates = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gates)
        x = layers.Dropout(0.2)(layers.Multiply()([x, gates]))
        return layers.GlobalAveragePooling2D()(x)

    smaller, _ = pruned(network(net))
    assert widths(smaller) == {"expand": 4, "reduce": 1, "excite": 4, "scores": CLASSES}


def test_a_sequential_model() -> None:
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(CLASSES, activation="softmax", name="scores"),
        ]
    )
    smaller, _ = pruned(unsettled(model))
    assert widths(smaller) == {"conv": 3, "hidden": 2, "scores": CLASSES}


# --- which channels go ---------------------------------------------------------------------------


def test_the_least_weights_go(layers: Any) -> None:
    model = network(lambda x: layers.Flatten()(layers.Conv2D(4, 1, name="conv")(x)))
    kernel = model.get_layer("conv").kernel
    kernel.assign(np.broadcast_to([0.3, -2, 0.1, 1], kernel.shape))
    smaller, _ = pruned(model)
    np.testing.assert_array_equal(smaller.get_layer("conv").kernel[0, 0, 0], [-2, 1])


def test_coupled_layers_share_one_choice(layers: Any) -> None:
    """By the sum: the second channel is the least of the first layer, not of both."""

    def net(x: Any) -> Any:
        one, other = layers.Conv2D(3, 1, name="one")(x), layers.Conv2D(3, 1, name="other")(x)
        return layers.GlobalAveragePooling2D()(layers.Add()([one, other]))

    model = network(net)
    for name, values in {"one": [0.5, 0.1, 0.6], "other": [0.5, 3, 0.7]}.items():
        kernel = model.get_layer(name).kernel
        kernel.assign(np.broadcast_to(values, kernel.shape))
    smaller, found = pruned(model, 0.4)
    assert len(found.groups) == 1
    for name, values in {"one": [0.1, 0.6], "other": [3, 0.7]}.items():
        kernel = smaller.get_layer(name).kernel
        np.testing.assert_array_equal(kernel[0, 0, 0], np.float32(values))


def test_parts_of_a_concatenation_are_coupled_by_their_place(layers: Any) -> None:
    def net(x: Any) -> Any:
        parts = [layers.Conv2D(size, 1, name=f"part{size}")(x) for size in (2, 4)]
        whole = layers.Conv2D(6, 1, name="whole")(x)
        return layers.Flatten()(layers.Add()([layers.Concatenate()(parts), whole]))

    model = network(net)
    for name, values in {"part2": [5, 0.1], "part4": [1, 0.1, 0.2, 2], "whole": [1] * 6}.items():
        kernel = model.get_layer(name).kernel
        kernel.assign(np.broadcast_to(values, kernel.shape))
    smaller, found = pruned(model)
    assert len(found.groups) == 1
    assert widths(smaller) == {"part2": 1, "part4": 2, "whole": 3, "scores": CLASSES}


def test_a_layer_that_loses_to_those_it_is_coupled_to_keeps_one(layers: Any) -> None:
    def net(x: Any) -> Any:
        parts = [layers.Conv2D(3, 1, name=name)(x) for name in ("strong", "weak")]
        whole = layers.Conv2D(6, 1, name="whole")(x)
        return layers.Flatten()(layers.Add()([layers.Concatenate()(parts), whole]))

    model = network(net)
    for name, size in {"strong": 5, "weak": 0.1, "whole": 1}.items():
        model.get_layer(name).kernel.assign(np.full((1, 1, 3, 6 if name == "whole" else 3), size))
    smaller, _ = pruned(model)
    assert widths(smaller) == {"strong": 3, "weak": 1, "whole": 4, "scores": CLASSES}


@pytest.mark.parametrize(
    ("ratio", "left"),
    [(1e-9, (1, 5)), (0.19, (1, 5)), (0.2, (1, 4)), (0.5, (1, 3)), (0.999999, (1, 1))],
)
def test_of_each_layer_one_channel_stays(ratio: float, left: tuple[int, int], layers: Any) -> None:
    def net(x: Any) -> Any:
        x = layers.Conv2D(1, 3, name="narrow")(x)
        return layers.Flatten()(layers.Conv2D(5, 3, name="wide")(x))

    smaller, _ = pruned(network(net), ratio)
    after = widths(smaller)
    assert (after["narrow"], after["wide"]) == left


def test_entropy_and_l1_disagree(layers: Any) -> None:
    """The third channel has the largest weights, and always says the same: its bias drowns them."""

    def net(x: Any) -> Any:
        return layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, activation="relu", name="c")(x))

    model = network(net)
    conv = model.get_layer("c")
    conv.kernel.assign(np.broadcast_to([0.5, 1, 3], conv.kernel.shape))
    conv.bias.assign([1, 2, -20])
    found, fed = trace(model), samples(model, 200)
    by_weights = choose(found, l1_norms(model, found), 0.4)
    scores = entropies(model, found, [fed[:150], fed[150:]])
    writes = found.passages["c"].writes
    assert by_weights[writes].tolist() == [False, True, True]
    assert choose(found, scores, 0.4)[writes].tolist() == [True, True, False]
    assert scores[writes][2] == 0 and scores[writes][1] > scores[writes][0] > 1


def test_entropy_of_values_that_are_known(layers: Any) -> None:
    """Half of the samples say 0, a quarter 1, a quarter 2: 1.5 bits."""
    model = network(lambda x: layers.Dense(1, use_bias=False, name="hidden")(x), (1,))
    model.get_layer("hidden").kernel.assign([[1.0]])
    found = trace(model)
    fed = np.float32([0, 1, 0, 2] * 5)[:, None]
    scores = entropies(model, found, [fed])
    hidden = found.passages["hidden"].writes
    assert scores[hidden] == pytest.approx([1.5 * np.log(2)])


# --- left whole ----------------------------------------------------------------------------------


def frozen(model: Any) -> tuple[dict[str, str], dict[str, int]]:
    """What is left whole, and why; the channels of each layer afterwards."""
    smaller, found = pruned(model)
    return found.whole, widths(smaller)


def test_a_layer_that_no_rule_covers(layers: Any) -> None:
    """What it reads stays whole, and what it makes; layers before and behind are pruned."""

    def net(x: Any) -> Any:
        x = layers.Conv2D(4, 3, name="before")(x)
        x = layers.Conv2D(4, 3, name="touched")(x)
        x = layers.LayerNormalization(name="mixing")(x)
        x = layers.Conv2D(4, 3, name="behind")(x)
        return layers.Flatten()(x)

    whole, after = frozen(network(net))
    assert whole == {"touched": "mixing", "mixing": "mixing"}
    assert after == {"before": 2, "touched": 4, "behind": 2, "scores": CLASSES}


def test_layers_of_ones_own_are_left_whole() -> None:
    """Also those that are derived from one of Keras': they may do anything."""
    import keras

    layers = keras.layers

    @keras.saving.register_keras_serializable("pruning")
    class Mirrored(layers.Conv2D):
        def call(self, inputs: Any) -> Any:
            return keras.ops.flip(super().call(inputs), axis=-1)

    def net(x: Any) -> Any:
        x = layers.Conv2D(4, 3, name="touched")(x)
        x = Mirrored(4, 3, name="own")(x)
        return layers.Flatten()(layers.Conv2D(4, 3, name="behind")(x))

    whole, after = frozen(network(net))
    assert whole == {"touched": "own", "own": "own"}
    assert after == {"touched": 4, "own": 4, "behind": 2, "scores": CLASSES}


def test_what_else_is_left_whole(layers: Any) -> None:
    """A layer that is called twice, groups, a softmax inside, what is added to the input."""
    import keras

    def net(x: Any) -> Any:
        x = layers.Add()([x, layers.Conv2D(3, 1, name="residual")(x)])
        twice = layers.Conv2D(4, 3, padding="same", name="twice")
        x = twice(twice(layers.Conv2D(4, 1, name="reads")(x)))
        x = layers.Conv2D(4, 3, name="ahead")(x)
        x = layers.Conv2D(4, 3, groups=2, name="groups")(x)
        x = layers.Conv2D(4, 1, activation="softmax", name="attention")(x)
        x = layers.Conv2D(6, 1, name="shifted")(x) + np.arange(6, dtype=np.float32)
        x = layers.Conv2D(6, 1, name="rows")(x)
        x = keras.ops.reshape(x, (-1, 12))
        return layers.Dense(4, name="pruned")(x)

    whole, after = frozen(network(net))
    assert whole.keys() == {
        *("residual", "twice", "reads", "ahead", "groups", "attention", "shifted", "rows"),
    }
    assert whole["residual"] == "the input" and whole["ahead"] == "groups"
    assert after["pruned"] == 2
    assert all(after[name] >= 3 for name in whole)


def test_models_inside_a_model_and_sized_dropout(layers: Any) -> None:
    """Nothing in them is looked at; without anything else there is nothing to prune."""
    import keras

    def net(x: Any) -> Any:
        inner = keras.Sequential([layers.Conv2D(4, 3)], name="backbone")
        return layers.GlobalAveragePooling2D()(inner(x))

    whole, after = frozen(network(net))
    assert whole == {"backbone": "backbone"} and after == {"scores": CLASSES}

    def noisy(x: Any) -> Any:
        x = layers.Conv2D(4, 3, activation=layers.LeakyReLU(), name="conv")(x)
        return layers.Flatten()(layers.Dropout(0.5, noise_shape=(None, 1, 1, 4), name="drop")(x))

    assert frozen(network(noisy))[0] == {"conv": "drop"}


def test_nothing_changes_in_the_model_that_is_pruned(layers: Any) -> None:
    model = network(lambda x: layers.Flatten()(layers.Conv2D(4, 3, name="conv")(x)))
    before, weights = model.to_json(), model.get_weights()
    pruned(model)
    assert model.to_json() == before
    for ours, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model.get_layer("conv").output is not None  # called once, as it was


def test_trainable_and_names_stay(layers: Any) -> None:
    model = network(lambda x: layers.Flatten()(layers.Conv2D(4, 3, name="conv")(x)))
    model.get_layer("conv").trainable = False
    smaller, _ = pruned(model)
    names = [[layer.name for layer in one.layers[1:]] for one in (smaller, model)]
    assert names[0] == names[1]
    assert smaller.name == model.name and not smaller.get_layer("conv").trainable
