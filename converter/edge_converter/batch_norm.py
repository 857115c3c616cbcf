"""Batch norm that stood still while the rest trained, and now is to train too.

Transferred layers keep their batch norm frozen: its averages are of other pictures, or, out of a
.tflite file, mere 0 and 1. Once it normalises by the batches that it is fed, it answers otherwise
at one stroke, and a network that was to recover from a change has to learn anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


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


def _is_plain_norm(layer: Any) -> bool:
    import keras

    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return is_norm and layer.scale and layer.center and len(layer._inbound_nodes) == 1


def _set_averages(norm: Any, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> None:
    """(x - old mean) / old deviation * gamma + beta, written with the new mean and deviation."""
    gamma, beta, old_mean, old_variance = (w.astype(np.float64) for w in norm.get_weights())
    slope = gamma / np.sqrt(old_variance + norm.epsilon)
    norm.set_weights(
        [
            *(slope * np.sqrt(variance + norm.epsilon), beta + slope * (mean - old_mean)),
            *(mean, variance),
        ]
    )
