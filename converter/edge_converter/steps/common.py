"""Common parts of steps: their batches, the loss against the labels, and their result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.datasets import Dataset
from edge_converter.datasets.model_input import ModelInput
from edge_converter.models import load_model
from edge_converter.recipe.loading import Recipe
from edge_converter.recipe.schema import Augment
from edge_converter.training.batches import CACHE_BYTES, Change, Feed, Order, one_hot
from edge_converter.training.class_balance import class_weights, oversampled
from edge_converter.training.loop import Curves
from edge_converter.training.losses import Hard, hard_loss, weighted

SAMPLES = 512
"""Training samples by which activations are known."""


@dataclass(frozen=True)
class StepResult:
    """The result of a step beside its model.

    curves: one value an epoch for each name; phases: (name, epochs) in their order; note: what was
    done, for people.
    """

    curves: Curves
    phases: tuple[tuple[str, int], ...]
    note: str

    def as_dict(self) -> dict[str, Any]:
        """{"history": curves and {"phases": [{"name", "epochs"}]}, "note"}."""
        phases = [{"name": name, "epochs": epochs} for name, epochs in self.phases]
        return {"history": {**self.curves, "phases": phases}, "note": self.note}


def load_trained(recipe: Recipe, path: Path) -> Any:
    """The Keras model that a step of the recipe left at `path`. Raises ModelError."""
    return load_model(path, recipe.model.name, recipe.folder)


def some_batches(recipe: Recipe, data: Dataset) -> Iterator[NDArray[np.float32]]:
    """Fed values of up to SAMPLES training samples from all of the set, in batches."""
    chosen = data.train[:: math.ceil(len(data.train) / SAMPLES)]
    fed = ModelInput.of(recipe, chosen)
    for first in range(0, len(chosen), recipe.train.batch_size):
        yield fed.stack(chosen[first : first + recipe.train.batch_size])


def joined(histories: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The histories of steps, one after another."""
    return {name: [v for one in histories for v in one[name]] for name in histories[0]}


def feeds(recipe: Recipe, data: Dataset, *, cache_bytes: int = CACHE_BYTES) -> tuple[Feed, Feed]:
    """Batches to train on, in an order and with changes that the recipe's seed and the number of
    the epoch decide, and batches to validate on, as they are.
    """
    encode, shape = one_hot(len(data.labels)), ModelInput.of(recipe, data.train).shape
    change = _augmented(recipe, shape) if recipe.augment != Augment() else None
    return (
        Feed(
            data.train,
            recipe,
            encode,
            order=_order(recipe, data),
            change=change,
            cache_bytes=cache_bytes,
        ),
        Feed(data.val, recipe, encode, cache_bytes=cache_bytes),
    )


def weighted_loss(recipe: Recipe, data: Dataset) -> Hard:
    """[train] loss, with the weights of the classes where [data] balance asks for them."""
    loss = hard_loss(recipe.train.loss)
    if recipe.data.balance != "class-weights":
        return loss
    return weighted(loss, class_weights(_labels(data), len(data.labels)))


def _labels(data: Dataset) -> list[int]:
    return [sample.label for sample in data.train]


def _order(recipe: Recipe, data: Dataset) -> Order:
    labels, classes = _labels(data), len(data.labels)

    def order(epoch: int) -> Any:
        rng = np.random.default_rng([recipe.seed, epoch])
        if recipe.data.balance == "oversample":
            return rng.permutation(oversampled(labels, classes, rng))
        return rng.permutation(len(labels))

    return order


def _augmented(recipe: Recipe, shape: tuple[int, ...]) -> Callable[[int], Change]:
    """[augment] for each epoch, with a seed of its own: a build that goes on from a checkpoint sees
    the same images.
    """
    from edge_converter.training.augmentation import augmentation

    def change(epoch: int) -> Change:
        seed = int(np.random.SeedSequence([recipe.seed, epoch]).generate_state(1)[0])
        found = augmentation(recipe.augment, shape, seed)
        assert found is not None
        return found.apply

    return change
