"""Fake quantization: each kind of layer alone, against its int8 model in LiteRT; whole models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.compression.fake_quant import fake_quantized, is_fake_quantized, to_int8
from edge_converter.models import build_model
from edge_converter.tf.setup import load_tensorflow
from edge_sdk import open_engine
from edge_sdk.errors import ConfigError
from edge_sdk.tensors import quantize
from edge_sdk.tflite.graph import Graph, read_graph

pytestmark = pytest.mark.slow

SHAPE = (8, 8, 4)
Net = Callable[[Any, Any], Any]
"""(keras, input) -> output"""


LSTM = "ADD FULLY_CONNECTED LOGISTIC MUL RESHAPE STRIDED_SLICE TANH"


def conv(k: Any, x: Any, channels: int = 4, **keys: Any) -> Any:
    return k.layers.Conv2D(channels, 3, padding="same", **keys)(x)


def normalised(k: Any, x: Any) -> Any:
    return k.layers.BatchNormalization()(x)


def cell(kind: str, **keys: Any) -> Net:
    return lambda k, x: getattr(k.layers, kind)(3, unroll=True, **keys)(
        k.layers.Reshape((4, 64))(x)
    )


def nested(k: Any, x: Any) -> Any:
    inner = k.Sequential([k.Input(SHAPE), k.layers.Conv2D(3, 3), k.layers.ReLU()])
    return normalised(k, k.Sequential([k.Input(SHAPE), inner, k.layers.Conv2D(2, 1)])(x))


KINDS: dict[str, tuple[Net, str]] = {
    "conv": (lambda k, x: conv(k, x, dilation_rate=2, use_bias=False), "CONV_2D"),
    "conv relu": (lambda k, x: conv(k, x, activation="relu"), "CONV_2D"),
    "conv norm relu6": (lambda k, x: k.layers.ReLU(6.0)(normalised(k, conv(k, x))), "CONV_2D"),
    "depthwise": (
        lambda k, x: k.layers.ReLU()(
            normalised(k, k.layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(x))
        ),
        "DEPTHWISE_CONV_2D",
    ),
    "separable": (
        lambda k, x: k.layers.SeparableConv2D(6, 3, activation="relu6")(x),
        "CONV_2D DEPTHWISE_CONV_2D",
    ),
    "dense": (
        lambda k, x: normalised(k, k.layers.Dense(5)(k.layers.Flatten()(x))),
        "FULLY_CONNECTED RESHAPE",
    ),
    "dense over rows": (
        lambda k, x: k.layers.Dense(5, activation="relu")(k.layers.Reshape((16, 16))(x)),
        "FULLY_CONNECTED RESHAPE",
    ),
    "norm alone": (normalised, "DEPTHWISE_CONV_2D"),
    "norm of rows": (
        lambda k, x: normalised(k, k.layers.Reshape((32, 8))(x)),
        "DEPTHWISE_CONV_2D RESHAPE",
    ),
    "rescaling": (lambda k, x: k.layers.Rescaling(2.0, -0.5)(x), "DEPTHWISE_CONV_2D"),
    "normalization": (
        lambda k, x: k.layers.Normalization(
            mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0]
        )(x),
        "DEPTHWISE_CONV_2D",
    ),
    "add relu": (lambda k, x: k.layers.ReLU()(k.layers.Add()([x, conv(k, x)])), "ADD CONV_2D"),
    "used twice": (
        lambda k, x: (lambda y: k.layers.Add()([y, conv(k, k.layers.ReLU()(y))]))(conv(k, x)),
        "ADD CONV_2D RELU",
    ),
    "subtract": (lambda k, x: conv(k, x) - x, "CONV_2D SUB"),
    "multiply": (lambda k, x: k.layers.Multiply()([x, conv(k, x)]), "CONV_2D MUL"),
    "concatenate": (
        lambda k, x: k.layers.Concatenate()([conv(k, x, activation="relu"), conv(k, x, 2)]),
        "CONCATENATION CONV_2D",
    ),
    "concatenate chain": (
        lambda k, x: k.layers.Concatenate()(
            [k.layers.Concatenate()([(y := conv(k, x)), conv(k, y, 2)]), conv(k, y, 2)]
        ),
        "CONCATENATION CONV_2D",
    ),
    "concatenate the input": (
        lambda k, x: k.layers.Concatenate()([x, conv(k, x)]),
        "CONCATENATION CONV_2D DEPTHWISE_CONV_2D",
    ),
    "max pool": (lambda k, x: k.layers.MaxPooling2D(2)(conv(k, x)), "CONV_2D MAX_POOL_2D"),
    "average pool": (
        lambda k, x: k.layers.AveragePooling2D(3, padding="same")(conv(k, x)),
        "AVERAGE_POOL_2D CONV_2D",
    ),
    "global average": (lambda k, x: k.layers.GlobalAveragePooling2D()(conv(k, x)), "CONV_2D MEAN"),
    "global max": (lambda k, x: k.layers.GlobalMaxPooling2D()(conv(k, x)), "CONV_2D REDUCE_MAX"),
    "relu alone": (lambda k, x: k.layers.ReLU()(x), "RELU"),
    "hard swish": (
        lambda k, x: k.layers.Activation("hard_swish")(conv(k, x)),
        "CONV_2D HARD_SWISH",
    ),
    "hard sigmoid": (
        lambda k, x: k.layers.Activation("hard_sigmoid")(conv(k, x)),
        "ADD CONV_2D MUL",
    ),
    "hard sigmoid by hand": (
        lambda k, x: k.layers.ReLU(6.0)(conv(k, x) + 3.0) * (1.0 / 6.0),
        "ADD CONV_2D MUL",
    ),
    "swish": (lambda k, x: conv(k, x, activation="swish"), "CONV_2D LOGISTIC MUL"),
    "swish operation": (lambda k, x: k.activations.silu(conv(k, x)), "CONV_2D LOGISTIC MUL"),
    "sigmoid": (lambda k, x: conv(k, x, activation="sigmoid"), "CONV_2D LOGISTIC"),
    "tanh": (lambda k, x: conv(k, conv(k, x, activation="tanh")), "CONV_2D TANH"),
    "softmax": (
        lambda k, x: k.layers.Dense(5, activation="softmax")(k.layers.Flatten()(x)),
        "FULLY_CONNECTED RESHAPE SOFTMAX",
    ),
    "softmax layer": (lambda k, x: k.layers.Softmax()(conv(k, x)), "CONV_2D SOFTMAX"),
    "padding": (
        lambda k, x: k.layers.Conv2D(3, 3, strides=2)(k.layers.ZeroPadding2D(1)(conv(k, x))),
        "CONV_2D PAD",
    ),
    "cropping": (lambda k, x: conv(k, k.layers.Cropping2D(1)(x)), "CONV_2D STRIDED_SLICE"),
    "permute": (lambda k, x: conv(k, k.layers.Permute((2, 1, 3))(x)), "CONV_2D TRANSPOSE"),
    "space to depth": (
        lambda k, x: conv(k, k.ops.space_to_depth(x, 4)),
        "CONV_2D SPACE_TO_DEPTH",
    ),
    "dropout": (lambda k, x: conv(k, k.layers.Dropout(0.5)(conv(k, x))), "CONV_2D"),
    "nested": (nested, "CONV_2D"),
    "lstm": (cell("LSTM"), LSTM),
    "lstm of all steps": (cell("LSTM", return_sequences=True), f"{LSTM} CONCATENATION"),
    "gru": (cell("GRU"), f"{LSTM} DEPTHWISE_CONV_2D SUB"),
}
"""{kind of layer: (a net of it, the operators that it becomes)}."""


@pytest.fixture(scope="module")
def made() -> Callable[[Any], Any]:
    """`made(net, shape=SHAPE)`: a model of it in which every weight, batch norm's too, counts."""
    load_tensorflow()
    import keras

    def make(net: Any, shape: tuple[int, ...] = SHAPE) -> Any:
        keras.utils.set_random_seed(3)
        image = keras.Input(shape, name="image")
        return alive(keras.Model(image, net(image), name="net"))

    return make


def alive(model: Any) -> Any:
    rng = np.random.default_rng(3)
    for weight in model.weights:
        noise = rng.uniform(-0.3, 0.3, weight.shape)
        if "kernel" not in weight.path and "seed" not in weight.path:
            weight.assign(np.asarray(weight) + noise)
    return model


def samples(shape: tuple[int, ...] = SHAPE, count: int = 24) -> np.ndarray[Any, Any]:
    found = np.random.default_rng(4).uniform(-1, 1, (count, *shape)).astype(np.float32)
    found.flat[0], found.flat[-1] = -1, 1
    return found


def difference(fake: Any, model: bytes, fed: np.ndarray[Any, Any]) -> int:
    """The largest, between the int8 model in LiteRT and the fake-quantized one, in output steps."""
    wanted = np.asarray(fake(fed, training=False))
    with open_engine("litert", model) as engine:
        spec, out = engine.inputs[0], engine.outputs[0]
        found = np.concatenate([engine(quantize(one[None], spec))[0].copy() for one in fed])
    return int(np.abs(found.astype(int) - quantize(wanted, out).astype(int)).max())


def all_int8(graph: Graph) -> bool:
    used = {t for o in graph.operators for t in (*o.inputs, *o.outputs) if t != -1}
    values = {t for t in used if not graph.tensors[t].is_constant}
    return {graph.tensors[t].dtype for t in values} == {"int8"}


def kernels(graph: Graph) -> list[tuple[int, int]]:
    """(scales, outputs) of each kernel."""
    found = []
    for operator in graph.operators:
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel = graph.tensors[operator.inputs[1]]
            last = operator.name == "DEPTHWISE_CONV_2D"
            found.append((len(kernel.scales), kernel.shape[-1 if last else 0]))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_layer_alone(name: str, made: Callable[[Any], Any]) -> None:
    import keras

    net, operators = KINDS[name]
    fake = fake_quantized(made(lambda x: net(keras, x)), samples())
    model = to_int8(fake, "int8")
    graph = read_graph(model)
    assert sorted({operator.name for operator in graph.operators}) == sorted(set(operators.split()))
    assert all_int8(graph)
    assert all(scales == outputs for scales, outputs in kernels(graph))
    # A step of tanh's grid, 1/128, is more than one of the state's.
    assert difference(fake, model, samples()) <= (5 if "gru" in name else 1)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_folded_answers_alike(seed: int) -> None:
    """Random nets of convolutions, depthwise ones, batch norms anywhere, activations and sums."""
    import keras
    from keras import layers

    from edge_converter.compression.fake_quant.plain import plain

    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((6, 6, 3))
    for _ in range(8):
        kind = rng.integers(6)
        if kind == 0:
            x = layers.Conv2D(int(rng.integers(2, 6)), 3, padding="same", use_bias=seed % 2)(x)
        elif kind == 1:
            x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
        elif kind == 2:
            x = layers.Activation("swish")(x)
        elif kind == 3:
            x = layers.Add()([x, layers.Dense(x.shape[-1])(x)])
        else:
            x = layers.BatchNormalization(scale=bool(rng.integers(2)))(x)
    model = alive(keras.Model(image, x))
    written = plain(model)
    fed = samples((6, 6, 3))
    wanted = np.asarray(model(fed, training=False))
    np.testing.assert_allclose(
        np.asarray(written(fed, training=False)), wanted, atol=1e-5 * np.abs(wanted).max()
    )
    assert "BatchNormalization" not in {type(layer).__name__ for layer in written.layers}


def test_a_fold_takes_the_batch_norm_into_the_layer_before_it(made: Callable[[Any], Any]) -> None:
    from keras import layers

    from edge_converter.compression.fake_quant.plain import plain

    def net(x: Any) -> Any:
        alone = layers.BatchNormalization()(layers.Conv2D(3, 1)(x))
        shared = layers.Conv2D(3, 1)(x)
        return layers.Add()([alone, layers.BatchNormalization()(shared), shared])

    found = [type(layer).__name__ for layer in plain(made(net)).layers]
    assert found.count("Conv2D") == 2
    assert found.count("DepthwiseConv2D") == 1  # the batch norm of what serves the sum too


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("seed_cnn", (10, 10, 1), {}),
        ("edge_net", (16, 20, 3), {"width": 0.25, "depth": 0.5, "space_to_depth": True}),
        pytest.param("mobilenet_v2", (32, 32, 3), {"width": 0.35}, marks=pytest.mark.campaign),
    ],
)
def test_whole_models(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    table = {"name": "x", "data": {"source": "digits"}, "model": {"name": name, "options": options}}
    model = alive(build_model(Recipe.parse(table), shape, 3))
    fake = fake_quantized(model, samples(shape))
    converted = to_int8(fake, "int8")
    graph = read_graph(converted)
    assert all_int8(graph) and all(scales == outputs for scales, outputs in kernels(graph))
    assert not {"QUANTIZE", "DEQUANTIZE"} & {operator.name for operator in graph.operators}
    assert graph.input_specs[0].shape == (1, *shape)
    assert difference(fake, converted, samples(shape)) <= 1


@pytest.mark.parametrize("io", ["uint8", "float32"])
def test_inputs_and_outputs_of_another_type(io: str, made: Callable[[Any], Any]) -> None:
    from keras import layers

    graph = read_graph(to_int8(fake_quantized(made(layers.Conv2D(2, 3)), samples()), io))
    assert graph.precision == "int8"
    assert {graph.input_specs[0].dtype, graph.output_specs[0].dtype} == {io}


def test_the_input_path_of_the_device_holds(made: Callable[[Any], Any]) -> None:
    """Whole pixels from 0 to 1 are stored with their top bit flipped."""
    from keras import layers

    fed = np.abs(samples())
    fed.flat[0] = 0
    fake = fake_quantized(made(layers.Conv2D(2, 3)), fed)
    quant = read_graph(to_int8(fake, "int8")).input_specs[0].quant
    assert quant is not None
    assert (quant.scale, quant.zero_point) == (pytest.approx(1 / 255, rel=1e-6), -128)
    assert not any("fed_0" in weight.path for weight in fake.trainable_weights)


def test_one_grid_for_a_dense_kernel_where_it_is_asked_for(made: Callable[[Any], Any]) -> None:
    from keras import layers

    def net(x: Any) -> Any:
        return layers.Dense(5, activation="softmax")(layers.Flatten()(layers.Conv2D(3, 3)(x)))

    fake = fake_quantized(made(net), samples(), dense_per_tensor=True)
    model = to_int8(fake, "int8")
    assert kernels(read_graph(model)) == [(3, 3), (1, 5)]
    assert difference(fake, model, samples()) <= 1


def test_channels_and_layers_of_zeros(made: Callable[[Any], Any]) -> None:
    """Pruned to nothing: no scale of 0, no overflow of the bias."""
    from keras import layers

    def net(x: Any) -> Any:
        x = layers.Conv2D(4, 3, activation="relu", name="some")(x)
        x = layers.DepthwiseConv2D(3, name="none")(x)
        return layers.Dense(3, name="dense")(layers.Flatten()(x))

    model = made(net)
    for name, zeros in (("some", slice(0, 2)), ("none", slice(None)), ("dense", slice(0, 1))):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        kernel[(..., slice(None), zeros)[-kernel.ndim :] if name != "none" else ...] = 0
        layer.set_weights([kernel, bias])
    fake = fake_quantized(model, samples())
    assert difference(fake, to_int8(fake, "int8"), samples()) <= 1


def test_a_dense_bias_of_one_value(made: Callable[[Any], Any]) -> None:
    """With outputs of very different step: each rounds the bias in its own."""
    from keras import layers

    model = made(lambda x: layers.Dense(3, name="dense")(layers.Flatten()(x)))
    layer = model.get_layer("dense")
    kernel, bias = layer.get_weights()
    kernel[:, 1] /= 200
    layer.set_weights([kernel, np.full_like(bias, 0.3)])
    fake = fake_quantized(model, samples())
    assert difference(fake, to_int8(fake, "int8"), samples()) <= 1


def test_ranges_and_kernels_learn(made: Callable[[Any], Any]) -> None:
    from keras import layers

    def net(x: Any) -> Any:
        x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))
        return layers.Dense(2, activation="softmax")(layers.Flatten()(x))

    model = made(net)
    fake = fake_quantized(model, 0.2 * samples())  # narrow: what it learns from is beyond
    before = {weight.path: np.asarray(weight) for weight in fake.weights}
    labels = np.eye(2, dtype=np.float32)[(samples().mean(axis=(1, 2, 3)) > 0).astype(int)]
    fake.compile("adam", "categorical_crossentropy")
    losses = fake.fit(samples(), labels, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    moved = {p for w in fake.weights if not np.array_equal(before[p := w.path], np.asarray(w))}
    assert any("growth" in path for path in moved)
    assert {path for path in before if path.endswith(("kernel", "bias"))} <= moved
    assert not any("measured" in path for path in moved)
    assert is_fake_quantized(fake) and not is_fake_quantized(model)
    assert difference(fake, to_int8(fake, "int8"), samples()) <= 1


def test_it_is_loaded_in_another_process(made: Callable[[Any], Any], tmp_path: Path) -> None:
    from keras import layers

    def net(x: Any) -> Any:
        x = layers.Concatenate()([layers.Conv2D(2, 3)(x), layers.DepthwiseConv2D(3)(x)])
        return layers.Dense(3)(layers.Flatten()(x))

    fake = fake_quantized(made(net), samples())
    fake.save(tmp_path / "fake.keras")
    np.save(tmp_path / "fed.npy", samples())
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from edge_converter.tf.setup import leave_out_extras\n"
        "from edge_converter.models.keras_files import load_keras\n"
        "from edge_converter.compression.fake_quant import is_fake_quantized, to_int8\n"
        "leave_out_extras()\n"
        "folder = Path(sys.argv[1]); model = load_keras(folder / 'fake.keras')\n"
        "assert is_fake_quantized(model)\n"
        "np.save(folder / 'found.npy', np.asarray(model(np.load(folder / 'fed.npy'))))\n"
        "(folder / 'model.tflite').write_bytes(to_int8(model, 'int8'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), np.asarray(fake(samples())))
    assert difference(fake, (tmp_path / "model.tflite").read_bytes(), samples()) <= 1


def refused() -> dict[str, tuple[Callable[[Any], Any], str]]:
    import keras
    from keras import layers, ops

    class Doubled(layers.ReLU):  # type: ignore[misc]
        pass

    class Own(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x + 1

    return {
        "no rule": (layers.UnitNormalization(name="unit"), r"'unit' \(UnitNormalization\) has no"),
        "own class": (Doubled(name="mine"), r"'mine' \(Doubled\) has no rule"),
        "operation": (ops.sin, r"\(Sin\) has no rule"),
        "activation": (layers.Conv2D(2, 3, activation="gelu", name="c"), r"'c' .* 'gelu'"),
        "relu to 1": (layers.ReLU(1.0, name="one"), "'one' .* ends at 1"),
        "leaky": (layers.ReLU(negative_slope=0.1, name="leaky"), "'leaky' .* slope"),
        "axis": (layers.BatchNormalization(axis=1, name="rows"), "'rows' .* last axis"),
        "softmax": (layers.Softmax(axis=1, name="over"), "'over' .* last axis"),
        "no reset": (
            lambda x: layers.GRU(2, reset_after=False, name="gru")(layers.Reshape((4, 64))(x)),
            "'gru' .* reset_after",
        ),
        "model": (Own(name="own"), r"'own' \(Own\) is a model that is not a graph"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("no rule", "own class", "operation", "activation", "relu to 1"),
        *("leaky", "axis", "softmax", "no reset", "model"),
    ],
)
def test_what_has_no_rule_is_named(name: str, made: Callable[[Any], Any]) -> None:
    net, told = refused()[name]
    with pytest.raises(ConfigError, match=told) as caught:
        fake_quantized(made(net), samples())
    assert 'remove "qat" from steps' in caught.value.fix
