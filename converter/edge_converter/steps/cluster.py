"""[cluster]: the weights of each kernel share a few values, which then train together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.compression.clustering import (
    Codebook,
    codebooks,
    joined_gradients,
    large_kernels,
)
from edge_converter.datasets import Dataset
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.common import (
    StepResult,
    feeds,
    load_trained,
    some_batches,
    weighted_loss,
)
from edge_converter.steps.train import recovery, unfreeze_all
from edge_converter.training.batch_norm import equalize, recentre
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.loop import Task, fit, prepare
from edge_converter.training.losses import hard_loss, supervised
from edge_sdk.events import Event, Listener, ignore


def check(recipe: Recipe, model: Any) -> None:
    """Raises ConfigError for more clusters than weights, trained or not."""
    large_kernels(model, recipe.cluster.clusters)


def cluster(
    recipe: Recipe,
    data: Dataset,
    target: Path,
    checkpoints: Checkpoints,
    *,
    source: Path,
    listen: Listener = ignore,
) -> StepResult:
    """Cluster the model at `source`, train its shared values, and save it to `target` (.keras).

    It trains as `recovery` says, for `cluster.epochs`.
    Raises ConfigError for more clusters than weights, ModelError for a model that cannot be read,
    TrainingError when it diverges.
    """
    if gpu := prepare(recipe.seed):
        listen(Event("note", "cluster", f"on {gpu}"))
    model = load_trained(recipe, source)
    recentre(model, some_batches(recipe, data))
    equalize(model)
    unfreeze_all(recipe, model)
    books, small = codebooks(model, recipe.cluster.clusters)
    _share(books)
    task = Task(
        model,
        supervised(weighted_loss(recipe, data)),
        hard_loss(recipe.train.loss),
        model,
        after_step=lambda _: _share(books),
        joined=partial(joined_gradients, books, model.trainable_variables),
    )
    curves = fit(task, *feeds(recipe, data), recovery(recipe, "cluster"), checkpoints, listen)
    model.save(target)
    return StepResult(curves, (("cluster", len(curves["loss"])),), _note(books, small))


def _share(books: Sequence[Codebook]) -> None:
    for book in books:
        book.share()


def _note(books: Sequence[Codebook], small: Sequence[str]) -> str:
    values = [len(np.unique(book.kernel.numpy())) for book in books]
    left = f"; too small to cluster: {', '.join(small)}" if small else ""
    return (
        f"{len(books)} kernels of at most {max(values)} values each: the file gets smaller only "
        f"when it is compressed, and the model not faster{left}"
    )
