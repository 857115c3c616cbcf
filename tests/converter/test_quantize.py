"""Every way to quantize, layers kept in float, clipped ranges, and the error of each layer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.builder.stages import conversion_job
from edge_converter.models.own import import_module
from edge_converter.quantize.calibration import CalibratedModel, calibrate
from edge_converter.quantize.layer_error import layer_errors
from edge_converter.quantize.percentile import clipped
from edge_converter.quantize.to_tflite import check_agreement, convert_model
from edge_converter.quantize.worker import to_tflite
from edge_converter.quantize.worker_pool import run_child
from edge_converter.tf.concrete_function import batch_of_one, frozen
from edge_sdk.data.samples import Image
from edge_sdk.errors import ConfigError, TrainingError
from edge_sdk.tflite.graph import Graph, read_graph

pytestmark = pytest.mark.slow

Samples = np.ndarray[Any, Any]
SHAPE = (12, 12, 1)


@pytest.fixture(scope="module")
def net() -> Any:
    """A layer of each common kind, with weights and statistics as if trained."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6.0, name="relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="conv_1")(x)  # what TensorFlow calls conv
    x = layers.Add(name="add")([x, y])
    x = layers.MaxPooling2D(name="pool")(x)
    x = keras.Sequential(
        [keras.Input((6, 6, 8)), layers.Conv2D(8, 3, strides=2, name="inner")], name="inside"
    )(x)
    x = layers.Dense(16, activation="relu", name="dense")(layers.Flatten(name="flat")(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(x))
    model(np.random.default_rng(0).random((32, *SHAPE), np.float32), training=True)
    return model


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Inputs that span 0 to 1."""
    found = np.random.default_rng(2).random((24, *SHAPE), np.float32)
    found[0, 0, 0], found[0, -1, -1] = 0.0, 1.0
    return found


@pytest.fixture(scope="module")
def calibrated(net: Any, samples: Samples) -> CalibratedModel:
    return calibrated_from(net, samples)


def calibrated_from(model: Any, samples: Samples, calibration: str = "minmax") -> CalibratedModel:
    import tensorflow as tf

    single = batch_of_one(model)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(single)])
    return calibrate(converter, single, samples, calibration)


def kinds(graph: Graph, place: int = 0) -> list[tuple[str, str]]:
    """(operator, dtype of its output) of each; place 1: of its weights."""
    numbers = [(o.outputs[0] if place == 0 else o.inputs[1]) for o in graph.operators]
    return [(o.name, graph.tensors[n].dtype) for o, n in zip(graph.operators, numbers, strict=True)]


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "weights", "activations"),
    [("int16x8", "int8", "int16"), ("int4", "int4", "float32")],
)
def test_more_modes(
    net: Any, samples: Samples, tmp_path: Path, mode: str, weights: str, activations: str
) -> None:
    """Weights and activations as the mode says, float32 outside, and the same answers."""
    np.save(tmp_path / "calibration.npy", samples)
    path = tmp_path / "model.tflite"
    path.write_bytes(to_tflite(batch_of_one(net), mode, "float32", tmp_path))
    graph = read_graph(path.read_bytes())
    for operator in graph.operators:
        if operator.name in ("CONV_2D", "FULLY_CONNECTED"):
            assert graph.tensors[operator.inputs[1]].dtype == weights
            assert graph.tensors[operator.outputs[0]].dtype == activations
    assert [s.dtype for s in (*graph.input_specs, *graph.output_specs)] == ["float32"] * 2
    found = check_agreement(path, mode, samples, np.asarray(net(samples, training=False)))
    assert found.distance < (0.05 if mode == "int4" else 0.01)


# --- layers in float -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "operators"),
    [
        ("conv", ["CONV_2D"]),
        ("norm", ["CONV_2D"]),  # folded into it
        ("relu", ["CONV_2D"]),
        ("conv_1", ["DEPTHWISE_CONV_2D"]),
        ("add", ["ADD"]),
        ("inner", ["CONV_2D"]),
        ("dense", ["FULLY_CONNECTED"]),
        ("scores", ["FULLY_CONNECTED", "SOFTMAX"]),
        ("SOFTMAX", ["SOFTMAX"]),
        ("FULLY_CONNECTED", ["FULLY_CONNECTED", "FULLY_CONNECTED"]),
    ],
)
def test_a_layer_is_kept_in_float_and_no_other(
    calibrated: CalibratedModel, layer: str, operators: list[str]
) -> None:
    graph = read_graph(calibrated.quantized("int8", [layer]))
    work = [o for o in kinds(graph) if o[0] not in ("QUANTIZE", "DEQUANTIZE")]
    assert [name for name, dtype in work if dtype == "float32"] == operators
    plain = kinds(read_graph(calibrated.quantized("int8")))
    assert [name for name, _ in work] == [name for name, _ in plain]
    assert {dtype for _, dtype in plain} == {"int8"}


def test_which_of_two_alike_is_in_float(calibrated: CalibratedModel) -> None:
    """`conv` and `inner` are both CONV_2D; `conv_1` is what TensorFlow calls the call of `conv`."""
    for layer, place in (("conv", 0), ("inner", 1)):
        graph = read_graph(calibrated.quantized("int8", [layer]))
        found = [dtype for name, dtype in kinds(graph) if name == "CONV_2D"]
        assert found.index("float32") == place


def test_an_unknown_layer_is_an_error_that_lists_them(calibrated: CalibratedModel) -> None:
    with pytest.raises(ConfigError) as caught:
        calibrated.quantized("int8", ["conv_2"])
    assert "'conv_2'" in str(caught.value)
    assert "add, conv, conv_1, dense" in caught.value.fix and "SOFTMAX" in caught.value.fix


def test_inputs_and_outputs_stay_as_asked(calibrated: CalibratedModel) -> None:
    graph = read_graph(calibrated.quantized("uint8", ["conv", "scores"]))
    assert [s.dtype for s in (*graph.input_specs, *graph.output_specs)] == ["uint8"] * 2


# --- percentiles ---------------------------------------------------------------------------------


def test_percentiles_leave_out_what_is_rare(samples: Samples) -> None:
    """One pixel in 28,800 is a thousand times as bright: minmax gives the range to it."""
    import keras

    image = keras.Input((60, 60, 1))
    x = keras.layers.Conv2D(2, 1, name="conv", kernel_initializer="ones")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    images = np.random.default_rng(0).random((8, 60, 60, 1), np.float32)
    images[3, 5, 5] = 1000.0
    plain = calibrated_from(model, images)
    narrow = CalibratedModel(clipped(plain.content, images), plain.model)
    high, low = (range_of(c, "CONV_2D") for c in (plain, narrow))
    assert high == pytest.approx(1000 / 255, rel=0.01)
    assert low == pytest.approx(1 / 255, rel=0.01)
    for model_ in (plain, narrow):  # the input's range is not theirs to change
        graph = read_graph(model_.quantized("int8"))
        assert graph.input_specs[0].quant.scale == pytest.approx(1000 / 255, rel=0.01)


def range_of(calibrated: CalibratedModel, operator: str) -> float:
    graph = read_graph(calibrated.quantized("int8"))
    found = next(o for o in graph.operators if o.name == operator)
    return graph.tensors[found.outputs[0]].scales[0]


def test_a_few_values_are_never_clipped(samples: Samples) -> None:
    import keras

    image = keras.Input(SHAPE)
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    plain = calibrated_from(model, samples[:1])
    narrow = CalibratedModel(clipped(plain.content, samples[:1]), plain.model)
    made = [read_graph(one.quantized("int8")).tensors for one in (plain, narrow)]
    assert [t.scales for t in made[0]] == [t.scales for t in made[1]]


# --- error by layer ------------------------------------------------------------------------------


def test_the_broken_layer_is_the_worst(samples: Samples) -> None:
    """Small features beside large ones in one tensor: the small are lost."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    small = layers.Conv2D(4, 3, activation="relu", name="small")(image)
    large = layers.Conv2D(4, 3, activation="relu", name="large")(image)
    x = layers.Concatenate(name="join")([small, large])
    x = layers.Flatten(name="flat")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(x))
    whole = layer_errors(calibrated_from(model, samples), samples)
    kernel, bias = model.get_layer("large").get_weights()
    model.get_layer("large").set_weights([kernel * 1000, bias])
    calibrated = calibrated_from(model, samples)
    broken = layer_errors(calibrated, samples)
    assert whole[-1]["sqnr_db"] > 20 and min(one["sqnr_db"] for one in whole) > 20
    assert broken[0]["name"] == "small" and broken[0]["op"] == "CONV_2D"
    assert broken[0]["sqnr_db"] < 5 < broken[1]["sqnr_db"]
    assert set(broken[0]["together"]) == {"small", "large", "join", "flat", "scores"}
    mended = layer_errors(calibrated, samples, broken[0]["together"])
    assert "small" not in {one["name"] for one in mended}


def test_the_ratio_is_that_of_its_definition(samples: Samples) -> None:
    """A dense layer whose output is known: uniform rounding errors are a step's square by 12."""
    import keras

    entry = keras.Input((256,))
    model = keras.Model(entry, keras.layers.Dense(1, name="sum")(entry))
    model.get_layer("sum").set_weights([np.eye(256, 1, dtype=np.float32), np.zeros(1, np.float32)])
    inputs = np.random.default_rng(0).random((400, 256), np.float32)
    inputs[0, 0], inputs[1, 0] = 0.0, 1.0
    (found,) = layer_errors(calibrated_from(model, inputs), inputs)
    assert found["name"] == "sum" and found["op"] == "FULLY_CONNECTED"
    assert found["sqnr_db"] > 45


# --- the child -----------------------------------------------------------------------------------


@pytest.fixture
def convert_own(tmp_path: Path) -> Callable[..., Any]:
    """`convert_own(model, module, **quantize)`: convert it by a recipe whose model is of `module`,
    the source of own_module.py.
    """

    def make(model: Any, module: str = "", **quantize: Any) -> Any:
        model.save(tmp_path / "model.keras")
        (tmp_path / "own_module.py").write_text(module)
        recipe = Recipe.parse(
            {
                "name": "own",
                "data": {"source": "digits"},
                "input": {"width": 12, "height": 12, "color": "gray", "mean": [0], "std": [255]},
                "model": {"name": "python:own_module:build" if module else "seed_cnn"},
                "quantize": quantize,
            },
            folder=tmp_path,
        )
        images = [
            Image(0, str(i), pixels=np.full((12, 12), 20 * i, np.uint8), color="gray")
            for i in range(12)
        ]
        return convert_model(
            conversion_job(recipe, images),
            tmp_path / "model.keras",
            images,
            images,
            tmp_path,
            tmp_path / "convert.log",
        )

    return make


def test_the_record_names_the_worst(net: Any, convert_own: Any, tmp_path: Path) -> None:
    convert_own(net, float_layers=["dense"])
    worst = json.loads((tmp_path / "worst_layers.json").read_text())
    assert len(worst) > 2 and [w["sqnr_db"] for w in worst] == sorted(w["sqnr_db"] for w in worst)
    assert {"conv", "inner"} <= {w["name"] for w in worst} and "dense" not in {
        w["name"] for w in worst
    }
    graph = read_graph((tmp_path / "model.tflite").read_bytes())
    assert ("FULLY_CONNECTED", "float32") in kinds(graph)


def test_an_unknown_layer_is_the_recipes_fault(net: Any, convert_own: Any) -> None:
    with pytest.raises(ConfigError, match="'nowhere'"):
        convert_own(net, float_layers=["nowhere"])


def test_what_a_child_did_before_leaves_no_trace(
    net: Any, convert_own: Any, tmp_path: Path
) -> None:
    """The bytes of a model are those from a fresh process, which each thread has."""

    def made(mode: str) -> bytes:
        convert_own(net, mode=mode)
        return (tmp_path / "model.tflite").read_bytes()

    fresh: list[bytes] = []
    thread = threading.Thread(target=lambda: fresh.append(made("int8")))
    thread.start()
    thread.join()
    made("float16")
    assert [made("int8"), made("int8")] == [fresh[0]] * 2


ODD = """
import keras, tensorflow as tf

@keras.saving.register_keras_serializable()
class Odd(keras.layers.Layer):
    def call(self, x):
        return tf.math.erfinv(x / 2)
"""


def test_an_operator_that_does_not_exist_is_named_with_its_layer(
    convert_own: Any, tmp_path: Path
) -> None:
    import keras

    (tmp_path / "own_module.py").write_text(ODD)
    odd = import_module("own_module", tmp_path).Odd(name="odd")
    image = keras.Input(SHAPE)
    x = keras.layers.Flatten()(odd(keras.layers.Reshape((12, 12))(image)))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    with pytest.raises(TrainingError) as caught:
        convert_own(model, ODD)
    assert "layer 'odd': TensorFlow Lite has no Erfinv" in str(caught.value)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
            "the conversion ran out of memory (SIGKILL)",
        ),
        (
            "import os\nos.write(2, b'of no use')\nos.abort()\n",
            "the conversion failed (SIGABRT)",
        ),
        (
            "import os\nos.write(2, b'pthread_create() failed\\n@ 0x7f00 call')\nos.abort()\n",
            "the conversion ran out of memory (SIGABRT)",
        ),
    ],
)
def test_a_child_that_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, told: str
) -> None:
    """The last line of a stack trace is nobody's help; the file that has all of it is."""
    (tmp_path / "dying.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TrainingError) as caught:
        run_child(tmp_path, tmp_path / "convert.log", "dying")
    assert str(caught.value) == told
    if "failed" in told:
        assert str(tmp_path / "convert.log") in caught.value.fix


CONFINED = """
import resource, sys
from pathlib import Path
from edge_converter.quantize.worker_pool import run_child
from edge_converter.tf.concrete_function import batch_of_one, frozen
from edge_sdk.errors import TrainingError
resource.setrlimit(resource.RLIMIT_AS, (300 * 2**20,) * 2)
try:
    run_child(Path(sys.argv[1]), Path(sys.argv[1]) / "log", "edge_converter.quantize.worker")
except TrainingError as error:
    print(error)
"""


def test_libraries_that_find_no_room_are_a_matter_of_memory(
    tmp_path: Path, unmeasured: dict[str, str]
) -> None:
    line = [sys.executable, "-c", CONFINED, str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=unmeasured)
    assert done.stdout == "the conversion ran out of memory (exit status 1)\n", done.stderr
    assert "MemoryError" not in (tmp_path / "log").read_text().splitlines()[-1]


def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "job.json")  # which nobody writes
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"did not end within 0\.5 s"):
        run_child(tmp_path, tmp_path / "log", "edge_converter.quantize.worker", timeout_s=0.5)
    assert time.monotonic() - started < 30
