"""[model] weights: what a network has learned before, put into the recipe's new model.

A model is a backbone and a head: what follows the last global average, or the last layer alone.
Whatever is loaded, no layer of the backbone is left with random weights.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_converter.models.keras_files import load_keras
from edge_converter.recipe.loading import Recipe
from edge_converter.tf.setup import load_tensorflow
from edge_converter.weights.from_tflite import FAMILIES, load_tflite, read_layers
from edge_converter.weights.imagenet import check_imagenet, load_imagenet
from edge_converter.weights.layer_weights import dropped, match_layers, set_layers, weighted_layers
from edge_converter.weights.pretrained_input import check_input, check_keras_input
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.files import read_file
from edge_sdk.tflite.graph import read_graph

_SUFFIXES = (".keras", ".tflite")


@dataclass(frozen=True)
class Transfer:
    """The weights that a model starts from. loaded: names of the layers that were set; head: of the
    layers with weights that are new, with random weights.
    """

    loaded: tuple[str, ...]
    head: tuple[str, ...]


def check_weights(recipe: Recipe) -> None:
    """Check that `model.weights` can be loaded into the recipe's architecture, as far as it shows
    without TensorFlow: for a build to say so before the minutes of looking at images. What a
    .keras file wants to be fed shows when it is loaded.

    Raises ConfigError, FileError, ModelError.
    """
    if recipe.model.weights == "imagenet":
        check_imagenet(recipe)
    elif recipe.model.weights != "none":
        path = weights_path(recipe)
        blob = read_file(path, what="model")
        if path.suffix == ".tflite":
            _check_family(recipe, path)
            read_layers(blob, str(path))
            check_input(recipe, str(path), next(iter(read_graph(blob).input_specs), None))
        elif not zipfile.is_zipfile(path):
            raise ModelError(
                f"{path} is damaged or not a .keras file",
                fix='save the model again, with model.save("NAME.keras")',
            )


def load_weights(model: Any, recipe: Recipe) -> Transfer:
    """Set the weights that `model.weights` names in `model`, which `build_model` made.

    From a .tflite each batch norm comes as the addition of a folded bias: right in inference mode
    only, so keep those layers untrainable while training. From a .keras file what rescales pixels
    before the first kernel is left out, and [input] must do it: see `check_keras_input`.
    Raises ConfigError, FileError, DataError (ImageNet's weights cannot be had), ModelError for a
    file that is damaged or of another architecture.
    """
    check_weights(recipe)
    load_tensorflow()
    loaded = _load(model, recipe)
    names = (layer.name for layer in weighted_layers(model).values())
    return Transfer(loaded, tuple(n for n in names if n not in loaded))


def weights_path(recipe: Recipe) -> Path:
    """The file that `model.weights` names. Raises ConfigError for anything else."""
    kind, _, name = recipe.model.weights.partition(":")
    path = recipe.folder / Path(name).expanduser()
    if kind != "file" or path.suffix not in _SUFFIXES:
        raise ConfigError(
            f"model.weights is {recipe.model.weights!r}",
            fix='write "none", "imagenet", "file:PATH.keras" or "file:PATH.tflite"',
        )
    return path


def weights_key(recipe: Recipe) -> str:
    """The part of a training's cache key for its weights: "none", "imagenet", or the file's SHA-256
    (hex).

    Raises ConfigError, FileError.
    """
    if recipe.model.weights in ("none", "imagenet"):
        return recipe.model.weights
    return hashlib.sha256(read_file(weights_path(recipe), what="model")).hexdigest()


def _load(model: Any, recipe: Recipe) -> tuple[str, ...]:
    """The names of the layers set."""
    if recipe.model.weights == "none":
        return ()
    if recipe.model.weights == "imagenet":
        return load_imagenet(model, recipe)
    path, architecture = weights_path(recipe), recipe.model.name
    if path.suffix == ".tflite":
        blob = read_file(path, what="model")
        return load_tflite(blob, model, origin=str(path), architecture=architecture)
    source = load_keras(path)
    layers = match_layers(source, model, origin=str(path), architecture=architecture)
    check_keras_input(recipe, path, source, dropped(source, model))
    return set_layers(layers, str(path))


def _check_family(recipe: Recipe, path: Path) -> None:
    if recipe.model.name not in FAMILIES:
        raise ConfigError(
            f"{path}: a .tflite file cannot give weights to {recipe.model.name!r}",
            fix=f"use one of {', '.join(FAMILIES)}, or weights as file:PATH.keras",
        )
