"""What TensorFlow's converter has no operator for, named in the user's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge_converter.quantize.layer_names import layers_of
from edge_sdk.errors import ModelError


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


def _told(error: Any) -> str:
    """ "layer 'invert': TensorFlow Lite has no MatrixInverse"."""
    places = [call.name for call in error.location.call if call.name]
    layers = layers_of(places[0]) if places else ()
    where = f"layer {layers[0]!r}" if layers else places[0] if places else "the model"
    return f"{where}: TensorFlow Lite has no {error.operator.name.removeprefix('tf.')}"
