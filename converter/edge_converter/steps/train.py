"""[train]: Adam, categorical cross-entropy, constant or cosine rate, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.datasets import Dataset
from edge_converter.frameworks import load_tensorflow
from edge_converter.models import build_model
from edge_converter.recipe import Recipe, Train
from edge_converter.streaming import batches, fed_shape
from edge_sdk.errors import TrainingError


def train(
    recipe: Recipe, data: Dataset, target: Path, progress: Callable[[str], None]
) -> dict[str, list[float]]:
    """Train the recipe's model from nothing, save it to `target` (.keras), return its curves:
    {"loss", "accuracy", "val_loss", "val_accuracy"}, one value an epoch.

    The same recipe and data give the same weights on one machine. Raises ConfigError for a model
    that does not fit, TrainingError when the loss is no longer a number.
    """
    load_tensorflow()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    classes = len(data.labels)
    model = build_model(recipe, fed_shape(recipe, data.train), classes)
    size = recipe.train.batch_size
    steps = math.ceil(len(data.train) / size)
    model.compile(
        optimizer=keras.optimizers.Adam(_rate(recipe.train, steps)),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        batches(data.train, recipe, classes, size, shuffle_seed=recipe.seed),
        validation_data=batches(data.val, recipe, classes, size),
        epochs=recipe.train.epochs,
        callbacks=_callbacks(recipe.train, steps, progress),
        shuffle=False,  # the data set shuffles itself
        verbose=0,
    ).history
    finite = all(np.isfinite(weights).all() for weights in model.get_weights())
    if not (finite and math.isfinite(history["loss"][-1])):
        raise TrainingError(
            f"train: it diverged, the loss or the weights are not numbers after epoch "
            f"{len(history['loss'])}",
            fix="lower train.learning_rate, or check input.mean and input.std",
        )
    model.save(target)
    return {name: [float(v) for v in values] for name, values in history.items()}


def _rate(settings: Train, steps_per_epoch: int) -> Any:
    import keras

    if settings.schedule == "constant":
        return settings.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.epochs * steps_per_epoch
    )


def _callbacks(settings: Train, steps: int, progress: Callable[[str], None]) -> list[Any]:
    import keras

    started = time.monotonic()
    epoch = 0

    def batch_end(batch: int, logs: dict[str, float]) -> None:
        done = epoch * steps + batch + 1
        left = (time.monotonic() - started) / done * (settings.epochs * steps - done)
        progress(
            f"train: epoch {epoch + 1} of {settings.epochs}, batch {batch + 1} of {steps}, "
            f"loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}, {left:.0f} s left"
        )

    def epoch_end(number: int, _logs: dict[str, float]) -> None:
        nonlocal epoch
        epoch = number + 1

    found: list[Any] = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_train_batch_end=batch_end, on_epoch_end=epoch_end),
    ]
    if settings.patience:
        found.append(
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=settings.patience, restore_best_weights=True
            )
        )
    return found
