"""[qat]: the trained network goes on learning while it computes as its int8 model will."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_converter.compression.fake_quant import check_layers, fake_quantized
from edge_converter.datasets import Dataset
from edge_converter.quantize.to_tflite import calibration_samples, pinned
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.common import Trained, feeds, load_trained, weighted_loss
from edge_converter.training.batches import stack
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.loop import Plan, Progress, Task, fit, prepare
from edge_converter.training.losses import hard_loss, supervised


def check(recipe: Recipe, model: Any) -> None:
    """Raises ConfigError for a layer that has no rule, trained or not."""
    check_layers(model)


def qat(
    recipe: Recipe,
    data: Dataset,
    target: Path,
    checkpoints: Checkpoints,
    *,
    source: Path,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _: None,
) -> Trained:
    """Fine-tune the model at `source` with fake quantization, and save that to `target` (.keras).

    The ranges start from the samples that calibration without this step would take. The epoch of
    the least loss on the validation samples is kept.
    Raises ConfigError for a layer that has no rule, TrainingError when it diverges.
    """
    if gpu := prepare(recipe.seed):
        say(f"qat: on {gpu}")
    trained = load_trained(recipe, source)
    chosen = calibration_samples(data.train, recipe.quantize, recipe.seed)
    model = fake_quantized(
        trained,
        pinned(stack(chosen, recipe), recipe),
        dense_per_tensor=recipe.target.engine == "edgetpu",
    )
    feed, val = feeds(recipe, data)
    task = Task(model, supervised(weighted_loss(recipe, data)), hard_loss(recipe.train.loss), model)
    curves = fit(task, feed, val, _plan(recipe), checkpoints, progress)
    model.save(target)
    epochs = len(curves["loss"])
    return Trained(curves, (("qat", epochs),), f"fake quantization to int8: {epochs} epochs")


def _plan(recipe: Recipe) -> Plan:
    """A rate that decays to 0, so that values settle on their grid; patience for all epochs: it
    never ends early, and the best is kept.
    """
    settings = recipe.qat
    before = sum(getattr(recipe, step).epochs for step in recipe.steps[:-1])
    return Plan(
        "qat",
        settings.epochs,
        settings.learning_rate,
        "cosine",
        patience=settings.epochs,
        first_epoch=before,
        rate_key="qat.learning_rate",
    )
