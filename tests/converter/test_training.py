"""The train step: repeatable, with curves, stopping when it should."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.datasets import Dataset, open_dataset
from edge_converter.steps.train import train
from edge_converter.streaming import stack
from edge_sdk.errors import TrainingError

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Trained:
    """The curves that `train` returned and the model that it saved."""

    curves: dict[str, list[float]]
    model: Any


@pytest.fixture(scope="module")
def recipe(project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def data(recipe: Path) -> Dataset:
    return open_dataset(Recipe.load(recipe))


@pytest.fixture(scope="module")
def trained(
    recipe: Path, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Trained]:
    """`trained(epochs=2)`: the stripes, trained so; asked for the same again, the same again."""
    folder, kept = tmp_path_factory.mktemp("trained"), dict[str, Trained]()

    def run(again: int = 0, seed: int = 7, **settings: Any) -> Trained:
        import keras

        key = f"{again} {seed} {settings}"
        if key not in kept:
            overrides = {f"train.{name}": value for name, value in settings.items()}
            path = folder / f"{len(kept)}.keras"
            loaded = Recipe.load(recipe, {"seed": seed, **overrides})
            curves = train(loaded, data, path, lambda _: None)
            kept[key] = Trained(curves, keras.models.load_model(path))
        return kept[key]

    return run


def digest(model: Any) -> str:
    """SHA-256 of all weights."""
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def test_the_same_seed_gives_the_same_weights(trained: Callable[..., Trained]) -> None:
    """Here; the shared build is made again by another process."""
    assert digest(trained().model) == digest(trained(again=1).model)
    assert trained().curves == trained(again=1).curves
    assert digest(trained().model) != digest(trained(seed=8).model)


def test_it_learns_and_says_how_it_went(trained: Callable[..., Trained]) -> None:
    curves = trained().curves
    assert set(curves) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 3 for values in curves.values())
    assert all(type(value) is float for values in curves.values() for value in values)
    assert curves["loss"][-1] < curves["loss"][0]
    assert curves["val_accuracy"][-1] >= 0.9


def test_the_curves_are_those_of_the_saved_model(
    trained: Callable[..., Trained], data: Dataset
) -> None:
    """The last val_loss is the categorical cross-entropy of what was saved."""
    found = trained()
    assert found.curves["val_loss"][-1] == pytest.approx(val_loss(found.model, data), rel=1e-4)


def val_loss(model: Any, data: Dataset) -> float:
    settings = Recipe.parse(
        {
            "name": "x",
            "data": {"source": "digits"},
            "input": {"width": 12, "height": 12, "color": "gray", "fit": "stretch"}
            | {"mean": [0.0], "std": [255.0]},
            "model": {"name": "seed_cnn"},
        }
    ).input
    scores = model.predict(stack(data.val, settings), verbose=0)
    right = scores[np.arange(len(data.val)), [picture.label for picture in data.val]]
    return float(np.mean(-np.log(right)))


def test_progress_names_epoch_batch_and_what_is_left(
    recipe: Path, data: Dataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    loaded = Recipe.load(recipe, {"train.epochs": 2})
    train(loaded, data, tmp_path / "model.keras", lines.append)
    assert len(lines) == 2 * 3  # 48 pictures in batches of 16
    assert lines[0].startswith("train: epoch 1 of 2, batch 1 of 3, loss ")
    assert lines[-1].startswith("train: epoch 2 of 2, batch 3 of 3, loss ")
    assert all(line.endswith(" s left") for line in lines)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_loss_that_is_no_number_ends_it(
    recipe: Path, data: Dataset, tmp_path: Path, schedule: str
) -> None:
    loaded = Recipe.load(recipe, {"train.learning_rate": 1e30, "train.schedule": schedule})
    with pytest.raises(TrainingError) as caught:
        train(loaded, data, tmp_path / "model.keras", lambda _: None)
    assert "diverged" in str(caught.value) and "after epoch 1" in str(caught.value)
    assert "train.learning_rate" in caught.value.fix
    assert not (tmp_path / "model.keras").exists()


def test_it_stops_when_validation_gets_no_better(trained: Callable[..., Trained]) -> None:
    """A rate at which nothing is learned, so that no epoch is better than the first."""
    assert len(trained(epochs=6, learning_rate=1e-12, patience=2).curves["loss"]) == 3
    assert len(trained(epochs=6, learning_rate=1e-12, patience=0).curves["loss"]) == 6


def test_stopping_early_keeps_the_best_epoch(
    trained: Callable[..., Trained], data: Dataset
) -> None:
    """A rate so high that it gets worse on the way."""
    found = trained(epochs=30, learning_rate=0.1, patience=2)
    losses = found.curves["val_loss"]
    assert len(losses) < 30 and losses[-1] > min(losses)
    assert val_loss(found.model, data) == pytest.approx(min(losses), rel=1e-4)


def test_the_rate_is_constant_or_falls_to_nothing(trained: Callable[..., Trained]) -> None:
    assert float(trained().model.optimizer.learning_rate) == pytest.approx(0.01)
    optimizer = trained(epochs=2, schedule="cosine", learning_rate=0.003).model.optimizer
    schedule = optimizer.get_config()["learning_rate"]["config"]
    assert (schedule["initial_learning_rate"], schedule["decay_steps"]) == (0.003, 2 * 3)
    assert float(optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)
