"""Classification: a row of scores -> classes, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.results import Classification
from edge_sdk.tensors import TensorSpec, dequantize

Activation = Literal["none", "softmax", "sigmoid"]


def scores(
    stored: NDArray[Any], spec: TensorSpec, activation: Activation = "none"
) -> NDArray[np.float32]:
    """Real scores, shape (classes,), float32, from a stored output of shape (1, …, classes)."""
    return activated(dequantize(stored, spec).reshape(-1), activation)


def activated(values: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Scores of what a model answers, shape (…, classes), float32; softmax is over the classes."""
    if activation == "softmax":
        exponents = np.exp(values - values.max(axis=-1, keepdims=True))
        shares: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
        return shares.astype(np.float32)
    if activation == "sigmoid":
        # Clipped where float32 is 0 or 1 anyway, so that exp cannot overflow.
        values = (1 / (1 + np.exp(-np.clip(values, -80, 80)))).astype(np.float32)
    return values


def answer(
    stored: NDArray[Any],
    spec: TensorSpec,
    labels: Sequence[str],
    k: int,
    min_score: float = 0.0,
    activation: Activation = "none",
) -> tuple[Classification, ...]:
    """`top` of the `scores` of a stored output of shape (1, …, classes).

    Quantization keeps the order, so of an 8-bit row only the best are made numbers at all.
    """
    if activation != "none" or stored.dtype.itemsize != 1:
        return top(scores(stored, spec, activation), labels, k, min_score)
    row = stored.reshape(-1)
    # ~ turns the order round without overflow; a stable sort of bytes is a radix sort.
    order = np.argsort(~row, kind="stable")[:k]
    return _named(order, dequantize(row[order], spec), labels, min_score)


def top(
    values: NDArray[np.float32], labels: Sequence[str], k: int, min_score: float = 0.0
) -> tuple[Classification, ...]:
    """The `k` best classes with a score of at least `min_score`, best first.

    Equal scores keep the order of the labels, on every machine (a stable sort).
    """
    # Of a thousand scores only the few at or above the k-th are worth sorting.
    least = np.partition(values, -k)[-k] if 0 < k < len(values) else -np.inf
    candidates = np.flatnonzero(values >= least)
    order = candidates[np.argsort(-values[candidates], kind="stable")][:k]
    return _named(order, values[order], labels, min_score)


def _named(
    order: NDArray[Any], values: NDArray[np.float32], labels: Sequence[str], min_score: float
) -> tuple[Classification, ...]:
    return tuple(
        Classification(labels[index], index, score)
        for index, score in zip(order.tolist(), values.tolist(), strict=True)
        if score >= min_score
    )
