"""The train step: from a recipe to a model and its curves, in one phase or with the head first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.datasets import Dataset, open_dataset
from edge_converter.steps.common import StepResult, feeds, joined
from edge_converter.steps.train import phases, train, unfreeze
from edge_converter.tf.setup import load_tensorflow
from edge_converter.training.checkpoints import Checkpoints
from edge_sdk.errors import ConfigError, TrainingError
from edge_sdk.events import Event
from listeners import Lines, of_progress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def data(recipe: Path) -> Dataset:
    return open_dataset(Recipe.load(recipe))


@pytest.fixture
def trained(recipe: Path, data: Dataset, tmp_path: Path) -> Callable[..., tuple[StepResult, Any]]:
    """`trained({"train.epochs": 2})`: what the step left, and the model that it saved."""
    numbers = iter(range(1000))

    def run(settings: dict[str, Any] | None = None, **options: Any) -> tuple[StepResult, Any]:
        import keras

        folder = tmp_path / f"run{next(numbers)}"
        folder.mkdir()
        left = train(
            Recipe.load(recipe, settings),
            data,
            folder / "model.keras",
            Checkpoints(folder / "checkpoints", "key"),
            **options,
        )
        return left, keras.models.load_model(folder / "model.keras")

    return run


def digest(model: Any) -> str:
    """SHA-256 of all weights."""
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


# --- one phase -----------------------------------------------------------------------------------


def test_the_same_recipe_gives_the_same_weights(trained: Callable[..., Any]) -> None:
    """Here; the shared build is made again by another process."""
    (left, model), (left_again, model_again) = trained(), trained()
    assert digest(model) == digest(model_again) and left == left_again
    assert digest(trained({"seed": 8})[1]) != digest(model)


def test_each_epoch_is_an_event_with_its_metrics(trained: Callable[..., Any]) -> None:
    events: list[Event] = []
    left, _ = trained(listen=events.append)
    epochs = [event for event in events if event.kind == "epoch"]
    assert [(e.stage, e.done, e.total, e.unit) for e in epochs] == [
        ("train", number, 3, "epochs") for number in (1, 2, 3)
    ]
    assert epochs[0].text == (
        "train: 1 of 3 epochs, val_loss {val_loss:.4f}, val_accuracy {val_accuracy:.4f}"
    ).format_map(epochs[0].metrics)
    curves = {name: [e.metrics[name] for e in epochs] for name in epochs[0].metrics}
    assert curves == left.curves


def test_a_listener_can_end_the_training_after_any_epoch(trained: Callable[..., Any]) -> None:
    class Pruned(Exception):
        pass

    def listen(event: Event) -> None:
        if event.kind == "epoch" and event.done == 2:
            raise Pruned

    with pytest.raises(Pruned):
        trained(listen=listen)


def test_it_learns_and_says_how_it_went(trained: Callable[..., Any]) -> None:
    lines = Lines("progress")
    left, model = trained(listen=lines)
    assert set(left.curves) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 3 for values in left.curves.values())
    assert left.curves["val_accuracy"][-1] >= 0.9
    assert left.as_dict() == {
        "history": {**left.curves, "phases": [{"name": "train", "epochs": 3}]},
        "note": "seed_cnn: train 3 epochs",
    }
    assert lines[0].startswith("train: epoch 1 of 3, batch 1 of 3, loss ")
    assert lines[-1].startswith("train: epoch 3 of 3, batch 3 of 3, loss ")
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_loss_that_is_no_number_ends_it(
    trained: Callable[..., Any], tmp_path: Path, schedule: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        trained({"train.learning_rate": 1e30, "train.schedule": schedule})
    assert "train: it diverged in epoch 1: at step " in str(caught.value)
    assert "train.learning_rate" in caught.value.fix
    assert not (tmp_path / "run0" / "model.keras").exists()


def epoch(settings: dict[str, Any], recipe: Path, data: Dataset, number: int) -> list[Any]:
    """Values and labels of each batch of an epoch that [train] is fed."""
    return list(feeds(Recipe.load(recipe, settings), data)[0].epoch(number))


def equal(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a, b)
        for batch, batch2 in zip(one, other, strict=True)
        for a, b in zip(batch, batch2, strict=True)
    )


@pytest.mark.parametrize(
    "settings", [{}, {"augment.shift": 0.2, "augment.noise": 0.1}], ids=["plain", "augmented"]
)
def test_each_epoch_is_its_own_whenever_it_comes(
    recipe: Path, data: Dataset, settings: dict[str, Any]
) -> None:
    """So that a build that goes on sees what it would have seen."""
    first = epoch(settings, recipe, data, 2)
    assert equal(first, epoch(settings, recipe, data, 2))
    assert not equal(first, epoch(settings, recipe, data, 3))
    assert not equal(first, epoch({**settings, "seed": 8}, recipe, data, 2))


def test_augmentation_changes_what_is_trained_on_and_nothing_else(
    recipe: Path, data: Dataset
) -> None:
    plain = Recipe.load(recipe)
    changed = Recipe.load(recipe, {"augment.noise": 0.2})
    assert not equal(list(feeds(plain, data)[0].epoch()), list(feeds(changed, data)[0].epoch()))
    assert equal(list(feeds(plain, data)[1].epoch()), list(feeds(changed, data)[1].epoch()))


@pytest.fixture(scope="module")
def uneven(data: Dataset) -> Dataset:
    """Four samples of class 0, sixteen of each other."""
    few = [s for s in data.train if s.label == 0][:4]
    return replace(data, train=[*few, *(s for s in data.train if s.label)])


def test_oversampling_shows_each_class_as_often(recipe: Path, uneven: Dataset) -> None:
    found = epoch({"data.balance": "oversample"}, recipe, uneven, 0)
    assert sum(labels.sum(axis=0) for _, labels in found).tolist() == [16, 16, 16]
    # In no order: the repeated ones do not come last.
    halves = np.array_split(np.concatenate([labels[:, 0] for _, labels in found]), 2)
    assert all(half.sum() >= 3 for half in halves)
    plain = epoch({}, recipe, uneven, 0)
    assert sum(labels.sum(axis=0) for _, labels in plain).tolist() == [4, 16, 16]


def test_class_weights_are_in_the_loss_that_trains_only(
    recipe: Path, uneven: Dataset, tmp_path: Path
) -> None:
    """At a rate of nothing: the mean of the losses, each times n / (classes x own samples)."""
    found = {}
    for balance in ("none", "class-weights"):
        settings = {"data.balance": balance, "train.learning_rate": 1e-12, "train.epochs": 1}
        loaded = Recipe.load(recipe, settings)
        kept = Checkpoints(tmp_path / balance, "key")
        found[balance] = train(loaded, uneven, tmp_path / "model.keras", kept).curves
    assert found["none"]["val_loss"] == found["class-weights"]["val_loss"]
    import keras

    model = keras.models.load_model(tmp_path / "model.keras")
    scores, wanted = [], []
    for values, labels in feeds(loaded, uneven)[0].epoch():
        scores.append(np.asarray(model(values, training=False)))
        wanted.append(labels)
    one_hot = np.concatenate(wanted)
    losses = -np.log((np.concatenate(scores) * one_hot).sum(axis=1))
    weights = one_hot @ (36 / (3 * np.array([4, 16, 16])))
    assert found["none"]["loss"] == pytest.approx([losses.mean()], rel=1e-4)
    assert found["class-weights"]["loss"] == pytest.approx([(weights * losses).mean()], rel=1e-4)


def test_focal_loss_is_smaller_than_cross_entropy(trained: Callable[..., Any]) -> None:
    settings = {"train.learning_rate": 1e-12, "train.epochs": 1}
    plain = trained(settings)[0].curves
    focal = trained({**settings, "train.loss": "focal"})[0].curves
    for name in ("loss", "val_loss"):
        assert 0 < focal[name][0] < plain[name][0]
    assert focal["accuracy"] == plain["accuracy"]


# --- phases --------------------------------------------------------------------------------------


def recipe_of(settings: dict[str, Any], weights: str = "file:w.keras") -> Recipe:
    return Recipe.parse(
        {
            "name": "x",
            "data": {"source": "folder:x"},
            "model": {"name": "seed_cnn", "weights": weights},
            "train": settings,
        }
    )


def test_without_transfer_there_is_one_phase() -> None:
    for weights in ("none", "file:w.keras"):
        (only,) = phases(recipe_of({"epochs": 7, "warmup_epochs": 2, "patience": 3}, weights))
        assert only.unfrozen is None
        plan = only.plan
        assert (plan.name, plan.epochs, plan.warmup_epochs, plan.patience) == ("train", 7, 2, 3)


def test_the_head_comes_first_then_the_last_layers_at_their_rate() -> None:
    settings = {"epochs": 9, "head_epochs": 4, "unfreeze_layers": 3, "warmup_epochs": 1}
    head, last = phases(recipe_of({**settings, "learning_rate": 0.02}))
    assert (head.unfrozen, head.plan.epochs, head.plan.first_epoch) == (0, 4, 0)
    assert (head.plan.learning_rate, head.plan.warmup_epochs) == (0.02, 1)
    assert (last.unfrozen, last.plan.epochs, last.plan.first_epoch) == (3, 5, 4)
    assert (last.plan.learning_rate, last.plan.warmup_epochs) == (0.0001, 0)
    assert head.plan.name != last.plan.name


def test_either_of_them_may_be_alone() -> None:
    (head,) = phases(recipe_of({"epochs": 4, "head_epochs": 4}))
    assert (head.unfrozen, head.plan.epochs) == (0, 4)
    (last,) = phases(recipe_of({"epochs": 4, "unfreeze_layers": 2, "warmup_epochs": 1}))
    assert (last.unfrozen, last.plan.epochs, last.plan.first_epoch) == (2, 4, 0)
    assert (last.plan.learning_rate, last.plan.warmup_epochs) == (0.0001, 1)


@pytest.mark.parametrize(
    ("settings", "weights", "error", "fix"),
    [
        ({"head_epochs": 2}, "none", "train.head_epochs is 2, but no weights", "model.weights"),
        ({"unfreeze_layers": 2}, "none", "train.unfreeze_layers is 2", "train.unfreeze_layers"),
        ({"epochs": 3, "head_epochs": 4}, "imagenet", "is 4 of 3 epochs", "raise train.epochs"),
        ({"epochs": 3, "head_epochs": 2}, "imagenet", "unfreeze_layers is 0", "head_epochs ="),
        (
            {"epochs": 3, "head_epochs": 3, "unfreeze_layers": 5},
            *("imagenet", "unfreeze_layers is 5", "above 0"),
        ),
        ({"epochs": 3, "warmup_epochs": 3}, "none", "warmup_epochs is 3 of 3", "lower it"),
        (
            {"epochs": 9, "head_epochs": 2, "unfreeze_layers": 5, "warmup_epochs": 2},
            *("imagenet", "warmup_epochs is 2 of 2", "lower it"),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_settings_that_contradict_each_other(
    settings: dict[str, Any], weights: str, error: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        phases(recipe_of(settings, weights))
    assert error in str(caught.value) and fix in caught.value.fix


def network() -> Any:
    """A net inside a net, as users bring them, and a head."""
    load_tensorflow()
    import keras
    from keras import layers

    inner = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.Conv2D(4, 3, name="conv2"),
            layers.BatchNormalization(name="norm2"),
        ],
        name="inner",
    )
    image = keras.Input((8, 8, 1), name="image")
    x = layers.GlobalAveragePooling2D(name="pool")(inner(image))
    return keras.Model(image, layers.Dense(3, name="scores")(x), name="nested")


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (0, {"scores"}),
        (1, {"scores"}),  # the pooling, which has nothing to train
        (2, {"scores"}),  # batch norm, which stays frozen
        (3, {"scores", "conv2"}),
        (5, {"scores", "conv2", "conv1"}),
    ],
)
def test_unfreezing_counts_layers_from_the_end(count: int, wanted: set[str]) -> None:
    model = network()
    unfreeze(model, ["scores"], 5)
    unfreeze(model, ["scores"], count)
    assert {path.split("/")[-2] for path in (v.path for v in model.trainable_variables)} == wanted


def test_more_layers_than_there_are() -> None:
    with pytest.raises(ConfigError, match="is 6, nested has 5 layers before its head") as caught:
        unfreeze(network(), ["scores"], 6)
    assert caught.value.fix == "set it to 5 at most"


def moved(before: Any, after: Any) -> set[str]:
    """Names of layers whose weights differ."""
    return {
        layer.name
        for layer in after.layers
        if any(
            not np.array_equal(a, b)
            for a, b in zip(
                before.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True
            )
        )
    }


def test_transferred_weights_move_when_their_turn_comes(
    trained: Callable[..., Any], tmp_path: Path
) -> None:
    """Whole builds of phases: the head alone, then the last three layers of the others too
    (pool2, flatten and dense).
    """
    start = trained({"train.epochs": 1})[1]
    start.save(tmp_path / "start.keras")
    weights = {"model.weights": f"file:{tmp_path / 'start.keras'}", "seed": 9}
    alone, head = trained({**weights, "train.epochs": 2, "train.head_epochs": 2})
    assert moved(start, head) == {"scores"}
    assert alone.phases == (("train-head", 2),)
    settings = {"train.epochs": 3, "train.head_epochs": 2, "train.unfreeze_layers": 3}
    both, last = trained({**weights, **settings})
    assert moved(start, last) == {"dense", "scores"}
    assert both.phases == (("train-head", 2), ("train-last-layers", 1))
    # With a constant rate the head's epochs are the same, however many are to follow.
    assert both.curves["loss"][:2] == alone.curves["loss"] and len(both.curves["loss"]) == 3
    _, everything = trained({**weights, "train.epochs": 1})
    assert moved(start, everything) == {"conv1", "conv2", "dense", "scores"}


class Killed(Exception):
    """In the place of a power cut."""


@pytest.mark.parametrize("moment", ["head: epoch 2", "layers: epoch 1", "layers: epoch 2"])
def test_killed_in_a_phase_it_goes_on_there(
    recipe: Path, data: Dataset, trained: Callable[..., Any], tmp_path: Path, moment: str
) -> None:
    trained({"train.epochs": 1})[1].save(tmp_path / "start.keras")
    settings = {
        "model.weights": f"file:{tmp_path / 'start.keras'}",
        **{"train.epochs": 4, "train.head_epochs": 2, "train.unfreeze_layers": 3},
    }
    loaded, kept = Recipe.load(recipe, settings), Checkpoints(tmp_path / "kept", "key")

    def progress(line: str) -> None:
        if moment in line:
            raise Killed

    with pytest.raises(Killed):
        train(loaded, data, tmp_path / "model.keras", kept, listen=of_progress(progress))
    lines = Lines("progress")
    left = train(loaded, data, tmp_path / "model.keras", kept, listen=lines)
    assert moment in lines[0]
    whole, model = trained(settings)
    import keras

    assert digest(keras.models.load_model(tmp_path / "model.keras")) == digest(model)
    assert left == whole


def test_histories_are_joined_in_their_order() -> None:
    one = StepResult({"loss": [3.0, 2.0]}, (("train", 2),), "").as_dict()["history"]
    two = StepResult({"loss": [1.0]}, (("distill", 1),), "").as_dict()["history"]
    assert joined([one, two]) == {
        "loss": [3.0, 2.0, 1.0],
        "phases": [{"name": "train", "epochs": 2}, {"name": "distill", "epochs": 1}],
    }
