"""Help for classes with few samples: weights in the loss, or more draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def class_weights(labels: Sequence[int] | NDArray[np.integer], classes: int) -> NDArray[np.float32]:
    """(classes,): n / (classes x samples of the class), so that every class weighs the same in the
    loss and the mean over the samples is 1 (G. King, L. Zeng, "Logistic Regression in Rare Events
    Data", 2001). 0 for a class without samples.
    """
    counts = np.bincount(np.asarray(labels, np.int64), minlength=classes)
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def oversampled(
    labels: Sequence[int] | NDArray[np.integer], classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices with each class as often as the largest: all samples in their order, then the
    repeated ones, drawn evenly (no sample twice more often than another of its class).
    """
    values = np.asarray(labels, np.int64)
    most = np.bincount(values, minlength=classes).max()
    chosen = [np.arange(len(values))]
    for label in range(classes):
        own = np.flatnonzero(values == label)
        if len(own):
            times, rest = divmod(most - len(own), len(own))
            chosen += [np.tile(own, times), rng.permutation(own)[:rest]]
    return np.concatenate(chosen)
