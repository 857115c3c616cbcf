"""The network without the channels that go: layers made anew, their weights cut out of the old."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.compression.pruning.channels import Passage, Trace, graph_of

Keep = NDArray[np.bool_]
"""True for each channel of a trace that stays."""


def choose(found: Trace, scores: NDArray[np.floating], ratio: float) -> Keep:
    """Drop the `ratio` of each group that scores least, rounded down; one channel of each layer
    stays at least. scores: of every channel; those that are coupled are added up.

    The rest is not rounded to eights: XNNPACK computes in tiles of 8 to 64 channels, and one that
    is not full costs as much as a full one, but never more. Rounding would only keep channels that
    the recipe wants to lose.
    """
    sums = np.bincount(found.roots, scores, len(found.roots))
    keep = np.ones(len(sums), np.bool_)
    for group in found.groups:
        drop = min(int(ratio * len(group)), len(group) - 1)
        keep[group[np.argsort(sums[group], kind="stable")[:drop]]] = False
    for one in found.passages.values():
        mine = found.roots[one.writes]
        if one.size and not keep[mine].any():  # coupled to others in parts, and the worst of all
            keep[mine[np.argmax(sums[mine])]] = True
    return keep[found.roots]


def narrowed(model: Any, found: Trace, keep: Keep) -> Any:
    """A new model of the same layers, with the kept channels and their weights only."""
    import keras

    def clone(op: Any) -> Any:
        config = op.get_config() | _size(op, found.passages.get(op.name), keep)
        return type(op).from_config(config)

    graph = graph_of(model)
    smaller = keras.models.clone_model(graph, clone_function=clone)
    for old in graph.layers:
        if old.weights:
            values = _weights(old, found.passages.get(old.name), keep)
            smaller.get_layer(old.name).set_weights(values)
    return smaller


def _size(op: Any, one: Passage | None, keep: Keep) -> dict[str, Any]:
    """The arguments of a layer that say how many channels there are."""
    if one is None:
        return {}
    count = int(keep[one.writes].sum())
    if one.size:
        return {one.size: count}
    if one.kind == "Reshape" and op.target_shape[-1] != -1:
        return {"target_shape": (*op.target_shape[:-1], count)}
    return {}


def _weights(layer: Any, one: Passage | None, keep: Keep) -> list[NDArray[Any]]:
    """The layer's weights without the rows and columns of channels that go."""
    found = []
    for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
        axes = one.axes(weight.name) if one else {}
        for axis, numbers in axes.items():
            value = np.compress(keep[numbers], value, axis=axis)
        found.append(value)
    return found
