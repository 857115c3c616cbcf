"""Weights that share a few values: a codebook for each kernel.

A kernel of 16 values needs 4 bits a weight once it is compressed; nothing changes in the .tflite
itself, neither its size nor its speed. After S. Han and others, "Deep Compression", 2016,
arXiv:1510.00149: k-means for each layer, starting from values at equal distances, because those
keep the few large weights, then training in which the weights of a cluster move together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError

MAX_ROUNDS = 100
"""Of k-means; weights have settled after 20 to 50."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Codebook:
    """A kernel, and to which of `clusters` values each of its weights belongs.

    kernel: a Keras variable; members: int64, its shape. Weights that pruning made zero are a
    cluster of their own, number 0 with the value 0, and stay there.
    """

    kernel: Any
    members: NDArray[np.int64]
    clusters: int
    pruned: bool

    def share(self) -> None:
        """Give each weight the mean of its cluster: whatever a step of training did to them, they
        move together.
        """
        values, members = self.kernel.numpy(), self.members.reshape(-1)
        count = np.bincount(members, minlength=self.clusters)
        whole = np.bincount(members, values.reshape(-1), minlength=self.clusters)
        means = whole / np.maximum(count, 1)
        if self.pruned:
            means[0] = 0
        self.kernel.assign(means.astype(values.dtype)[self.members])

    def joined(self, gradient: Any) -> Any:
        """The gradient of each shared value, for all of its weights: the sum over the cluster (Han
        and others, "Deep Compression", ICLR 2016, arXiv:1510.00149, section 3). What an optimizer
        makes of each weight's own gradient would all but cancel in their mean. TensorFlow tensors
        of the kernel's shape.
        """
        import tensorflow as tf

        members = tf.constant(self.members, tf.int32)
        sums = tf.math.unsorted_segment_sum(gradient, members, self.clusters)
        return tf.gather(sums, members)


def joined_gradients(
    books: Sequence[Codebook], variables: Sequence[Any], gradients: Sequence[Any]
) -> list[Any]:
    """The gradients of Keras variables, those of clustered kernels `joined`. None, of what the loss
    does not depend on, stays None.
    """
    shared = {id(book.kernel): book for book in books}
    return [
        shared[id(variable)].joined(gradient)
        if id(variable) in shared and gradient is not None
        else gradient
        for variable, gradient in zip(variables, gradients, strict=True)
    ]


def codebooks(model: Any, clusters: int) -> tuple[list[Codebook], list[str]]:
    """A codebook for each kernel of a Keras model, and the paths of the kernels that have no more
    weights than that. Raises ConfigError as `large_kernels` does.
    """
    large, small = large_kernels(model, clusters)
    return [codebook(kernel, clusters) for kernel in large], small


def large_kernels(model: Any, clusters: int) -> tuple[list[Any], list[str]]:
    """The kernels of a Keras model with more weights than `clusters`, and the paths of the others.
    Raises ConfigError where none has more.
    """
    kernels = [weight for weight in model.weights if weight.name.endswith("kernel")]
    sizes = [int(np.prod(kernel.shape)) for kernel in kernels]
    if max(sizes, default=0) <= clusters:
        raise ConfigError(
            f"cluster.clusters is {clusters}, and the largest kernel of {model.name} has "
            f"{max(sizes, default=0)} weights",
            fix="lower cluster.clusters (16 is usual)",
        )
    large = [k for k, size in zip(kernels, sizes, strict=True) if size > clusters]
    small = [k.path for k, size in zip(kernels, sizes, strict=True) if size <= clusters]
    return large, small


def codebook(kernel: Any, clusters: int) -> Codebook:
    """The codebook of one Keras variable; its weights are not changed yet."""
    values = kernel.numpy()
    zero = values == 0
    if not zero.any() or zero.all():
        return Codebook(kernel, nearest(values, kmeans(values, clusters)), clusters, pruned=False)
    others = kmeans(values[~zero], clusters - 1)
    members = np.where(zero, 0, 1 + nearest(values, others))
    return Codebook(kernel, members, clusters, pruned=True)


def kmeans(values: Floats, clusters: int) -> Floats:
    """`clusters` values, ascending, around which `values` lie: Lloyd's algorithm on a line, from
    values at equal distances. Clusters without members stay where they are.
    """
    found = np.sort(values.reshape(-1)).astype(np.float64)
    centers = np.linspace(found[0], found[-1], clusters)
    sums = np.concatenate([[0.0], np.cumsum(found)])
    for _ in range(MAX_ROUNDS):
        # On a line a cluster is what lies between the middles to its neighbours.
        edges = np.searchsorted(found, (centers[1:] + centers[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(found)]])
        count = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(count, 1)
        moved = np.where(count > 0, means, centers)
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers.astype(np.float32)


def nearest(values: Floats, centers: Floats) -> NDArray[np.int64]:
    """For each value the number of the nearest of `centers` (ascending)."""
    return np.searchsorted((centers[1:] + centers[:-1]) / 2, values).astype(np.int64)
