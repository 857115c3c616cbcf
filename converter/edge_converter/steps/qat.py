"""[qat]: the trained network goes on learning while it computes as its int8 model will."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_converter.compression.fake_quant import check_layers, fake_quantized
from edge_converter.datasets import Dataset
from edge_converter.datasets.model_input import ModelInput
from edge_converter.quantize.to_tflite import calibration_samples, pinned
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.common import StepResult, feeds, load_trained, weighted_loss
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.loop import Plan, Task, fit, prepare
from edge_converter.training.losses import hard_loss, supervised
from edge_sdk.events import Event, Listener, ignore


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
    listen: Listener = ignore,
) -> StepResult:
    """Fine-tune the model at `source` with fake quantization, and save that to `target` (.keras).

    The ranges start from the samples that calibration without this step would take. The epoch of
    the least loss on the validation samples is kept.
    Raises ConfigError for a layer that has no rule, TrainingError when it diverges.
    """
    if gpu := prepare(recipe.seed):
        listen(Event("note", "qat", f"on {gpu}"))
    trained = load_trained(recipe, source)
    chosen = calibration_samples(data.train, recipe.quantize.calibration_samples, recipe.seed)
    fed = ModelInput.of(recipe, data.train)
    model = fake_quantized(
        trained,
        pinned(fed.stack(chosen), fed.preprocess),
        dense_per_tensor=recipe.target.engine == "edgetpu",
    )
    feed, val = feeds(recipe, data)
    task = Task(model, supervised(weighted_loss(recipe, data)), hard_loss(recipe.train.loss), model)
    curves = fit(task, feed, val, _plan(recipe), checkpoints, listen)
    model.save(target)
    epochs = len(curves["loss"])
    return StepResult(curves, (("qat", epochs),), f"fake quantization to int8: {epochs} epochs")


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
