"""Unstructured pruning: the smallest weights of each kernel become zero, more and more of them.

After each step of training the smallest weights are set to zero again: which ones, the weights
themselves say, so there is no mask to keep beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_sdk.errors import ModelError, TrainingError

RAMP = 0.5
"""The share of the steps in which the sparsity rises; in the rest the network heals."""


def kernels(model: Any) -> list[Any]:
    """The weights that are pruned: all kernels. Biases and batch norm are few, and stay.

    Raises ModelError for a model without kernels.
    """
    found = [weight for weight in model.weights if weight.name.endswith("kernel")]
    if not found:
        raise ModelError(
            f"{model.name} has no kernel whose weights could be pruned",
            fix='remove "prune" from steps',
        )
    return found


def sparsity(ratio: float, done: int, steps: int) -> float:
    """The share of zeros after `done` of `steps` steps: ratio (1 - (1 - t)^3), t from 0 to 1 during
    the ramp (Zhu and Gupta, "To prune, or not to prune", 2017, arXiv:1710.01878).
    """
    t = min(1.0, done / max(1.0, RAMP * steps))
    return ratio * (1 - (1 - t) ** 3)


def sparse_step(model: Any, ratio: float, steps: int) -> Callable[[int], None]:
    """A `loop.Task.after_step` for a phase of `steps` steps."""
    found = kernels(model)

    def prune(done: int) -> None:
        for kernel in found:
            zero_smallest(kernel, sparsity(ratio, done, steps))

    return prune


def zero_smallest(kernel: Any, share: float) -> None:
    """Set so large a share of a Keras variable to zero, rounded down: the least in magnitude."""
    values = kernel.numpy()
    count = min(int(share * values.size), values.size - 1)
    if count > 0:
        flat = values.reshape(-1)
        flat[np.argpartition(np.abs(flat), count)[:count]] = 0
        kernel.assign(values)


def achieved(model: Any, ratio: float) -> float:
    """The share of zeros in all kernels. Raises TrainingError where one kernel has fewer than
    `ratio` asks for.
    """
    zeros, total = 0, 0
    for kernel in kernels(model):
        values = kernel.numpy()
        found = int(values.size - np.count_nonzero(values))
        if found < min(int(ratio * values.size), values.size - 1):
            raise TrainingError(
                f"prune: {kernel.path} has {found / values.size:.1%} zeros, prune.ratio asks for "
                f"{ratio:.1%}",
                fix="report this as a bug",
            )
        zeros, total = zeros + found, total + values.size
    return zeros / total
