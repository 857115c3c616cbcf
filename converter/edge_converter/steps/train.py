"""[train]: from labels, with transferred weights the head first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_converter.datasets import Dataset
from edge_converter.datasets.model_input import ModelInput
from edge_converter.models import build_model
from edge_converter.recipe.loading import Recipe
from edge_converter.recipe.schema import Train
from edge_converter.steps.common import StepResult, feeds, joined, weighted_loss
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.loop import Curves, Plan, Task, fit, prepare
from edge_converter.training.losses import hard_loss, supervised
from edge_sdk.errors import ConfigError
from edge_sdk.events import Event, Listener, ignore


@dataclass(frozen=True)
class Phase:
    """Epochs that train the same layers. unfrozen: the head and so many layers before it; None:
    all, batch norm included.
    """

    plan: Plan
    unfrozen: int | None


def train(
    recipe: Recipe,
    data: Dataset,
    target: Path,
    checkpoints: Checkpoints,
    *,
    listen: Listener = ignore,
) -> StepResult:
    """Train the recipe's model, save it to `target` (.keras).

    The same recipe and data give the same weights on one machine, also when it was ended on the
    way and goes on from `checkpoints`. Raises ConfigError for a model that does not fit or settings
    that contradict each other, TrainingError when it diverges, and what `load_weights` raises.
    """
    todo = phases(recipe)
    if gpu := prepare(recipe.seed):
        listen(Event("note", "train", f"on {gpu}"))
    model, head = new_model(recipe, data)
    feed, val = feeds(recipe, data)
    task = Task(model, supervised(weighted_loss(recipe, data)), hard_loss(recipe.train.loss), model)
    curves: Curves = {}
    done = []
    for phase in todo:
        if phase.unfrozen is not None:
            unfreeze(model, head, phase.unfrozen)
        found = fit(task, feed, val, phase.plan, checkpoints, listen)
        done.append((phase.plan.name, len(found["loss"])))
        curves = joined([curves, found]) if curves else found
    model.save(target)
    return StepResult(curves, tuple(done), _note(recipe, done))


def phases(recipe: Recipe) -> list[Phase]:
    """The phases that [train] asks for: one, or with transferred weights the head alone, then the
    last layers too. Raises ConfigError for settings that contradict each other.
    """
    settings = recipe.train
    plan = Plan(
        "train",
        settings.epochs,
        settings.learning_rate,
        settings.schedule,
        settings.warmup_epochs,
        settings.patience,
    )
    _check(settings, transferred=recipe.model.weights != "none" or _is_file(recipe))
    if not settings.head_epochs and not settings.unfreeze_layers:
        return [Phase(plan, None)]
    found = []
    if settings.head_epochs:
        found.append(Phase(replace(plan, name="train-head", epochs=settings.head_epochs), 0))
    if settings.head_epochs < settings.epochs:
        tuning = replace(
            plan,
            name="train-last-layers",
            epochs=settings.epochs - settings.head_epochs,
            learning_rate=settings.fine_tune_learning_rate,
            rate_key="train.fine_tune_learning_rate",
            warmup_epochs=0 if found else settings.warmup_epochs,
            first_epoch=settings.head_epochs,
        )
        found.append(Phase(tuning, settings.unfreeze_layers))
    return found


def recovery(recipe: Recipe, step: str) -> Plan:
    """The plan by which a step trains a model that it has changed: at the rate and with the
    patience of [train]'s last phase, in its own number of epochs.
    """
    before = recipe.steps[: recipe.steps.index(step)]
    return replace(
        phases(recipe)[-1].plan,
        name=step,
        epochs=getattr(recipe, step).epochs,
        warmup_epochs=0,
        first_epoch=sum(getattr(recipe, one).epochs for one in before),
    )


def _check(settings: Train, *, transferred: bool) -> None:
    """Settings that contradict each other: a wrong word would cost minutes of training."""
    first = settings.head_epochs or settings.epochs
    if settings.warmup_epochs >= first:
        raise ConfigError(
            f"train.warmup_epochs is {settings.warmup_epochs} of {first} epochs",
            fix="lower it: warm-up must end before training does",
        )
    if not transferred:
        for key in ("head_epochs", "unfreeze_layers"):
            if value := getattr(settings, key):
                raise ConfigError(
                    f"train.{key} is {value}, but no weights are transferred: a network with "
                    "random weights must train as a whole",
                    fix=f"set model.weights, or remove train.{key}",
                )
    if settings.head_epochs > settings.epochs:
        raise ConfigError(
            f"train.head_epochs is {settings.head_epochs} of {settings.epochs} epochs",
            fix="lower train.head_epochs, or raise train.epochs",
        )
    if settings.head_epochs and (settings.head_epochs < settings.epochs) != bool(
        settings.unfreeze_layers
    ):
        raise ConfigError(
            f"train.head_epochs is {settings.head_epochs} of {settings.epochs} epochs, and "
            f"train.unfreeze_layers is {settings.unfreeze_layers}",
            fix="for the head alone set head_epochs = epochs and unfreeze_layers = 0; to go on "
            "with the last layers set head_epochs < epochs and unfreeze_layers above 0",
        )


def new_model(recipe: Recipe, data: Dataset) -> tuple[Any, tuple[str, ...]]:
    """The recipe's model with the weights that it starts from, and the names of the layers that
    are new. Batch norm that was loaded does not train: its statistics are of far more images
    than a recipe has.
    """
    model = build_model(recipe, ModelInput.of(recipe, data.train).shape, len(data.labels))
    if recipe.model.weights == "none":
        return model, (_last_with_weights(model),)
    from edge_converter.weights import load_weights

    transfer = load_weights(model, recipe)
    for layer in leaves(model):
        if _is_batch_norm(layer) and layer.name in transfer.loaded:
            layer.trainable = False
    return model, transfer.head or (_last_with_weights(model),)


def unfreeze(model: Any, head: Sequence[str], count: int) -> None:
    """Let the layers called `head` train, and the last `count` of the others but for batch norm;
    nothing else. Raises ConfigError for more layers than there are.
    """
    others = [layer for layer in leaves(model) if layer.name not in head]
    if count > len(others):
        raise ConfigError(
            f"train.unfreeze_layers is {count}, {model.name} has {len(others)} layers before its "
            "head",
            fix=f"set it to {len(others)} at most",
        )
    for number, layer in enumerate(others):
        layer.trainable = number >= len(others) - count and not _is_batch_norm(layer)


def unfreeze_all(recipe: Recipe, model: Any) -> None:
    """Let all layers train, batch norm too, where weights were transferred; in other networks what
    is frozen was meant to be.

    `model.trainable = True` would do nothing where that is what it was: TensorFlow skips an
    attribute that stays the same, and with it what Keras would tell the layers.
    """
    if recipe.model.weights != "none" or _is_file(recipe):
        for layer in model._flatten_layers():  # itself first
            layer.trainable = True


def leaves(model: Any) -> list[Any]:
    """All layers in their order, those of layers inside layers too, but for inputs."""
    import keras

    found: list[Any] = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += leaves(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            found.append(layer)
    return found


def _is_file(recipe: Recipe) -> bool:
    """True where the model is a file, which brings weights."""
    return recipe.model.name.startswith("file:")


def _is_batch_norm(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.BatchNormalization)


def _last_with_weights(model: Any) -> str:
    return str([layer for layer in leaves(model) if layer.weights][-1].name)


def _note(recipe: Recipe, done: Sequence[tuple[str, int]]) -> str:
    weights = "" if recipe.model.weights == "none" else f" from {recipe.model.weights}"
    epochs = ", ".join(f"{name} {count} epochs" for name, count in done)
    return f"{recipe.model.name}{weights}: {epochs}"
