"""Layers of a Keras model that have weights: by name, compared by shape, set from another model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_converter.weights.rescaling import rescalings
from edge_sdk.errors import ModelError

SHOWN = 3
"""So many differences are named in an error; the rest are counted."""

_HEADS = ("Dense", "LSTM", "GRU")


def flat_layers(model: Any) -> list[Any]:
    """Every layer of a Keras model in order, those of models inside it in their place."""
    import keras

    found: list[Any] = []
    for layer in model.layers:
        found += flat_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def weighted_layers(model: Any, *, without: Sequence[Any] = ()) -> dict[str, Any]:
    """{key: layer} of the layers with weights, in order, but for those in `without`.

    The key is the layer's name. Names that Keras made up (dense_3) count on from model to model
    within a process: such a layer is known by its kind and its place among its kind.
    """
    found, seen, ignored = {}, Counter[str](), set(map(id, without))
    for layer in flat_layers(model):
        if layer.weights and id(layer) not in ignored:
            kind = type(layer).__name__
            made_up = re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind.lower()
            found[f"{kind} {seen[kind]}" if made_up else layer.name] = layer
            seen[kind] += made_up
    return found


def backbone_keys(model: Any) -> list[str]:
    """The keys of the backbone: layers with weights up to the last global average pooling, or, in
    a network without one, all but the last.
    """
    import keras

    layers = flat_layers(model)
    pooling = keras.layers.GlobalAveragePooling2D
    places = [place for place, layer in enumerate(layers) if isinstance(layer, pooling)]
    *backbone, _ = weighted_layers(model).items()
    ahead = set(map(id, layers[: places[-1]])) if places else None
    return [key for key, layer in backbone if ahead is None or id(layer) in ahead]


def set_layers(weights: list[tuple[Any, list[Any]]], origin: str) -> tuple[str, ...]:
    """Set all weights of each layer, and return the layers' names. All or none: raises ModelError
    for values that are not finite. origin: what they are from, in errors.
    """
    import keras

    for layer, values in weights:
        if not all(np.isfinite(value).all() for value in values):
            raise ModelError(
                f"{origin} holds weights of {layer.name} that are not finite numbers",
                fix="name another file: this one comes from a training that diverged",
            )
    for layer, values in weights:
        layer.set_weights(values)
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    return tuple(layer.name for layer, _ in weights)


def match_layers(
    source: Any, model: Any, *, origin: str, architecture: str
) -> list[tuple[Any, list[Any]]]:
    """The layers of `model` that have the names and shapes of layers of `source`, each with the
    weights of its counterpart, for `set_layers`.

    All of the backbone must be there; `source` may have a head of its own, of several layers, and
    may rescale pixels before its first kernel (`dropped`).
    origin, architecture: what the two are called in errors.
    Raises ModelError where they are not the same network.
    """
    theirs = weighted_layers(source, without=dropped(source, model))
    ours = weighted_layers(model)
    differences = {key: _difference(theirs.get(key), layer) for key, layer in ours.items()}
    backbone = backbone_keys(model)
    wrong = [f"{key}: {differences[key]}" for key in backbone if differences[key]]
    wrong += [f"{key}: only in the file" for key in _surplus(theirs, backbone)]
    same = [key for key, difference in differences.items() if not difference]
    if wrong or not same:
        raise ModelError(
            f"{origin} holds {source.name}, which does not fit {architecture}: "
            f"{some(wrong) or 'no layer has the same name and shape'}",
            fix="name weights of the same architecture with the same model.options, or change "
            "model.name and model.options to those of the file",
        )
    return [(ours[key], theirs[key].get_weights()) for key in same]


def dropped(source: Any, model: Any) -> list[Any]:
    """The layers that rescale pixels in `source` and have no counterpart in `model`: [input] must
    do it. None where `model`, somebody's own, rescales them itself or takes no images.
    """
    images = len(model.inputs[0].shape) >= 4
    return rescalings(source) if images and not rescalings(model) else []


def some(lines: list[str]) -> str:
    """The first of many lines, and how many more there are."""
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _difference(theirs: Any, ours: Any) -> str:
    """The difference of two layers' weights; "" where there is none."""
    if theirs is None:
        return "not in the file"
    shapes = [[list(weight.shape) for weight in layer.weights] for layer in (theirs, ours)]
    if shapes[0] != shapes[1]:
        return f"{shapes[0]} in the file, {shapes[1]} wanted"
    return ""


def _surplus(theirs: dict[str, Any], backbone: list[str]) -> list[str]:
    """Layers of a file that are neither in `backbone` nor can be a head behind it."""
    places = [place for place, key in enumerate(theirs) if key in backbone]
    last = max(places, default=-1)
    return [
        key
        for place, (key, layer) in enumerate(theirs.items())
        if key not in backbone and (place < last or not _may_be_head(layer))
    ]


def _may_be_head(layer: Any) -> bool:
    """True for a layer of a head: Dense, recurrent, or a convolution of one pixel."""
    kind = type(layer).__name__
    return kind in _HEADS or (kind == "Conv2D" and tuple(layer.input.shape[1:3]) == (1, 1))
