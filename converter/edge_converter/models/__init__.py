"""Architectures by name. Each file builds one family and says what it suits."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from edge_converter.frameworks import load_tensorflow
from edge_converter.recipe import Recipe
from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError, NotAvailableYet


@dataclass(frozen=True)
class Architecture:
    """One row of `edge-sdk models`. inputs: reference sizes (height, width, channels)."""

    name: str
    module: str
    inputs: tuple[tuple[int, int, int], ...]
    suits: str


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture(
            "seed_cnn",
            "edge_converter.models.seed_cnn",
            ((28, 28, 1), (224, 224, 3)),
            "small pictures of one thing, such as digits; the reference everything is held against",
        ),
    )
}


def find_architecture(name: str) -> Architecture:
    """The architecture that `model.name` names. Raises ConfigError for an unknown name,
    NotAvailableYet for models of the user's own.
    """
    if name.startswith(("file:", "python:")) or name == "features":
        raise NotAvailableYet(
            f"model.name {name!r} is not available yet",
            fix=f"use one of: {', '.join(ARCHITECTURES)}",
        )
    if name not in ARCHITECTURES:
        raise ConfigError(f"unknown model {name!r}", fix=nearest(name, ARCHITECTURES))
    return ARCHITECTURES[name]


def build_model(recipe: Recipe, shape: tuple[int, ...], classes: int) -> Any:
    """The recipe's untrained Keras model from `shape` (streaming.fed_shape) to `classes`
    probabilities.

    Raises ConfigError for a shape that is too small, and as `find_architecture`.
    """
    module = importlib.import_module(find_architecture(recipe.model.name).module)
    load_tensorflow()
    model: Any = module.build(shape, classes)
    return model
