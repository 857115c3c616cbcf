"""Models of the user's own: a .keras file, a Python function, and what does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe, build
from edge_converter.models import build_model, check_model, fingerprint
from edge_sdk.errors import ConfigError, EdgeError, FileError, ModelError

pytestmark = pytest.mark.slow

NET = """
import keras
from keras import layers

def build(shape, classes):
    return keras.Sequential([
        keras.Input(shape), layers.Flatten(), layers.Dense(classes, activation="softmax"),
    ])

def logits(shape, classes):
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(classes)])

def other_shape(shape, classes):
    return build((shape[0] + 1, *shape[1:]), classes)

def other_classes(shape, classes):
    return build(shape, classes + 1)

def nothing(shape, classes):
    pass

def unbuilt(shape, classes):
    return keras.Sequential([layers.Flatten(), layers.Dense(classes, activation="softmax")])

def raises(shape, classes):
    raise RuntimeError("no net today")

def wrong_arguments():
    pass
"""

CUSTOM = """
import keras
from keras import layers

@keras.saving.register_keras_serializable("PACKAGE")
class Doubled(layers.Layer):
    def call(self, x):
        return x + x

class Unregistered(layers.Layer):
    def call(self, x):
        return x + x

@keras.saving.register_keras_serializable("PACKAGE")
class Forgetful(layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def get_config(self):
        return {"name": self.name}

    def call(self, x):
        return self.factor * x

def _net(layer, shape, classes):
    image = keras.Input(shape)
    x = layers.Flatten()(layer(image))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x))

def doubled(shape, classes):
    return _net(Doubled(), shape, classes)

def unregistered(shape, classes):
    return _net(Unregistered(), shape, classes)

def forgetful(shape, classes):
    return _net(Forgetful(2.0), shape, classes)
"""
SHAPE, CLASSES = (12, 12, 1), 3


def recipe(folder: Path, name: str, **model: Any) -> Recipe:
    text = f"""
        name = "own"
        data.source = "folder:images"
        input = {{ width = 12, height = 12, color = "gray", mean = [0.0], std = [255.0] }}
        model = {json.dumps({"name": name, **model}).replace(": ", " = ")}
    """
    (folder / "recipe.toml").write_text(textwrap.dedent(text))
    return Recipe.load(folder / "recipe.toml")


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Recipe]:
    """`own(code, function)`: a recipe with a module beside it, of a name not used yet."""

    def make(code: str, function: str) -> Recipe:
        module = f"net_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(code.replace("PACKAGE", module))
        return recipe(tmp_path, f"python:{module}:{function}")

    return make


def test_a_function_of_ones_own(own: Callable[..., Recipe]) -> None:
    asked, path = own(NET, "build"), list(sys.path)
    check_model(asked)
    model = build_model(asked, SHAPE, CLASSES)
    assert model.input_shape == (None, *SHAPE) and model.output_shape == (None, CLASSES)
    assert sys.path == path


@pytest.mark.parametrize(
    ("function", "told", "fix"),
    [
        ("missing", "has no function 'missing'", "def missing(shape, classes)"),
        ("nothing", "returned NoneType, not a Keras model", "keras.Model"),
        ("unbuilt", "takes no fixed shape, the recipe feeds (12, 12, 1)", "Input"),
        ("other_shape", "takes (13, 12, 1), the recipe feeds (12, 12, 1)", "[input]"),
        ("other_classes", "answers with (4,), the data has 3 classes", "Dense(3"),
        ("logits", "does not output probabilities", "softmax"),
        ("raises", "raised RuntimeError: no net today", "EDGE_SDK_DEBUG"),
        ("wrong_arguments", "raised TypeError", "fix"),
    ],
)
def test_a_function_that_does_not_fit(
    own: Callable[..., Recipe], function: str, told: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_model(own(NET, function), SHAPE, CLASSES)
    assert told in str(caught.value)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("function", "named", "fix"),
    [
        ("unregistered", "'Unregistered'", "register_keras_serializable"),
        ("forgetful", "'Forgetful'", "get_config"),
    ],
)
def test_a_layer_that_cannot_be_rebuilt_is_named(
    own: Callable[..., Recipe], function: str, named: str, fix: str
) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        build_model(own(CUSTOM, function), SHAPE, CLASSES)
    assert fix in caught.value.fix


def test_a_subclassed_model_has_no_graph(own: Callable[..., Recipe]) -> None:
    code = CUSTOM + textwrap.dedent("""
        @keras.saving.register_keras_serializable("PACKAGE")
        class Whole(keras.Model):
            def call(self, x):
                return x

        def whole(shape, classes):
            return Whole()
    """)
    with pytest.raises(ConfigError, match="takes no fixed shape"):
        build_model(own(code, "whole"), SHAPE, CLASSES)


@pytest.mark.parametrize(
    "name", ["python:net", "python:", "python:net:", "python:a b:c", "python::f"]
)
def test_a_name_that_is_no_module_and_function(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not python:MODULE:FUNCTION"):
        check_model(recipe(tmp_path, name))


@pytest.mark.parametrize("module", ["no_such_module", "no_such_package.net", "json.no_such"])
def test_a_module_that_is_not_there(tmp_path: Path, module: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no Python module '{module}'") as caught:
        check_model(recipe(tmp_path, f"python:{module}:build"))
    assert str(tmp_path) in caught.value.fix


def test_a_module_that_cannot_be_imported(own: Callable[..., Recipe]) -> None:
    with pytest.raises(ConfigError, match=r"importing net_.* failed: ZeroDivisionError"):
        build_model(own("1 / 0", "build"), SHAPE, CLASSES)


def test_a_module_with_the_name_of_another(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("")
    with pytest.raises(ConfigError, match=r"numpy.py has the name of a module that is in use"):
        check_model(recipe(tmp_path, "python:numpy:build"))


def test_options_are_not_for_models_of_ones_own(tmp_path: Path) -> None:
    asked = recipe(tmp_path, "python:json:loads", options={"width": 0.25})
    with pytest.raises(ConfigError, match=r"does not take model.options.width = 0.25"):
        check_model(asked)


def saved(folder: Path, shape: tuple[int, ...] = SHAPE, classes: int = CLASSES) -> Any:
    model = build_model(recipe(folder, "seed_cnn"), shape, classes)
    model.save(folder / "net.keras")
    return model


def test_a_keras_file_is_architecture_and_weights(tmp_path: Path) -> None:
    before = saved(tmp_path)
    model = build_model(recipe(tmp_path, "file:net.keras"), SHAPE, CLASSES)
    for old, new in zip(before.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(old, new)


def test_a_keras_file_for_other_data(tmp_path: Path) -> None:
    saved(tmp_path)
    asked = recipe(tmp_path, "file:net.keras")
    with pytest.raises(ConfigError, match=r"takes \(12, 12, 1\), the recipe feeds \(12, 12, 3\)"):
        build_model(asked, (12, 12, 3), CLASSES)
    with pytest.raises(ConfigError, match=r"answers with \(3,\), the data has 4 classes"):
        build_model(asked, SHAPE, 4)


def test_a_keras_file_has_its_own_weights(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(ConfigError, match=r"brings its own weights, model\.weights is 'imagenet'"):
        check_model(recipe(tmp_path, "file:net.keras", weights="imagenet"))


def test_no_keras_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        check_model(recipe(tmp_path, "file:net.keras"))
    (tmp_path / "net.keras").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(ModelError, match=r"is not a \.keras file") as caught:
        build_model(recipe(tmp_path, "file:net.keras"), SHAPE, CLASSES)
    assert "model.save" in caught.value.fix


SAVE_ELSEWHERE = """
import sys, keras
from keras import layers

@keras.saving.register_keras_serializable("elsewhere")
class Unheard(layers.Layer):
    def call(self, x):
        return x

image = keras.Input((12, 12, 1))
x = layers.Flatten()(Unheard()(image))
keras.Model(image, layers.Dense(3, activation="softmax")(x)).save(sys.argv[1])
"""


def test_a_keras_file_with_a_layer_of_elsewhere(tmp_path: Path) -> None:
    """Saved by another process, where the layer was registered."""
    subprocess.run(
        [sys.executable, "-c", SAVE_ELSEWHERE, str(tmp_path / "net.keras")],
        check=True,
        capture_output=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    with pytest.raises(EdgeError, match="has a layer 'Unheard' that cannot be rebuilt") as caught:
        build_model(recipe(tmp_path, "file:net.keras"), SHAPE, CLASSES)
    assert "python:MODULE:FUNCTION" in caught.value.fix


def test_the_fingerprint_follows_the_file(own: Callable[..., Recipe], tmp_path: Path) -> None:
    asked = own(NET, "build")
    first = fingerprint(asked)
    assert first == fingerprint(asked)
    own(NET + "\n# another net\n", "build")
    assert fingerprint(asked) != first
    assert fingerprint(recipe(tmp_path, "seed_cnn")) == ""
    saved(tmp_path)
    assert len(fingerprint(recipe(tmp_path, "file:net.keras"))) == 64


def test_the_fingerprint_follows_what_lies_beside_the_module(
    own: Callable[..., Recipe], tmp_path: Path
) -> None:
    """MODULE may import it. A package has the same neighbours, and its own modules."""
    package = tmp_path / f"package_{tmp_path.name.replace('-', '_')}"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for asked in (own(NET, "build"), recipe(tmp_path, f"python:{package.name}:build")):
        (tmp_path / "helper.py").write_text("WIDTH = 8")
        seen = [fingerprint(asked)]
        (tmp_path / "helper.py").write_text("WIDTH = 16")
        seen += [fingerprint(asked)]
        (tmp_path / "helper.py").rename(tmp_path / "helper2.py")
        seen += [fingerprint(asked)]
        (tmp_path / "helper2.py").unlink()
        seen += [fingerprint(asked)]
        assert len(set(seen)) == 4
    before = fingerprint(asked)
    (package / "blocks.py").write_text("WIDTH = 8")
    assert fingerprint(asked) != before


def test_a_module_from_elsewhere_has_other_neighbours(tmp_path: Path) -> None:
    asked = recipe(tmp_path, "python:json:loads")
    before = fingerprint(asked)
    (tmp_path / "helper.py").write_text("WIDTH = 8")
    assert fingerprint(asked) == before


def test_a_build_with_a_layer_of_ones_own(
    project: Callable[..., Path], write_classes: Callable[..., Path], tmp_path: Path
) -> None:
    """The process that converts must know the layer too."""
    module = "net_of_a_whole_build"
    (tmp_path / f"{module}.py").write_text(CUSTOM.replace("PACKAGE", module))
    path = project(tmp_path)
    path.write_text(path.read_text().replace('"seed_cnn"', f'"python:{module}:doubled"'))
    report = build(Recipe.load(path))
    assert report.bundle.is_file() and report.passed
