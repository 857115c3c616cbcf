"""Classification: a row of scores -> classes, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.model.postprocess import Activation
from edge_sdk.results import Classification
from edge_sdk.tensors import TensorSpec, dequantize


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


class Classifier:
    """`top` of the `scores` of a stored output of shape (1, …, classes).

    Quantization keeps the order, so of an 8-bit row only the best are made numbers, and those by a
    table: after an invoke nothing of this is in the caches, and each call costs.
    """

    def __init__(
        self,
        spec: TensorSpec,
        labels: Sequence[str],
        k: int,
        min_score: float = 0.0,
        activation: Activation = "none",
    ) -> None:
        self._spec = spec
        self._labels = labels
        self._k = k
        self._min_score = min_score
        self._activation = activation
        self._values: list[float] = []
        if activation == "none" and spec.dtype in ("int8", "uint8"):
            stored = np.arange(256, dtype=np.uint8).view(spec.dtype)
            self._values = dequantize(stored, spec).tolist()

    def __call__(self, stored: NDArray[Any]) -> tuple[Classification, ...]:
        """The best classes, best first; `stored` is of the spec's dtype."""
        if not self._values:
            values = scores(stored, self._spec, self._activation)
            return top(values, self._labels, self._k, self._min_score)
        row = stored.reshape(-1)
        # The best come last, and from the back the first of equals does: a stable sort, of bytes
        # a radix sort.
        places = row[::-1].argsort(kind="stable")[: -self._k - 1 : -1].tolist()
        data = row.tobytes()
        last = len(data) - 1
        best = []
        for place in places:
            index = last - place
            score = self._values[data[index]]
            if score >= self._min_score:
                best.append(Classification(self._labels[index], index, score))
        return tuple(best)


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
