"""[prune]: channels that carry little are cut out, or small weights become zero; then it trains
until it has recovered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.compression.pruning import Trace, choose, entropies, l1_norms, narrowed, trace
from edge_converter.compression.pruning.magnitude import achieved, sparse_step
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
from edge_sdk.errors import ConfigError
from edge_sdk.events import Event, Listener, ignore


def check(recipe: Recipe, model: Any) -> None:
    """Raises ConfigError where no channel would go, whatever the network has learned."""
    if recipe.prune.unit == "channels":
        found = trace(model)
        _chosen(found, l1_norms(model, found), recipe.prune.ratio)


def prune(
    recipe: Recipe,
    data: Dataset,
    target: Path,
    checkpoints: Checkpoints,
    *,
    source: Path,
    listen: Listener = ignore,
) -> StepResult:
    """Prune the model at `source`, let it recover, and save it to `target` (.keras).

    It trains as a whole, as `recovery` says, for `prune.epochs`; weights without patience, since
    the first epochs have fewer zeros.
    Raises ConfigError where nothing can be pruned, ModelError for a model that cannot be read,
    TrainingError when it diverges or a kernel has too few zeros.
    """
    if gpu := prepare(recipe.seed):
        listen(Event("note", "prune", f"on {gpu}"))
    model = load_trained(recipe, source)
    recentre(model, some_batches(recipe, data))
    feed, val = feeds(recipe, data)
    plan, settings = recovery(recipe, "prune"), recipe.prune
    if settings.unit == "channels":
        model, note = _without_channels(recipe, data, model)
    else:
        equalize(model)
    unfreeze_all(recipe, model)
    task = Task(model, supervised(weighted_loss(recipe, data)), hard_loss(recipe.train.loss), model)
    if settings.unit == "weights":
        plan, steps = replace(plan, patience=0), plan.epochs * feed.steps
        task = replace(task, after_step=sparse_step(model, settings.ratio, steps))
    curves = fit(task, feed, val, plan, checkpoints, listen)
    if settings.unit == "weights":
        note = _note_of_zeros(achieved(model, settings.ratio))
    model.save(target)
    return StepResult(curves, (("prune", len(curves["loss"])),), note)


def _without_channels(recipe: Recipe, data: Dataset, model: Any) -> tuple[Any, str]:
    """The narrower model, and what was done, for people. Raises ConfigError where nothing can be
    removed.
    """
    found, settings = trace(model), recipe.prune
    if settings.rank == "entropy":
        scores = entropies(model, found, some_batches(recipe, data))
    else:
        scores = l1_norms(model, found)
    keep = _chosen(found, scores, settings.ratio)
    smaller = narrowed(model, found, keep)
    left, all_of_them = keep[np.concatenate(found.groups)].sum(), sum(map(len, found.groups))
    note = (
        f"{left} of {all_of_them} channels left, ranked by {settings.rank}; "
        f"{smaller.count_params():,} of {model.count_params():,} parameters"
    )
    return smaller, note + _left_whole(found)


def _chosen(found: Trace, scores: NDArray[np.floating], ratio: float) -> NDArray[np.bool_]:
    keep = choose(found, scores, ratio)
    if keep.all():
        raise _nothing(found, ratio)
    return keep


def _left_whole(found: Trace) -> str:
    """The layers, each with the one for whose sake it is: "conv (for attention), attention"."""
    lines = [
        layer if layer == why else f"{layer} (for {why})" for layer, why in found.whole.items()
    ]
    return f"; left whole: {', '.join(lines)}" if lines else ""


def _nothing(found: Trace, ratio: float) -> ConfigError:
    most = max(map(len, found.groups), default=0)
    if not most:
        return ConfigError(
            f"prune: no layer can be pruned{_left_whole(found)}",
            fix='remove "prune" from steps, or set prune.unit = "weights"',
        )
    return ConfigError(
        f"prune.ratio {ratio:g} removes no channel: no layer has more than {most}",
        fix=f"raise it to {math.ceil(1000 / most) / 1000:g} or more"
        if most > 1
        else 'remove "prune" from steps',
    )


def _note_of_zeros(share: float) -> str:
    return (
        f"{share:.1%} of the weights in kernels are zero: the file gets smaller only when it is "
        "compressed, and the model not faster"
    )
