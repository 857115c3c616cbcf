"""The rescaling of pixel values in a Keras network before its first layer with a kernel.

keras.applications' EfficientNet and MobileNet v3 rescale pixels inside the net, and so do networks
that begin with preprocess_input. Ours begin with the first kernel: [input] does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ModelError
from edge_sdk.preprocess import PreprocessSpec, fed_values

_LAYERS = ("Rescaling", "Normalization")
_ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide")
"""Operations that Keras keeps of `x / 127.5 - 1`, which are no layers."""
_PROBES = [0, 128, 255]
"""Pixels: two say mean and std, a third that there is no more to say."""
_ROUNDING = 1e-5
"""Of the range of fed values: what float32 may leave between values that should be equal."""


def rescalings(model: Any) -> list[Any]:
    """The layers and operations that rescale pixels before the first kernel of a Keras model, in
    order, those of models inside it in their place.
    """
    found = []
    for operation in _operations(model):
        kind = type(operation).__name__
        if kind in _LAYERS or kind in _ARITHMETIC:
            found.append(operation)
        elif getattr(operation, "weights", ()):
            break
    return found


def folded(steps: Sequence[Any], fed: PreprocessSpec, origin: str) -> PreprocessSpec:
    """The mean and std, to six digits, that do to pixels what `fed` and then `steps`, of
    `rescalings`, do to them. One number each where all channels have the same.

    origin: what the steps are from, in errors. Raises ModelError where no mean and std do that.
    """
    values = fed_values(fed)[_PROBES]
    try:
        for step in steps:
            values = _after(step, values)
        result = _line(fed, values)
    except ValueError as error:
        names = ", ".join(step.name for step in steps)
        raise ModelError(
            f"{origin} begins with {names}, which mean and std cannot express: {error}",
            fix="save the network again without them",
        ) from error
    return result


def _operations(model: Any) -> Iterator[Any]:
    """Layers, and what a graph has beside them, in order."""
    import keras

    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
        else:
            yield operation


def _after(step: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The output of one step for images of one colour each. values: (images, channels)."""
    import keras

    count, channels = values.shape
    images = values.reshape(count, 1, 1, channels)
    if not isinstance(step, keras.Layer):  # its other operand is part of the graph
        if not isinstance(step.input, keras.KerasTensor):
            raise ValueError(f"{step.name} has several inputs")
        sides = [side or 1 for side in step.input.shape[1:-1]]
        images = values.reshape(count, *[1] * len(sides), channels)
        images = np.broadcast_to(images, (count, *sides, channels))
        step = keras.Model(step.input, step.output)
    found = np.asarray(step(images.astype(np.float32)), np.float64)
    found = found.reshape(count, -1, channels)
    if np.ptp(found, axis=1).max() > _ROUNDING * np.ptp(found):
        raise ValueError(f"{step.name} does not treat all pixels alike")
    return found[:, 0]


def _line(fed: PreprocessSpec, values: NDArray[np.float64]) -> PreprocessSpec:
    """The spec under which _PROBES become `values`, (3, channels). Raises ValueError."""
    low, middle, high = values
    if not (np.isfinite(values).all() and (high > low).all()):
        raise ValueError("brighter pixels must give larger numbers")
    std = 255 / (high - low)
    if (np.abs(low + _PROBES[1] / std - middle) > _ROUNDING * (high - low)).any():
        raise ValueError("their values do not lie on a line")
    return PreprocessSpec(color=fed.color, mean=_numbers(-low * std), std=_numbers(std))


def _numbers(values: NDArray[np.float64]) -> tuple[float, ...]:
    """As people write them: far below what [input] may differ by."""
    rounded = tuple(float(f"{value:.6g}") for value in values)
    return rounded[:1] if len(set(rounded)) == 1 else rounded
