"""Architectures by name, and models of the user's own. Each file builds one family."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from edge_converter.models import own
from edge_converter.models.architectures import (
    ARCHITECTURES,
    CLASSES,
    Architecture,
    PretrainedInput,
    Size,
    find_architecture,
    refuse_options,
)
from edge_converter.models.own import fingerprint, load_model
from edge_converter.models.recurrent import cell, over_frames
from edge_converter.recipe.loading import Recipe
from edge_converter.tf.setup import load_tensorflow

__all__ = [
    "ARCHITECTURES",
    "CLASSES",
    "Architecture",
    "PretrainedInput",
    "Size",
    "build_model",
    "check_model",
    "find_architecture",
    "fingerprint",
    "load_model",
]

_INPUT_NAMES = {2: "features", 3: "image", 4: "frames"}


def check_model(recipe: Recipe) -> None:
    """Check the recipe's model before the data is read and without TensorFlow: that
    there is such a model, that it takes the options, that images are large enough for it.

    Raises ConfigError, FileError.
    """
    if own.is_own(recipe.model.name):
        own.check(recipe)
        refuse_options(recipe.model.name, recipe.model.options)
        return
    architecture = find_architecture(recipe.model.name)
    architecture.check_options(recipe.model.options)
    if recipe.preprocess is not None:
        settings = recipe.input
        architecture.check_shape((settings.height, settings.width, settings.channels))


def build_model(recipe: Recipe, shape: tuple[int, ...], classes: int) -> Any:
    """The recipe's untrained Keras model from `shape` (ModelInput.shape) to `classes`
    probabilities, all layers in one functional graph: input "image" (height, width, channels),
    "frames" (frames, height, width, channels) or "features" (frames, features); last layer
    "scores". A model of the user's own is taken as it is, a file: with its weights.

    Raises ConfigError for a model that does not fit, ModelError for a file that is none, FileError.
    """
    load_tensorflow()
    if own.is_own(recipe.model.name):
        refuse_options(recipe.model.name, recipe.model.options)
        return own.build(recipe, shape, classes)
    import keras

    architecture, options = find_architecture(recipe.model.name), recipe.model.options
    architecture.check_options(options)
    if len(shape) > 2:
        architecture.check_shape(shape)
    net = partial(
        getattr(importlib.import_module(architecture.module), architecture.name), options=options
    )
    given = keras.Input(shape, name=_INPUT_NAMES[len(shape)])
    x = over_frames(given, net) if len(shape) == 4 else net(given)
    if len(shape) != 3:
        x = cell(x, recipe.sequence)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(x)
    return keras.Model(given, scores, name=architecture.name)
