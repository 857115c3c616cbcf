"""Ranks of channels: by their weights, or by their answers to real samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.compression.pruning.channels import Trace

BINS = 64
"""Of the histogram of a layer's activations."""

Scores = NDArray[np.float64]
"""Of every channel of a trace; the least goes first."""


def l1_norms(model: Any, found: Trace) -> Scores:
    """The sum of the absolute weights that make a channel (Li and others, "Pruning Filters for
    Efficient ConvNets", ICLR 2017, arXiv:1608.08710): of its kernel, and of its depthwise kernels.
    """
    scores = np.zeros(len(found.roots))
    for layer in model.layers:
        one = found.passages.get(layer.name)
        for weight in layer.weights if one else ():
            axes = one.axes(weight.name) if one else {}
            if axes and weight.name.endswith("kernel"):
                made = max(axes)
                value = np.moveaxis(np.abs(weight.numpy()), made, -1)
                sums = value.reshape(-1, value.shape[-1]).sum(axis=0)
                np.add.at(scores, axes[made], sums)
    return scores


def entropies(model: Any, found: Trace, batches: Iterable[NDArray[np.float32]]) -> Scores:
    """The entropy of a channel's activations over samples: -sum p log p over BINS bins, of its mean
    over each image (Luo and Wu, "An Entropy-based Pruning Method for CNN Compression", 2017,
    arXiv:1706.05791).

    Measured where a kernel reads the channel, so behind batch norm and activation; of several
    readers, the mean. The bins divide the range of the whole layer, as the steps of int8 do: a
    channel that hardly moves falls into one of them and carries nothing.
    batches: fed values [batch, *shape].
    """
    import keras

    readers = [
        (one, model.get_layer(one.layer).input)
        for one in found.passages.values()
        if one.axes("kernel") or one.axes("depthwise_kernel")
    ]
    watched = keras.Model(model.inputs[0], [tensor for _, tensor in readers])
    means: list[list[NDArray[Any]]] = [[] for _ in readers]
    for fed in batches:
        seen = keras.tree.flatten(watched(fed, training=False))
        for values, one in zip(means, seen, strict=True):
            array = np.asarray(one)
            values.append(array.mean(axis=tuple(range(1, array.ndim - 1))))
    scores, counts = np.zeros(len(found.roots)), np.zeros(len(found.roots))
    for (one, _), values in zip(readers, means, strict=True):
        np.add.at(scores, one.reads, _entropy(np.concatenate(values)))
        np.add.at(counts, one.reads, 1)
    return scores / np.maximum(counts, 1)


def _entropy(values: NDArray[Any]) -> Scores:
    """Of each column, in nats. values: [samples, channels]."""
    least, most = float(values.min()), float(values.max())
    step = (most - least) / BINS or 1.0
    places = np.minimum(((values - least) / step).astype(np.int64), BINS - 1)
    columns = values.shape[1]
    cells = places + BINS * np.arange(columns)
    shares = np.bincount(cells.ravel(), minlength=BINS * columns).reshape(columns, BINS)
    p = shares / len(values)
    entropy: Scores = -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1)
    return entropy
