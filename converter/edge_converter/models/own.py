"""Models of the user's own: `file:PATH.keras` and `python:MODULE:FUNCTION`."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge_converter.models.keras_files import check_rebuilds, load_keras
from edge_converter.models.saved_model_layer import POINTER, Pointer
from edge_converter.recipe.loading import Recipe
from edge_converter.tf.setup import load_tensorflow
from edge_sdk.errors import ConfigError, EdgeError
from edge_sdk.files import read_file

SUM_TOLERANCE = 1e-3
"""Largest distance from 1 of the sum of an answer's probabilities: float16 rounding of many
classes.
"""


def is_own(name: str) -> bool:
    """True where `model.name` names a model of the user's own."""
    return name.startswith(("file:", "python:"))


def module_of(name: str) -> str:
    """MODULE of python:MODULE:FUNCTION, "" for every other model."""
    return _module_and_function(name)[0] if name.startswith("python:") else ""


def check(recipe: Recipe) -> None:
    """Raises ConfigError or FileError where the file or the module does not exist."""
    if recipe.model.name.startswith("python:"):
        _find(module_of(recipe.model.name), recipe.folder)
        return
    read_file(_path(recipe), what="model")
    if recipe.model.weights != "none":
        raise ConfigError(
            f"{recipe.model.name} brings its own weights, model.weights is "
            f"{recipe.model.weights!r}",
            fix='set model.weights = "none"',
        )


def fingerprint(recipe: Recipe) -> str:
    """SHA-256 (hex), for the key of a stage, of the .keras file, or of the source of MODULE: names
    and contents of its file, or of all of its package; where it lies beside the recipe, of every
    *.py beside the recipe too, since MODULE may import any of them. "" for an architecture by name.
    Raises ConfigError, FileError.
    """
    if not is_own(recipe.model.name):
        return ""
    if recipe.model.name.startswith("file:"):
        return hashlib.sha256(read_file(_path(recipe), what="model")).hexdigest()
    top = _find(module_of(recipe.model.name).partition(".")[0], recipe.folder)
    digest = hashlib.sha256()
    for name, path in sorted(_sources(top, recipe.folder).items()):
        digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
        digest.update(hashlib.sha256(read_file(path, what="module")).digest())
    return digest.hexdigest()


def build(recipe: Recipe, shape: tuple[int, ...], classes: int) -> Any:
    """The user's Keras model, checked: it takes `shape`, answers with `classes` probabilities, and
    can be rebuilt from a file. TensorFlow must be loaded.

    Raises ConfigError where it does not, ModelError for a file that is none, FileError.
    """
    name = recipe.model.name
    if name.startswith("file:"):
        model = load_keras(_path(recipe))
    else:
        model = _called(name, recipe.folder, shape, classes)
    _check_fits(model, name, shape, classes)
    check_rebuilds(model, name)
    return model


def load_model(path: Path, name: str, folder: Path) -> Any:
    """The trained model in the .keras file `path`, with MODULE imported before where `name`, the
    recipe's model.name, is python:MODULE:FUNCTION. folder: the recipe's. `path` may point to a
    SavedModel, too (`convert`).

    Raises ConfigError, FileError, ModelError.
    """
    if path.name == POINTER:
        return Pointer.read(path).load()
    module = module_of(name)
    if not module:
        return load_keras(path)
    load_tensorflow()
    import_module(module, folder)
    with _on_path(folder):
        return load_keras(path)


def import_module(name: str, folder: Path) -> ModuleType:
    """Module `name`, from `folder` or else from Python's path. Raises ConfigError."""
    _find(name, folder)
    with _on_path(folder):
        try:
            return importlib.import_module(name)
        except EdgeError:
            raise
        except Exception as error:
            raise ConfigError(
                f"importing {name} failed: {type(error).__name__}: {error}",
                fix=f"fix it until `import {name}` works in Python",
            ) from error


def _path(recipe: Recipe) -> Path:
    return recipe.folder / recipe.model.name.removeprefix("file:")


def _module_and_function(name: str) -> tuple[str, str]:
    module, _, function = name.removeprefix("python:").partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ConfigError(
            f"model.name {name!r} is not python:MODULE:FUNCTION",
            fix='write it like "python:my_net:build": my_net.py beside the recipe has def build',
        )
    return module, function


def _sources(top: ModuleSpec, folder: Path) -> dict[str, Path]:
    """{name: file} of a module or a package, and of what lies beside it in `folder`."""
    found = {}
    for place in map(Path, top.submodule_search_locations or filter(None, [top.origin])):
        home = place.parent
        files = list(place.rglob("*.py")) if place.is_dir() else [place]
        if home.resolve() == folder.resolve():
            files += (path for path in home.glob("*.py") if path.is_file())
        found.update({path.relative_to(home).as_posix(): path for path in files})
    return found


def _find(name: str, folder: Path) -> ModuleSpec:
    """The spec of module `name`, found without running it. Raises ConfigError."""
    importlib.invalidate_caches()
    _refuse_namesake(name.partition(".")[0], folder)
    with _on_path(folder):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
    if spec is None:
        raise ConfigError(
            f"there is no Python module {name!r}",
            fix=f"put {name.replace('.', '/')}.py into {folder}, or install it",
        )
    return spec


def _refuse_namesake(top: str, folder: Path) -> None:
    """Python imports a name once: a second file of that name would silently stay unread."""
    here = PathFinder.find_spec(top, [str(folder)])
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if here is not None and here.origin and loaded and Path(loaded) != Path(here.origin):
        raise ConfigError(
            f"{here.origin} has the name of a module that is in use: {loaded}",
            fix="give it another name, and model.name with it",
        )


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _called(name: str, folder: Path, shape: tuple[int, ...], classes: int) -> Any:
    """The value that the user's function returns."""
    module_name, function_name = _module_and_function(name)
    module = import_module(module_name, folder)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(
            f"{module.__file__} has no function {function_name!r}",
            fix=f"define it: def {function_name}(shape, classes), returning a Keras model",
        )
    with _on_path(folder):
        try:
            return function(shape, classes)
        except EdgeError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{name}, called with {shape} and {classes}, raised "
                f"{type(error).__name__}: {error}",
                fix=f"fix {module.__file__}; EDGE_SDK_DEBUG=1 shows where",
            ) from error


def _check_fits(model: Any, name: str, shape: tuple[int, ...], classes: int) -> None:
    import keras

    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"{name} returned {type(model).__name__}, not a Keras model",
            fix="return keras.Model(inputs, outputs) or keras.Sequential([...])",
        )
    takes, gives = _shapes(model)
    if takes != [shape]:
        raise ConfigError(
            f"{name} takes {_shown(takes)}, the recipe feeds {shape}",
            fix="change [input] (or [sequence]), or the model's Input",
        )
    if gives != [(classes,)]:
        raise ConfigError(
            f"{name} answers with {_shown(gives)}, the data has {classes} classes",
            fix=f"end the model with Dense({classes}, activation='softmax')",
        )
    _check_probabilities(model, name, shape)


def _shapes(model: Any) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Of the inputs and the outputs, without the batch; none for a model without a graph."""
    try:
        sides = model.inputs, model.outputs
    except (AttributeError, ValueError):  # not built yet
        return [], []
    takes, gives = ([tuple(t.shape[1:]) for t in side or ()] for side in sides)
    return takes, gives


def _shown(shapes: list[tuple[Any, ...]]) -> str:
    return " and ".join(map(str, shapes)) or "no fixed shape"


def _check_probabilities(model: Any, name: str, shape: tuple[int, ...]) -> None:
    """Logits would train towards nonsense without a word: the loss takes probabilities."""
    samples = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
    answers = np.asarray(model(samples, training=False), np.float64)
    if not (answers.min() >= 0 and np.all(np.abs(answers.sum(axis=1) - 1) <= SUM_TOLERANCE)):
        raise ConfigError(
            f"{name} does not output probabilities: they add up to {answers.sum(axis=1)[0]:g}",
            fix="end the model with a softmax",
        )
