"""Weights out of .tflite files: every layer of the backbone is what the file computes with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.models import build_model
from edge_converter.quantize.worker import batch_of_one, to_tflite
from edge_converter.tf.setup import load_tensorflow
from edge_converter.weights import Transfer, load_weights
from edge_sdk import open_engine, read_image
from edge_sdk.errors import ModelError
from edge_sdk.images.image_files import list_images
from edge_sdk.preprocess import Preprocessor, PreprocessSpec
from edge_sdk.tensors import TensorSpec, dequantize, quantize

pytestmark = pytest.mark.slow

WIDTHS = {"mobilenet_v1": 0.25, "mobilenet_v2": 0.35}
MODES = {"mobilenet_v1": ["float32"], "mobilenet_v2": ["float32", "int8"]}
SIDE = 64
CLASSES = 5
BOUNDS = {"float32": 1e-3, "int8": 0.15}
"""Largest mean distance (half the sum of differences of probabilities) from the model that a file
was made of. Random layers amplify the rounding of those before them; trained ones hardly do.
"""


@dataclass(frozen=True)
class Made:
    """A Keras model with batch norms that have seen something, and its .tflite in each mode."""

    name: str
    model: Any
    folder: Path
    samples: np.ndarray[Any, Any]
    answers: np.ndarray[Any, Any]

    @property
    def width(self) -> float:
        return WIDTHS[self.name]

    def file(self, mode: str) -> Path:
        return self.folder / f"{mode}.tflite"

    def recipe(self, mode: str) -> Recipe:
        return recipe(self.name, self.file(mode), self.width)


def recipe(name: str, weights: Path, width: float, **settings: Any) -> Recipe:
    return Recipe.parse(
        {
            "name": "doors",
            "data": {"source": "folder:images"},
            "model": {"name": name, "weights": f"file:{weights}", "options": {"width": width}},
            "input": settings,
        }
    )


def network(name: str, width: float, side: int, classes: int) -> Any:
    return build_model(recipe(name, Path("none"), width), (side, side, 3), classes)


@lru_cache
def to_be_filled(name: str, width: float, side: int, classes: int) -> Any:
    """A network whose weights a test sets: it takes seconds to build."""
    return network(name, width, side, classes)


def with_weights(model: Any) -> list[Any]:
    return [layer for layer in model.layers if layer.weights]


def forget(model: Any) -> None:
    """Every weight becomes NaN, so that one which is left alone shows."""
    for layer in with_weights(model):
        layer.set_weights([np.full_like(values, np.nan) for values in layer.get_weights()])


@pytest.fixture(scope="module", params=WIDTHS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Kernels are random and what batch norms keep is far from their start."""
    folder = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(0)
    colours, noise = random.uniform(-1, 1, (16, 1, 1, 3)), random.normal(0, 0.3, (SIDE, SIDE, 3))
    samples = (colours + noise).clip(-1, 1).astype(np.float32)
    load_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    model = network(request.param, WIDTHS[request.param], SIDE, CLASSES)
    for layer in with_weights(model):
        if type(layer).__name__ == "BatchNormalization":
            gamma, beta, *kept = layer.get_weights()
            gamma, beta = random.uniform(0.5, 1.5, gamma.shape), random.normal(0, 0.3, beta.shape)
            layer.set_weights([gamma, beta, *kept])
            layer.momentum = 0.0  # mean and variance are those of the next batch
    model(samples, training=True)
    scores = model.get_layer("scores")
    spread = 2 / np.sqrt(scores.kernel.shape[0])
    scores.set_weights([random.normal(0, spread, values.shape) for values in scores.get_weights()])
    np.save(folder / "calibration.npy", samples)
    single = batch_of_one(model)
    for mode in MODES[request.param]:
        io = "int8" if mode == "int8" else "float32"
        (folder / f"{mode}.tflite").write_bytes(to_tflite(single, mode, io, folder))
    answers = np.asarray(model(samples, training=False))
    assert np.ptp(answers, axis=0).max() > 0.2  # an answer to nothing would be close to all
    return Made(request.param, model, folder, samples, answers)


def folded(model: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """(convolution, batch norm, kernel, bias) with the batch norm folded into the convolution."""
    backbone = with_weights(model)[:-1]
    for conv, norm in zip(backbone[::2], backbone[1::2], strict=True):
        (kernel,), (gamma, beta, mean, variance) = conv.get_weights(), norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        per_output = factor[:, None] if type(conv).__name__ == "DepthwiseConv2D" else factor
        yield conv, norm, kernel * per_output, beta - mean * factor


def test_layer_by_layer_no_weight_is_left_as_it_was(made: Made) -> None:
    """The backbone holds the folded weights of the model that was converted: float ones exactly,
    int8 ones to half a step of their channel. The head, of another size, is left alone.
    """
    for mode in MODES[made.name]:
        step = 1 / 127 if mode == "int8" else 0.0
        model = to_be_filled(made.name, made.width, SIDE, CLASSES + 1)
        forget(model)
        transfer = load_weights(model, made.recipe(mode))
        checked = []
        pairs = zip(folded(model), folded(made.model), strict=True)
        for (conv, norm, kernel, bias), (_, _, wanted, wanted_bias) in pairs:
            axes = (0, 1, 3) if type(conv).__name__ == "DepthwiseConv2D" else (0, 1, 2)
            slack = 0.501 * step * np.abs(wanted).max(axis=axes, keepdims=True)
            assert np.all(np.abs(kernel - wanted) <= slack + 1e-5), conv.name
            assert np.abs(bias - wanted_bias).max() < 1e-4 + 0.01 * (step > 0), norm.name
            assert not norm.get_weights()[2].any()  # the mean
            checked += [conv.name, norm.name]
        assert transfer == Transfer(tuple(checked), ("scores",))
        assert checked == [layer.name for layer in with_weights(model)[:-1]]
        assert all(np.isnan(values).all() for values in model.get_layer("scores").get_weights())


def test_the_answers_are_those_of_the_model_it_was_made_of(made: Made) -> None:
    """With as many classes the classifier comes along, and the whole net answers alike."""
    for mode in MODES[made.name]:
        model = to_be_filled(made.name, made.width, SIDE, CLASSES)
        forget(model)
        transfer = load_weights(model, made.recipe(mode))
        assert transfer.head == () and transfer.loaded[-1] == "scores"
        answers = np.asarray(model(made.samples, training=False))
        distance = np.abs(answers - made.answers).sum(axis=1).mean() / 2
        assert distance < BOUNDS[mode], (mode, distance)


def test_the_same_weights_at_another_size_of_images(made: Made) -> None:
    model = network(made.name, made.width, 2 * SIDE, 2)
    transfer = load_weights(model, made.recipe("float32"))
    assert transfer.head == ("scores",)


def refused(name: str, width: float, weights: Path, **settings: Any) -> str:
    """The error and its fix; no weight may have been touched."""
    model = to_be_filled(name, width, SIDE, 2)
    before = model.get_weights()
    with pytest.raises(ModelError) as caught:
        load_weights(model, recipe(name, weights, width, **settings))
    assert all(map(np.array_equal, before, model.get_weights()))
    return f"{caught.value}\n{caught.value.fix}"


def test_another_architecture_is_named_with_the_first_layers_that_differ(made: Made) -> None:
    other = next(name for name in WIDTHS if name != made.name)
    told = refused(other, WIDTHS[other], made.file("float32"))
    assert f"holds {made.name} with width {made.width:g}, which does not fit {other}" in told
    assert "operator 0 is a Conv2D" in told or "DepthwiseConv2D" in told
    assert f'set model.name = "{made.name}" and model.options.width = ' in told


def test_another_width_is_named_with_the_one_to_write(made: Made) -> None:
    told = refused(made.name, 0.5, made.file("float32"))
    assert f"does not fit {made.name}: operator" in told
    assert re.search(r"; and \d\d more\n", told)
    assert f"set model.options.width = {made.width:g}, or" in told


def test_a_model_that_was_cut_short(made: Made, tmp_path: Path) -> None:
    whole = made.file("float32").read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99):
        cut = tmp_path / "cut.tflite"
        cut.write_bytes(whole[: int(share * len(whole))])
        assert "damaged TensorFlow Lite model" in refused(made.name, made.width, cut)


def test_other_networks_from_elsewhere(shared_data: Path) -> None:
    models = shared_data / "models"
    told = refused("mobilenet_v1", 0.25, models / "resnet8_cifar10_float.tflite")
    assert "holds a network of 10 layers with kernels, 0 of them depthwise" in told
    told = refused("mobilenet_v1", 1.0, models / "coco_ssd_mobilenet_v1_1.0_quant.tflite")
    assert "operator 57 is CONCATENATION, which no MobileNet has" in told
    compiled = shared_data / "edgetpu" / "mobilenet_v2_1.0_224_quant_edgetpu.tflite"
    assert "CUSTOM(edgetpu-custom-op)" in refused("mobilenet_v2", 1.0, compiled)


@pytest.mark.parametrize(
    ("file", "mean", "std"), [("vww_96_int8", 0.0, 255.0), ("vww_96_float", 127.5, 127.5)]
)
def test_a_mobilenet_with_relu_is_not_one_with_relu6(
    file: str, mean: float, std: float, shared_data: Path
) -> None:
    weights = shared_data / "models" / f"{file}.tflite"
    told = refused("mobilenet_v1", 0.25, weights, mean=[mean], std=[std])
    assert "that of conv_dw_1 in 0 to 6 (ReLU6)" in told
    assert "as it was published, with ReLU6" in told


PUBLISHED = {
    # file: architecture, width, least agreeing images, largest mean distance
    "models/tf2_mobilenet_v2_1.0_224_ptq": ("mobilenet_v2", 1.0, 13, 0.2),
    "models/mobilenet_v1_0.25_224_float": ("mobilenet_v1", 0.25, 14, 1e-4),
    "models/mobilenet_v1_0.25_224_quant": ("mobilenet_v1", 0.25, 11, 0.15),
    "edgetpu/mobilenet_v2_1.0_224_quant": ("mobilenet_v2", 1.0, 12, 0.15),
    "edgetpu/mobilenet_v1_0.5_160_quant": ("mobilenet_v1", 0.5, 13, 0.15),
}


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_networks_answer_alike_about_photos(
    file: str, shared_data: Path, record_property: Callable[[str, object], None]
) -> None:
    """int8 per channel, uint8 with zero points, and float; all 1001 classes of ImageNet."""
    name, width, least, most = PUBLISHED[file]
    path = shared_data / f"{file}.tflite"
    photos = list_images(shared_data / "images")
    with open_engine("litert", path.read_bytes()) as engine:
        side, out = engine.inputs[0].shape[1], engine.outputs[0]
        fed = _fed(photos, side)
        found = [dequantize(engine(quantize(row, engine.inputs[0]))[0], out)[0] for row in fed]
    model = network(name, width, side, 1001)
    forget(model)
    assert load_weights(model, recipe(name, path, width)).head == ()
    answers = np.asarray(model(np.concatenate(fed), training=False))
    same = int(np.sum(answers.argmax(axis=1) == np.argmax(found, axis=1)))
    distance = float(np.abs(answers - found).sum(axis=1).mean() / 2)
    record_property("agreement", f"{same} of {len(photos)}, distance {distance:.4f}")
    assert len(photos) == 14 and len(set(answers.argmax(axis=1))) > 8
    assert same >= least and distance < most


def _fed(photos: list[Path], side: int) -> list[np.ndarray[Any, Any]]:
    spec = TensorSpec("image", (1, side, side, 3), "float32")
    preprocessor = Preprocessor(PreprocessSpec(), spec)
    fed = [np.empty(spec.shape, np.float32) for _ in photos]
    for photo, out in zip(photos, fed, strict=True):
        preprocessor(read_image(photo), out)
    return fed
