"""Batch norm before a change that a network is to recover from; no answer changes here.

Transferred layers keep their batch norm frozen: its averages are of other images, or, out of a
.tflite file, mere 0 and 1. Once it normalises by the batches that it is fed, it answers otherwise
at one stroke, and the network has to learn anew. And where batch norm is folded into a kernel, the
channels of that kernel differ in size by orders: among values or zeros that all of them share, the
small ones go under.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_SIZE = 1e-6
"""Of the largest channel's, below which a channel is as good as zero, and left as it is."""


def recentre(model: Any, batches: Iterable[NDArray[np.float32]]) -> None:
    """Make the averages of each batch norm those of `batches` (samples, *input; float32), and take
    up the difference in gamma and beta: what the Keras model answers stays the same, and is now
    about the same with training=True.

    Batch norm within a layer of layers, or of a layer that is used twice, is left as it is.
    """
    import keras

    norms = [layer for layer in model.layers if _is_plain_norm(layer)]
    if not norms:
        return
    reader = keras.Model(model.input, [norm.input for norm in norms])
    sums = [np.zeros((2, norm.moving_mean.shape[0])) for norm in norms]
    counts = [0] * len(norms)
    for batch in batches:
        for place, tensor in enumerate(reader(batch, training=False)):
            values = np.asarray(tensor, np.float64).reshape(-1, tensor.shape[-1])
            sums[place] += values.sum(axis=0), np.square(values).sum(axis=0)
            counts[place] += len(values)
    for norm, total, count in zip(norms, sums, counts, strict=True):
        mean, square = total / count
        _set_averages(norm, mean, np.maximum(square - mean**2, 0))


def equalize(model: Any) -> None:
    """Give all channels that a convolution makes one size, the square mean of He and others
    (arXiv:1502.01852), and the batch norm behind it averages to match: what the Keras model answers
    stays the same. A convolution that something else reads too is left as it is.
    """
    answers = [tensor._keras_history.operation for tensor in model.outputs]
    for norm in filter(_is_plain_norm, model.layers):
        layer = norm.input._keras_history.operation
        alone = layer not in answers and len(layer._outbound_nodes) == 1
        if _is_convolution(layer) and alone:
            _equalize(layer, norm)


def _is_convolution(layer: Any) -> bool:
    """Without a bias, which batch norm behind it makes needless, and without an activation."""
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    if not isinstance(layer, kinds) or len(layer._inbound_nodes) != 1:
        return False
    return not layer.use_bias and layer.activation is keras.activations.linear


def _equalize(layer: Any, norm: Any) -> None:
    import keras

    kernel = layer.kernel.numpy().astype(np.float64)
    # (height, width, in, out), of a depthwise one (height, width, in, multiplier)
    axes = (0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (0, 1, 2)
    size = np.sqrt(np.square(kernel).mean(axis=axes))
    wanted = np.sqrt(2 / np.prod([kernel.shape[axis] for axis in axes]))
    empty = size <= MIN_SIZE * size.max()
    factor = np.where(empty, 1, wanted / np.where(empty, 1, size))
    layer.kernel.assign(kernel * factor)
    flat = factor.ravel()
    *_, mean, variance = norm.get_weights()
    _set_averages(norm, flat * mean, flat**2 * variance, flat)


def _is_plain_norm(layer: Any) -> bool:
    import keras

    if not isinstance(layer, keras.layers.BatchNormalization) or len(layer._inbound_nodes) != 1:
        return False
    last = layer.axis in (-1, layer.input.ndim - 1)
    return bool(last and layer.scale and layer.center)


def _set_averages(
    norm: Any,
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    factor: NDArray[np.float64] | float = 1.0,
) -> None:
    """gamma (x - old mean) / old deviation + beta of x, written with the new mean and deviation of
    factor x, which comes in its place.
    """
    gamma, beta, old_mean, old_variance = (w.astype(np.float64) for w in norm.get_weights())
    slope = gamma / np.sqrt(old_variance + norm.epsilon) / factor
    norm.set_weights(
        [
            slope * np.sqrt(variance + norm.epsilon),
            beta + slope * (mean - factor * old_mean),
            *(mean, variance),
        ]
    )
