"""How every step trains: repeatable, stoppable, and going on where it was ended."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.training.batches import Feed, one_hot
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.loop import Plan, Task, fit, prepare, rate
from edge_converter.training.losses import hard_loss, supervised, weighted
from edge_sdk.data.samples import Image
from edge_sdk.errors import TrainingError
from listeners import of_progress

pytestmark = pytest.mark.slow

RECIPE = Recipe.parse(
    {
        "name": "x",
        "data": {"source": "folder:x"},
        "input": {"width": 8, "height": 8, "color": "gray", "mean": [0.0], "std": [255.0]},
        "model": {"name": "seed_cnn"},
        "train": {"batch_size": 16},
    }
)
CLASSES = 3
PLAN = Plan("test", 4, 0.01)


class Killed(Exception):
    """In the place of a power cut."""


@dataclass
class Run:
    """One training of a small net with batch norm and dropout, from scratch."""

    model: Any
    curves: dict[str, list[float]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def values(self) -> list[np.ndarray[Any, Any]]:
        return [variable.numpy() for variable in self.model.variables]

    @property
    def batches(self) -> list[tuple[int, int]]:
        """(epoch, batch) of each line of progress."""
        found = [re.match(r"test: epoch (\d+) of \d+, batch (\d+) of 5, ", x) for x in self.lines]
        return [(int(m[1]), int(m[2])) for m in found if m]


def images(count: int, seed: int) -> list[Image]:
    """Noise, brighter for each class."""
    random = np.random.default_rng(seed)
    return [
        Image(
            i % CLASSES,
            str(i),
            pixels=random.integers(60 * (i % CLASSES), 60 * (i % CLASSES) + 90, (8, 8), np.uint8),
            color="gray",
        )
        for i in range(count)
    ]


TRAIN, VAL = images(75, seed=1), images(30, seed=2)


def network() -> Any:
    import keras
    from keras import layers

    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.BatchNormalization(momentum=0.8, name="norm")(x)
    x = layers.Dropout(0.3, name="dropout")(layers.ReLU(name="relu")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="scores")(x))


def order(epoch: int) -> Any:
    return np.random.default_rng([5, epoch]).permutation(len(TRAIN))


def feeds() -> tuple[Feed, Feed]:
    return Feed(TRAIN, RECIPE, one_hot(CLASSES), order=order), Feed(VAL, RECIPE, one_hot(CLASSES))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """`run(plan, key="k", folder=None, kill=(epoch, batch), …)`: a training of `network()`; without
    a folder, one of its own.
    """

    def train(
        plan: Plan = PLAN,
        *,
        key: str = "k",
        folder: Path | None = None,
        kill: tuple[int, int] | None = None,
        loss: Any = None,
        val_loss: Any = None,
        seed: int = 3,
        model: Any = None,
    ) -> Run:
        prepare(seed)
        found = Run(model or network())

        def progress(line: str) -> None:
            found.lines.append(line)
            if kill is not None and found.batches[-1] >= kill:
                raise Killed

        hard = hard_loss("cross-entropy")
        task = Task(found.model, supervised(loss or hard), val_loss or hard, found.model)
        kept = Checkpoints(folder or tmp_path_factory.mktemp("run"), key)
        found.curves = fit(task, *feeds(), plan, kept, of_progress(progress))
        return found

    return train


@pytest.fixture(scope="module")
def plain(run: Callable[..., Run]) -> Run:
    """A training as it is by itself."""
    return run()


def same(one: Run, other: Run) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.values, other.values, strict=True))


# --- the rate ------------------------------------------------------------------------------------


def test_the_rate_is_constant() -> None:
    plan = Plan("x", 3, 0.02)
    assert [rate(plan, step, 4) for step in range(12)] == [0.02] * 12


def test_the_rate_falls_in_half_a_cosine_wave() -> None:
    plan, steps = Plan("x", 5, 0.02, "cosine"), 4
    found = [rate(plan, step, steps) for step in range(20)]
    wanted = [0.01 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    assert found == pytest.approx(wanted)
    assert found[0] == 0.02 and found[10] == pytest.approx(0.01) and 0 < found[-1] < 0.0002


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_it_warms_up_in_equal_parts_first(schedule: Any) -> None:
    plan, steps = Plan("x", 5, 0.02, schedule, warmup_epochs=2), 4
    found = [rate(plan, step, steps) for step in range(20)]
    assert found[:8] == pytest.approx([0.02 * (step + 1) / 8 for step in range(8)])
    wave = [0.01 * (1 + math.cos(math.pi * step / 12)) for step in range(12)]
    assert found[8:] == pytest.approx(wave if schedule == "cosine" else [0.02] * 12)


def test_the_rate_is_the_one_that_trains(run: Callable[..., Run]) -> None:
    """Adam's first step moves each weight by about the rate, whatever the loss."""
    prepare(3)
    before = network().get_layer("scores").kernel.numpy()
    for value in (0.01, 0.0001):
        small = Plan("test", 1, value * 5, warmup_epochs=1)  # a fifth of it in the first of 5 steps
        with pytest.raises(Killed):
            run(small, kill=(1, 1), model=(model := network_of(before)))
        moved = np.abs(model.get_layer("scores").kernel.numpy() - before)
        assert moved.max() == pytest.approx(value, rel=0.01)


def network_of(kernel: Any) -> Any:
    """`network()` with these weights in its last layer."""
    model = network()
    model.get_layer("scores").kernel.assign(kernel)
    return model


# --- the same again ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights(run: Callable[..., Run], plain: Run) -> None:
    """Bit for bit, with dropout."""
    again = run()
    assert same(plain, again) and plain.curves == again.curves
    assert not same(plain, run(seed=4))


def test_it_learns(run: Callable[..., Run]) -> None:
    curves = run(Plan("test", 12, 0.03)).curves
    assert set(curves) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(v) == 12 and all(type(x) is float for x in v) for v in curves.values())
    assert curves["loss"][-1] < 0.8 * curves["loss"][0]
    assert curves["val_accuracy"][-1] > 0.6


def test_the_curves_are_means_over_samples(run: Callable[..., Run]) -> None:
    """Also with a smaller last batch; validation is that of the weights after the epoch."""
    found = run(Plan("test", 1, 0.01))
    feed = Feed(VAL, RECIPE, one_hot(CLASSES))
    fed = np.concatenate([values for values, _ in feed.epoch()])
    scores = np.asarray(found.model(fed, training=False))
    labels = np.array([image.label for image in VAL])
    losses = -np.log(scores[np.arange(len(VAL)), labels])
    assert found.curves["val_loss"] == pytest.approx([losses.mean()], rel=1e-5)
    assert found.curves["val_accuracy"] == [np.mean(scores.argmax(axis=1) == labels)]


def test_progress_says_where_it_is_and_how_long_it_takes(run: Callable[..., Run]) -> None:
    found = run()
    assert [b for b in found.batches if b[1] == 5] == [(epoch, 5) for epoch in range(1, 5)]
    assert found.batches[0] == (1, 1) and len(found.batches) == len(found.lines)
    loss, accuracy = found.curves["loss"][-1], found.curves["accuracy"][-1]
    start = f"test: epoch 4 of 4, batch 5 of 5, loss {loss:.4f}, accuracy {accuracy:.4f}, "
    assert re.fullmatch(re.escape(start) + r"\d+ samples/s, 0 s left", found.lines[-1])


def test_class_weights_move_the_answers_to_their_class(run: Callable[..., Run]) -> None:
    """And leave validation as it is: its loss stays comparable."""
    found = []
    for weights in ([1, 1, 1], [1, 20, 1]):
        loss = weighted(hard_loss("cross-entropy"), np.array(weights))
        result = run(Plan("test", 1, 0.01), loss=loss)
        feed = Feed(VAL, RECIPE, one_hot(CLASSES))
        scores = [np.asarray(result.model(values, training=False)) for values, _ in feed.epoch()]
        found.append(np.concatenate(scores)[:, 1].mean())
    assert found[1] > found[0] + 0.02


# --- ended and gone on ---------------------------------------------------------------------------


KILLED = Plan("test", 4, 0.01, "cosine", warmup_epochs=1, patience=3)


@pytest.fixture(scope="module")
def whole(run: Callable[..., Run]) -> Run:
    """By KILLED, and nobody does."""
    return run(KILLED)


@pytest.mark.parametrize("moment", [(1, 5), (3, 1), (4, 5)], ids=str)
def test_killed_it_goes_on_to_the_same_weights(
    run: Callable[..., Run], whole: Run, tmp_path: Path, moment: tuple[int, int]
) -> None:
    """From the last whole epoch, with the same batches, dropout and optimizer."""
    with pytest.raises(Killed):
        run(KILLED, folder=tmp_path / "kept", kill=moment)
    before_any = moment[0] == 1  # later the seed no longer matters: all is in the checkpoint
    again = run(KILLED, folder=tmp_path / "kept", seed=3 if before_any else 99)
    assert again.batches[0][0] == moment[0]
    assert same(whole, again) and whole.curves == again.curves


def test_what_is_done_is_not_done_again(run: Callable[..., Run], tmp_path: Path) -> None:
    first = run(folder=tmp_path / "kept")
    again = run(folder=tmp_path / "kept", seed=99)
    assert again.lines == [] and same(first, again) and first.curves == again.curves


def spoiled(path: Path, how: str) -> None:
    data = path.read_bytes()
    changed = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "flipped": data[:2000] + bytes(255 - b for b in data[2000:2100]) + data[2100:],
        "something else": b"PK\x05\x06" + bytes(18),
    }
    path.write_bytes(changed[how])


@pytest.mark.parametrize("how", ["stale", "cut", "empty", "flipped", "something else"])
def test_a_checkpoint_that_is_of_no_use_is_ignored(
    run: Callable[..., Run], plain: Run, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "kept"
    with pytest.raises(Killed):
        run(folder=folder, kill=(2, 1), key="other" if how == "stale" else "k")
    if how != "stale":
        spoiled(folder / "test.checkpoint", how)
    again = run(folder=folder)
    assert again.batches[0] == (1, 1) and same(again, plain)


def test_a_checkpoint_is_one_file_a_phase(run: Callable[..., Run], tmp_path: Path) -> None:
    run(folder=tmp_path / "kept")
    run(Plan("test-2", 1, 0.01, first_epoch=4), folder=tmp_path / "kept")
    assert {p.name for p in (tmp_path / "kept").iterdir()} == {
        "test.checkpoint",
        "test-2.checkpoint",
    }


# --- stopping ------------------------------------------------------------------------------------


def test_it_stops_when_validation_gets_no_better(run: Callable[..., Run]) -> None:
    """A rate at which nothing is learned, though batch norm settles: then on the first epochs."""
    model = network()
    model.get_layer("norm").trainable = False
    slow = {"epochs": 6, "learning_rate": 1e-12}
    assert len(run(Plan("test", **slow, patience=2), model=model).curves["loss"]) == 3
    assert len(run(Plan("test", **slow, patience=0), model=model).curves["loss"]) == 6


def val_loss(model: Any) -> float:
    fed = np.concatenate([values for values, _ in Feed(VAL, RECIPE, one_hot(CLASSES)).epoch()])
    scores = np.asarray(model(fed, training=False))
    rows = np.arange(len(VAL)), [image.label for image in VAL]
    return float(-np.log(scores[rows]).mean())


def test_with_patience_the_best_epoch_is_kept(run: Callable[..., Run]) -> None:
    """A rate so high that it gets worse on the way; without patience the last epoch stays.

    A loss near zero is right to float32's rounding of a softmax, some 1e-7, not to a share of it.
    """
    fast = {"epochs": 12, "learning_rate": 0.5}
    found = run(Plan("test", **fast, patience=2))
    losses = found.curves["val_loss"]
    best = losses.index(min(losses))
    assert best < len(losses) - 1 and len(losses) in (best + 3, 12)
    assert val_loss(found.model) == pytest.approx(min(losses), rel=1e-4, abs=1e-6)
    last = run(Plan("test", **fast))
    assert val_loss(last.model) == pytest.approx(last.curves["val_loss"][-1], rel=1e-4, abs=1e-6)


@pytest.fixture
def poisoned() -> Iterator[Callable[[int], Any]]:
    """`poisoned(step)`: a loss that is not a number from step `step` on, counted from 1."""
    import tensorflow as tf

    def make(step: int) -> Any:
        count, hard = tf.Variable(0), hard_loss("cross-entropy")

        def loss(one_hot: Any, scores: Any) -> Any:
            bad = tf.where(count.assign_add(1) >= step, math.nan, 0.0)
            return hard(one_hot, scores) + bad

        return loss

    return make


def test_a_loss_that_is_no_number_is_named_and_the_last_good_epoch_kept(
    run: Callable[..., Run], poisoned: Callable[[int], Any], tmp_path: Path
) -> None:
    """In the third step of the third epoch."""
    import keras

    folder = tmp_path / "kept"
    with pytest.raises(TrainingError) as caught:
        run(folder=folder, loss=poisoned(13))
    assert "test: it diverged in epoch 3: at step 3 of 5 the loss is not a number" in str(
        caught.value
    )
    assert str(folder / "last-good.keras") in str(caught.value)
    assert "train.learning_rate" in caught.value.fix
    good = run(Plan("test", 2, 0.01))
    kept = keras.models.load_model(folder / "last-good.keras", compile=False)
    for ours, theirs in zip(good.model.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    state = Checkpoints(folder, "k").load("test")
    assert state is not None and state.epochs == 2


def test_where_no_epoch_was_good_nothing_is_kept(
    run: Callable[..., Run], poisoned: Callable[[int], Any], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"in epoch 1: at step 2 of 5") as caught:
        run(folder=tmp_path / "kept", loss=poisoned(2))
    assert "kept" not in str(caught.value) and not (tmp_path / "kept").exists()


def test_a_gradient_that_is_no_number_shows_in_the_next_step(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    """The loss of the first step is a number all the same."""

    def blind(one_hot: Any, scores: Any) -> Any:
        import tensorflow as tf

        return tf.sqrt(tf.reduce_sum(scores * 0, axis=-1))  # 0, and its gradient is not a number

    says = "it diverged in epoch 1: at step 2 of 5 the loss is not a number"
    with pytest.raises(TrainingError, match=says):
        run(Plan("test", 1, 0.01), loss=blind, folder=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_validation_loss_that_is_no_number_ends_it(
    run: Callable[..., Run], poisoned: Callable[[int], Any], tmp_path: Path
) -> None:
    """Though training goes well."""
    with pytest.raises(TrainingError, match="in epoch 1: the validation loss is not a number"):
        run(val_loss=poisoned(1), folder=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_weights_that_are_no_numbers_end_it(run: Callable[..., Run], tmp_path: Path) -> None:
    """Also where neither loss shows it: in a branch of the net that none of them looks at."""
    import keras
    from keras import layers

    prepare(3)
    seen = network()
    endless = layers.Rescaling(math.inf, name="endless")(seen.get_layer("pool").output)
    unseen = layers.BatchNormalization(center=False, scale=False, name="unseen")(endless)
    model = keras.Model(seen.input, [seen.output, unseen])
    with pytest.raises(TrainingError, match=r"in epoch 1: weights are not numbers$"):
        run(Plan("test", 1, 0.01), model=model, folder=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


# --- layers that do not train --------------------------------------------------------------------


def test_a_layer_that_is_not_trainable_stays_as_it_is(run: Callable[..., Run]) -> None:
    """Batch norm with its statistics, which training would move without any gradient."""
    prepare(3)
    model = network()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    model.get_layer("norm").trainable = False
    run(model=model)
    moved = {
        layer.name
        for layer in model.layers
        if any(
            not np.array_equal(a, b)
            for a, b in zip(before[layer.name], layer.get_weights(), strict=True)
        )
    }
    assert moved == {"conv", "scores"}
