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
    values: NDArray[np.float32] = dequantize(stored, spec).reshape(-1)
    if activation == "softmax":
        exponents = np.exp(values - values.max())
        shares: NDArray[np.float32] = (exponents / exponents.sum()).astype(np.float32)
        return shares
    if activation == "sigmoid":
        # Clipped where float32 is 0 or 1 anyway, so that exp cannot overflow.
        values = (1 / (1 + np.exp(-np.clip(values, -80, 80)))).astype(np.float32)
    return values


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
    return tuple(
        Classification(labels[index], index, score)
        for index, score in zip(order.tolist(), values[order].tolist(), strict=True)
        if score >= min_score
    )
