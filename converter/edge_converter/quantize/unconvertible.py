"""Errors for layers that TensorFlow's converter has no operator for, in the user's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edge_converter.quantize.layer_names import layers_of, operator_layers
from edge_sdk.errors import ModelError
from edge_sdk.tflite.graph import Graph

_SAVED_MODEL = "saved_model"
"""The layer that models/saved_model_layer.py makes of one."""
_NO_INT16 = re.compile(r"16x8-bit not yet supported for op: '(\w+)'")
_CALL = re.compile(r"(?:Stateful)?PartitionedCall(?:_\d+)?")


@contextmanager
def operators_named() -> Iterator[None]:
    """Inside, TensorFlow's ConverterError becomes a ModelError that names operators and layers."""
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        yield
    except ConverterError as error:
        told = dict.fromkeys(_told(one) for one in error.errors if one.operator.name)
        raise ModelError(
            "; ".join(told) or " ".join(str(error).split())[:300],
            fix="build the model from layers that TensorFlow Lite has operators for, or do that "
            "part outside of the model",
        ) from error


@contextmanager
def no_int16_named(model: Any, graph: Callable[[], Graph]) -> Iterator[None]:
    """Inside, TensorFlow's refusal of an operator in int16x8 becomes a ModelError that names it and
    its layers.

    model: the marked clone that is converted; graph: what it is in float32.
    """
    try:
        yield
    except RuntimeError as error:
        if not (found := _NO_INT16.search(str(error))):
            raise
        whole = graph()
        layers = dict.fromkeys(
            names[0]
            for operator, names in zip(whole.operators, operator_layers(whole, model), strict=True)
            if operator.name == found[1]
        )
        raise ModelError(
            f"layer {', '.join(map(repr, layers))}: TensorFlow Lite has no {found[1]} with int16 "
            "activations",
            fix='use quantize.mode = "int8" (convert: --quantize int8)',
        ) from error


def _told(error: Any) -> str:
    """ "layer 'invert': TensorFlow Lite has no MatrixInverse"."""
    places = [call.name for call in error.location.call if call.name]
    where = _where(places[0]) if places else "the model"
    return f"{where}: TensorFlow Lite has no {error.operator.name.removeprefix('tf.')}"


def _where(place: str) -> str:
    """ "layer 'invert'" for "net_1/invert-_1/MatrixInverse". What is in no layer of ours, as in a
    SavedModel, keeps TensorFlow's path, less what we put around it.
    """
    layers = layers_of(place)
    if layers and layers[0] != _SAVED_MODEL:
        return f"layer {layers[0]!r}"
    around = 2 if layers else 1  # the model's scope, then the layer's
    scopes = [scope for scope in place.split("/")[around:] if not _CALL.fullmatch(scope)]
    return f"operation {'/'.join(scopes) or place!r}"
