"""What a .keras file was fed: by its rescaling, its build's [input], or as Keras' weights are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.models import build_model
from edge_converter.tf.setup import load_tensorflow
from edge_converter.weights import load_weights
from edge_sdk import read_image
from edge_sdk.errors import ConfigError, EdgeError, ModelError
from edge_sdk.images.image_files import list_images
from edge_sdk.preprocess import Preprocessor
from edge_sdk.tensors import TensorSpec

pytestmark = pytest.mark.slow

SIDE = 96
CLASSES = 4
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
SIGNED = {"mean": [127.5], "std": [127.5]}
UNIT = {"mean": [0.0], "std": [255.0]}
SMALL = (16, 16, 3)


@dataclass(frozen=True)
class Saved:
    """A network of keras.applications with a head, as somebody would save it, and what rescales
    pixels in it."""

    name: str
    path: Path
    model: Any
    amounts_to: dict[str, list[float]]


def recipe(
    name: str, weights: Path | None, settings: dict[str, Any] | None = None, **options: Any
) -> Recipe:
    source = f"file:{weights}" if weights else "none"
    if name == "edge_net":
        options = {"width": 0.25, "depth": 0.25, **options}
    return Recipe.parse(
        {
            "name": "doors",
            "data": {"source": "folder:images"},
            "model": {"name": name, "weights": source, "options": options},
            "input": settings or {},
        }
    )


def photos(folder: Path, settings: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Real images as a network with this [input] is fed them."""
    given = recipe("edge_net", None, settings).input.preprocess
    spec = TensorSpec("image", (1, SIDE, SIDE, 3), "float32")
    preprocessor, fed = Preprocessor(given, spec), []
    for path in list_images(folder / "images"):
        fed.append(np.empty(spec.shape, np.float32))
        preprocessor(read_image(path), fed[-1])
    return np.concatenate(fed)


def settle(model: Any, pixels: np.ndarray[Any, Any]) -> None:
    """Batch norms far from their start, with the statistics of `pixels`."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            gamma, beta, *kept = layer.get_weights()
            gamma, beta = random.uniform(0.5, 1.5, gamma.shape), random.normal(0, 0.3, beta.shape)
            layer.set_weights([gamma, beta, *kept])
            layer.momentum = 0.0  # mean and variance are those of the next batch
    model(pixels, training=True)


@pytest.fixture(scope="module", params=["mobilenet_v3_small", "efficientnet_b0"])
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_data: Path
) -> Saved:
    """As keras.applications makes them, each with its default preprocessing, fed 0..255."""
    load_tensorflow()
    import keras

    options = {"include_top": False, "weights": None, "pooling": "avg"}
    shape = (SIDE, SIDE, 3)
    head = keras.layers.Dense(CLASSES, "softmax", name="scores")
    if request.param == "efficientnet_b0":
        net = keras.applications.EfficientNetB0(input_shape=shape, **options)
        normal = next(layer for layer in net.layers if "normalization" in layer.name)
        variance = np.square([0.229, 0.224, 0.225])
        normal.set_weights([np.array([0.485, 0.456, 0.406]), variance, np.array(0)])
        normal.finalize_state()
        model, amounts_to = keras.Sequential([keras.Input(shape), net, head]), IMAGENET
    else:
        net = keras.applications.MobileNetV3Small(input_shape=shape, **options)
        model, amounts_to = keras.Model(net.input, head(net.output)), SIGNED
    settle(net, photos(shared_data, {"mean": [0.0], "std": [1.0]}))
    path = tmp_path_factory.mktemp("saved") / "net.keras"
    model.save(path)
    return Saved(request.param, path, model, amounts_to)


def filled(recipe: Recipe, shape: tuple[int, ...] = SMALL, classes: int = CLASSES) -> Any:
    model = build_model(recipe, shape, classes)
    assert load_weights(model, recipe).head == ()
    return model


@lru_cache
def random_model(name: str, width: float, channels: int) -> Any:
    """For `refused`, after which it is as it was."""
    given = recipe(name, None, {"color": "gray"} if channels == 1 else {}, width=width)
    shape = (*SMALL[:2], channels) if name == "edge_net" else (32, 32, channels)
    return build_model(given, shape, CLASSES)


def refused(recipe: Recipe, kind: type[EdgeError] = ConfigError) -> str:
    """The error and its fix; no weight may have been touched."""
    options = recipe.model.options
    model = random_model(recipe.model.name, options.width, recipe.input.channels)
    before = model.get_weights()
    with pytest.raises(kind) as caught:
        load_weights(model, recipe)
    assert all(map(np.array_equal, before, model.get_weights()))
    return f"{caught.value}\n{caught.value.fix}"


def test_the_filled_net_answers_as_the_source_does(saved: Saved, shared_data: Path) -> None:
    """The source is fed 0..255 and rescales; ours is fed what [input] says."""
    model = filled(recipe(saved.name, saved.path, saved.amounts_to), (SIDE, SIDE, 3))
    wanted = np.asarray(saved.model(photos(shared_data, {"mean": [0.0], "std": [1.0]})))
    found = np.asarray(model(photos(shared_data, saved.amounts_to)))
    assert np.ptp(wanted, axis=0).max() > 0.1  # an answer to nothing would be close to all
    assert np.abs(found - wanted).max() < 1e-4


def test_another_input_than_the_file_rescales_to(saved: Saved) -> None:
    for settings in ({"mean": [0.0], "std": [1.0]}, {**saved.amounts_to, "color": "bgr"}, UNIT):
        told = refused(recipe(saved.name, saved.path, settings))
        assert f"{saved.path}: these weights were trained on rgb images fed with mean" in told
        mean, std = saved.amounts_to.values()
        assert told.endswith(f'write color = "rgb", mean = {mean}, std = {std} in [input]')


def front(path: Path, *steps: Any, channels: int = 3, arithmetic: Any = None) -> Path:
    """edge_net behind what somebody put before it."""
    import keras

    given = keras.Input((*SMALL[:2], channels))
    x = given if arithmetic is None else arithmetic(given)
    for step in steps:
        x = step(x)
    color = {"color": "gray"} if channels == 1 else {}
    net = build_model(recipe("edge_net", None, color), (*SMALL[:2], channels), CLASSES)
    keras.Model(given, net(x)).save(path)
    return path


def keras_layers() -> Any:
    load_tensorflow()
    from keras import layers

    return layers


def test_several_steps_and_channels_are_folded_into_one(tmp_path: Path) -> None:
    layers = keras_layers()
    steps = (
        layers.Rescaling([1 / 255, 2 / 255, 1 / 51]),
        layers.RandomFlip(),
        layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.25, 1.0, 4.0]),
        layers.Normalization(mean=0.0, variance=0.25, axis=None, invert=True),
    )
    path = front(tmp_path / "net.keras", *steps)
    wanted = {"mean": [25.5, 25.5, 15.3], "std": [255.0, 255.0, 204.0]}
    filled(recipe("edge_net", path, wanted))
    told = refused(recipe("edge_net", path, UNIT))
    assert "mean = [25.5, 25.5, 15.3], std = [255.0, 255.0, 204.0]" in told


def test_arithmetic_in_the_graph_counts_as_rescaling(tmp_path: Path) -> None:
    """As preprocess_input of keras.applications leaves it."""
    keras_layers()
    path = front(tmp_path / "gray.keras", channels=1, arithmetic=lambda x: x / 127.5 - 1.0)
    gray = {"color": "gray"}
    filled(recipe("edge_net", path, {**SIGNED, **gray}), (*SMALL[:2], 1))
    told = refused(recipe("edge_net", path, {**UNIT, **gray}))
    assert 'write color = "gray", mean = [127.5], std = [127.5] in [input]' in told


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda layers: layers.Rescaling(-1 / 255, name="negative"), "brighter pixels"),
        (lambda layers: layers.Normalization(axis=(1, 2, 3), name="places"), "treat all pixels"),
    ],
)
def test_steps_that_no_mean_and_std_stand_for(
    step: Callable[[Any], Any], words: str, tmp_path: Path
) -> None:
    layer = step(keras_layers())
    if layer.name == "places":
        layer.adapt(np.random.default_rng(0).normal(9, 3, (8, *SMALL)))
    path = front(tmp_path / "net.keras", layer)
    told = refused(recipe("edge_net", path), ModelError)
    assert f"begins with {layer.name}, which mean and std cannot express" in told and words in told


@pytest.mark.parametrize(
    ("arithmetic", "words"),
    [
        (lambda x: 255.0 / (x + 1.0), "brighter pixels must give larger numbers"),
        (lambda x: 1.0 - 255.0 / (x + 1.0), "do not lie on a line"),
        (lambda x: x * x, "has several inputs"),
    ],
)
def test_arithmetic_that_no_mean_and_std_stand_for(
    arithmetic: Callable[[Any], Any], words: str, tmp_path: Path
) -> None:
    keras_layers()
    path = front(tmp_path / "net.keras", arithmetic=arithmetic)
    assert words in refused(recipe("edge_net", path), ModelError)


def plain(name: str, path: Path, **options: Any) -> Path:
    """A network of ours, which rescales nothing, in a file."""
    given = recipe(name, None, **options)
    build_model(given, SMALL if name == "edge_net" else (32, 32, 3), CLASSES).save(path)
    return path


def test_without_rescaling_it_counts_as_weights_of_keras(tmp_path: Path) -> None:
    path = plain("mobilenet_v1", tmp_path / "net.keras", width=0.25)
    filled(recipe("mobilenet_v1", path, SIGNED, width=0.25), (32, 32, 3))
    told = refused(recipe("mobilenet_v1", path, UNIT, width=0.25))
    assert "does not say what it was fed, so that it counts as weights of Keras" in told
    assert (
        "mean = [127.5], std = [127.5] in [input]; or" in told and "keras.layers.Rescaling" in told
    )


def test_where_keras_has_no_weights_nobody_knows(tmp_path: Path) -> None:
    path = plain("edge_net", tmp_path / "net.keras")
    for settings in (SIGNED, UNIT):
        filled(recipe("edge_net", path, settings))


def built(name: str, path: Path, settings: dict[str, Any]) -> Path:
    """A model with the record of its build beside it."""
    document = {"recipe": recipe(name, None, settings).as_dict()}
    path.with_name("build.json").write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("name", ["edge_net", "mobilenet_v1"])
def test_the_model_of_a_build_wants_the_input_of_its_recipe(name: str, tmp_path: Path) -> None:
    path = built(name, plain(name, tmp_path / "model.keras"), {**UNIT, "color": "bgr"})
    shape = SMALL if name == "edge_net" else (32, 32, 3)
    filled(recipe(name, path, {**UNIT, "color": "bgr"}), shape)
    for settings in (SIGNED, UNIT):
        told = refused(recipe(name, path, settings))
        assert told.endswith('write color = "bgr", mean = [0.0], std = [255.0] in [input]')


def test_what_a_build_fed_to_a_net_that_rescales_in_turn(tmp_path: Path) -> None:
    path = front(tmp_path / "model.keras", keras_layers().Rescaling(2.0, -1.0))
    built("edge_net", path, UNIT)
    filled(recipe("edge_net", path, SIGNED))
    assert "mean = [127.5], std = [127.5]" in refused(recipe("edge_net", path, UNIT))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"recipe": []}', "\x00"])
def test_a_damaged_record_of_a_build(text: str, tmp_path: Path) -> None:
    path = plain("edge_net", tmp_path / "model.keras")
    path.with_name("build.json").write_text(text)
    told = refused(recipe("edge_net", path), ModelError)
    assert "build.json is damaged: it does not say what model.keras was fed" in told


def test_a_net_of_ones_own_keeps_its_own_rescaling(tmp_path: Path) -> None:
    """Its Normalization is a layer like all others."""
    layers = keras_layers()
    from keras import Input, Sequential

    def own() -> Any:
        front = [layers.Rescaling(1 / 255), layers.Normalization()]
        tail = [layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)]
        return Sequential([Input(SMALL), *front, *tail])

    source, model = own(), own()
    source.layers[1].adapt(np.random.default_rng(0).normal(3, 2, (64, *SMALL)))
    source.save(tmp_path / "own.keras")
    load_weights(model, recipe("python:own:build", tmp_path / "own.keras", UNIT))
    pixels = np.ones((1, *SMALL), np.float32)
    assert np.array_equal(source(pixels), model(pixels))
