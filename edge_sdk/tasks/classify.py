"""Classification: a row of scores -> classes, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.model.interface import ModelInterface, TaskName
from edge_sdk.model.postprocess import Activation
from edge_sdk.results import Classification
from edge_sdk.tasks.base import Answer, Decoder, Output, Outputs, Task, Threshold, Tolerance
from edge_sdk.tasks.checks import check_single_image, require
from edge_sdk.tasks.tolerance import compare_numbers, numbers_apart
from edge_sdk.tensors import TensorSpec, dequantize

if TYPE_CHECKING:
    from edge_sdk.data.samples import Sample


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


def all_scores(
    interface: ModelInterface, output: Output, specs: Sequence[TensorSpec]
) -> NDArray[np.float32]:
    """The scores of every class after an invoke: float32, shape (classes,)."""
    number = interface.output("scores")
    return scores(output(number), specs[number], interface.postprocess.activation)


class Classify(Task):
    """Tells which class a single image belongs to."""

    name: ClassVar[TaskName] = "classify"
    kind = "a classifier"
    metric = "accuracy"

    def check(self, interface: ModelInterface, labels: int, where: str) -> None:
        """Scores for the labels, and an image for input."""
        self._check_scores(interface, labels, where)
        check_single_image(interface, where)

    def _check_scores(self, interface: ModelInterface, labels: int, where: str) -> None:
        roles = [output.role for output in interface.outputs]
        require("scores" in roles, f'{where}: no output has the role "scores"')
        count = math.prod(interface.outputs[roles.index("scores")].tensor.shape)
        require(
            count == labels,
            f"{where}: {labels} labels for {count} scores",
            fix="give one label for each score, in the model's order",
        )

    def sample_type(self, interface: ModelInterface) -> type[Sample]:
        """Images; features where nothing is preprocessed."""
        from edge_sdk.data.samples import FeatureRow, Image  # a stream needs no samples

        return FeatureRow if interface.input.preprocess is None else Image

    def decoder(
        self,
        interface: ModelInterface,
        labels: Sequence[str],
        specs: Sequence[TensorSpec],
        threshold: Threshold,
    ) -> Decoder:
        """The best classes."""
        number, post = interface.output("scores"), interface.postprocess
        least = post.min_score if threshold.min_score is None else threshold.min_score
        best = Classifier(specs[number], labels, threshold.top, least, post.activation)
        return lambda output, _placement, _frame: Answer(best(output(number)))

    def bit_exact(self, interface: ModelInterface) -> bool:
        """Always."""
        return True

    def compare(
        self, interface: ModelInterface, wanted: Outputs, found: Outputs, tolerance: Tolerance
    ) -> tuple[float, str]:
        """Number by number, and the same best class."""
        return compare_numbers(interface.outputs, wanted, found, tolerance)

    def steps_apart(
        self, interface: ModelInterface, wanted: Outputs, found: Outputs, precision: str
    ) -> float:
        """Of the outputs that are integers."""
        return numbers_apart(interface.outputs, wanted, found, precision)
