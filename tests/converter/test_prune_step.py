"""The prune step of a build: what it leaves, what it refuses, where a killed one goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe, build
from edge_converter.datasets import Dataset
from edge_converter.steps.cluster import cluster
from edge_converter.steps.common import StepResult
from edge_converter.steps.prune import prune
from edge_converter.training.checkpoints import Checkpoints
from edge_sdk.errors import ConfigError
from edge_sdk.events import Listener, ignore
from listeners import Lines, of_progress

pytestmark = pytest.mark.slow


@pytest.fixture
def pruned(
    stripes_file: Path, stripes: Dataset, stripes_model: Path, tmp_path: Path
) -> Callable[..., tuple[StepResult, Any]]:
    """`pruned(folder="a", listen=…, ratio=0.5, …)`: what the step left, and the saved model."""

    def run(folder: str = "a", listen: Listener = ignore, **keys: Any) -> tuple[StepResult, Any]:
        import keras

        settings = {f"prune.{key}": value for key, value in {"epochs": 2, **keys}.items()}
        recipe = Recipe.load(stripes_file, {"steps": ["train", "prune"], **settings})
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        target, kept = place / "model.keras", Checkpoints(place / "kept", "key")
        left = prune(recipe, stripes, target, kept, source=stripes_model, listen=listen)
        return left, keras.models.load_model(target)

    return run


class Killed(Exception):
    pass


@pytest.mark.parametrize("keys", [{"rank": "entropy"}, {"unit": "weights"}], ids=str)
def test_a_step_that_was_killed_gives_the_same_weights(
    keys: dict[str, str], pruned: Callable[..., tuple[StepResult, Any]]
) -> None:
    def progress(line: str) -> None:
        if "epoch 3 of 4" in line:
            raise Killed

    with pytest.raises(Killed):
        pruned("killed", of_progress(progress), epochs=4, **keys)
    lines = Lines("progress")
    (resumed, ours), (whole, theirs) = (
        pruned("killed", lines, epochs=4, **keys),
        pruned("whole", epochs=4, **keys),
    )
    assert lines[0].startswith("prune: epoch 3 of 4")
    assert resumed == whole and whole.phases == (("prune", 4),)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_channels(pruned: Callable[..., tuple[StepResult, Any]]) -> None:
    left, model = pruned(ratio=0.75)
    kernels = {layer.name: layer.kernel.shape for layer in model.layers if layer.weights}
    assert {name: shape[-1] for name, shape in kernels.items()} == {
        **{"conv1": 8, "conv2": 16, "dense": 32},
        "scores": 3,
    }
    assert left.note == (
        f"56 of 224 channels left, ranked by l1; {model.count_params():,} of 27,523 parameters"
    )
    assert len(left.curves["loss"]) == 2


def test_weights(pruned: Callable[..., tuple[StepResult, Any]]) -> None:
    left, model = pruned(unit="weights", ratio=0.9)
    assert left.note.startswith("90.0% of the weights in kernels are zero")
    assert "smaller only when it is compressed, and the model not faster" in left.note
    for layer in model.layers:
        if layer.weights:
            assert np.mean(layer.get_weights()[0] == 0) == pytest.approx(0.9, abs=0.01)
            assert np.count_nonzero(layer.get_weights()[1])  # biases


@pytest.mark.parametrize(
    ("step", "key"), [(prune, {}), (prune, {"prune.unit": "weights"}), (cluster, {})]
)
def test_what_was_frozen_trains_again(
    step: Callable[..., StepResult],
    key: dict[str, str],
    stripes_file: Path,
    stripes: Dataset,
    stripes_model: Path,
    tmp_path: Path,
) -> None:
    """As training leaves transferred layers: all but the last of them. Or the model as a whole."""
    import keras

    source = keras.models.load_model(stripes_model)
    source.trainable = step is not cluster
    for layer in source.layers[:-1]:
        layer.trainable = False
    source.save(tmp_path / "source.keras")
    transfer = {"model.weights": f"file:{stripes_model}"}
    settings = {"steps": ["train", step.__name__], f"{step.__name__}.epochs": 1, **transfer, **key}
    target, kept = tmp_path / "model.keras", Checkpoints(tmp_path / "kept", "key")
    recipe = Recipe.load(stripes_file, settings)
    step(recipe, stripes, target, kept, source=tmp_path / "source.keras")
    model = keras.models.load_model(target)
    for layer in model.layers:
        if layer.weights:
            before = source.get_layer(layer.name).bias.numpy()
            same = np.isin(layer.bias.numpy(), before)  # of channels that never answer
            assert same.mean() < 0.5, layer.name


def test_what_a_network_of_ones_own_has_fixed_stays(
    stripes_file: Path, stripes: Dataset, stripes_model: Path, tmp_path: Path
) -> None:
    import keras

    source = keras.models.load_model(stripes_model)
    source.get_layer("conv1").trainable = False
    source.save(tmp_path / "source.keras")
    recipe = Recipe.load(stripes_file, {"steps": ["train", "cluster"], "cluster.epochs": 1})
    target, kept = tmp_path / "model.keras", Checkpoints(tmp_path / "kept", "key")
    cluster(recipe, stripes, target, kept, source=tmp_path / "source.keras")
    before, after = (m.get_layer for m in (source, keras.models.load_model(target)))
    for name, same in (("conv1", True), ("conv2", False)):
        assert np.array_equal(before(name).bias, after(name).bias) == same


def test_the_two_ranks_choose_differently(pruned: Callable[..., tuple[StepResult, Any]]) -> None:
    (one, _), (other, _) = pruned("l1"), pruned("entropy", rank="entropy")
    assert "ranked by l1" in one.note and "ranked by entropy" in other.note
    assert one.curves != other.curves


def test_a_ratio_that_removes_nothing(pruned: Callable[..., tuple[StepResult, Any]]) -> None:
    with pytest.raises(ConfigError, match="no layer has more than 128") as caught:
        pruned(ratio=0.001)
    assert "prune.ratio 0.001 removes no channel" in str(caught.value)
    assert caught.value.fix == "raise it to 0.008 or more"


OWN = """
import keras

@keras.saving.register_keras_serializable("prune_step")
class Centred(keras.layers.Layer):
    def call(self, x):
        return x - keras.ops.mean(x, axis=-1, keepdims=True)

def net(shape, classes):
    given = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(given)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(Centred(name="centred")(x))
    return keras.Model(given, keras.layers.Dense(classes, activation="softmax", name="scores")(x))

def nothing(shape, classes):
    given = keras.Input(shape)
    x = keras.layers.Flatten()(given)
    return keras.Model(given, keras.layers.Dense(classes, activation="softmax")(x))
"""


@pytest.fixture
def own(stripes_file: Path) -> Callable[..., Recipe]:
    """`own("net")`: the recipe with a network of the user's own, trained, then pruned."""
    (stripes_file.parent / "prune_own.py").write_text(OWN, "utf-8")

    def load(function: str) -> Recipe:
        steps = {"steps": ["train", "prune"], "train.epochs": 1, "prune.epochs": 1}
        return Recipe.load(stripes_file, {**steps, "model.name": f"python:prune_own:{function}"})

    return load


def test_a_layer_of_the_users_own_is_named(own: Callable[..., Recipe], tmp_path: Path) -> None:
    document = build(own("net"), tmp_path / "own.edge").document
    note = document["steps"][1]["note"]
    assert note.startswith("2 of 4 channels left") and note.endswith(
        "; left whole: second (for centred)"
    )


def test_nothing_to_prune(own: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prune: no layer can be pruned") as caught:
        build(own("nothing"), tmp_path / "own.edge")
    assert 'prune.unit = "weights"' in caught.value.fix


# --- through the build ---------------------------------------------------------------------------


def test_train_prune_distill(stripes_file: Path, tmp_path: Path) -> None:
    """The unpruned model teaches the pruned one; a second build with other distillation reuses
    what comes before.
    """
    steps = {"steps": ["train", "prune", "distill"], "prune.epochs": 1, "distill.epochs": 1}
    settings = {**steps, "distill.teacher": "unpruned", "quantize.mode": "float32"}
    document = build(Recipe.load(stripes_file, settings), tmp_path / "x.edge").document
    trained, cut, taught = document["steps"]
    assert [step["name"] for step in document["steps"]] == ["train", "prune", "distill"]
    assert "112 of 224 channels left" in cut["note"]
    assert taught["note"].startswith("taught by unpruned, right for ")
    assert taught["macs"] == cut["macs"] < trained["macs"] / 2
    assert [phase["name"] for phase in document["history"]["phases"]] == document["recipe"]["steps"]
    again = Recipe.load(stripes_file, {**settings, "distill.temperature": 2.0})
    stages = {s["name"]: s["cached"] for s in build(again, tmp_path / "x.edge").document["stages"]}
    assert stages["train"] and stages["prune"] and not stages["distill"]


def test_train_and_prune_weights(stripes_file: Path, tmp_path: Path) -> None:
    """The zeros are in the converted model: int8 keeps them."""
    settings = {"steps": ["train", "prune"], "prune.unit": "weights", "prune.ratio": 0.8}
    recipe = Recipe.load(stripes_file, {**settings, "prune.epochs": 1})
    report = build(recipe, tmp_path / "x.edge")
    trained, cut = report.document["steps"]
    assert trained["macs"] == cut["macs"] and trained["bytes"] == cut["bytes"]
    assert report.document["float"]["accuracy"] == trained["accuracy"]
    import keras

    model = keras.models.load_model(report.folder / "model.keras")
    assert np.mean(model.get_layer("dense").kernel.numpy() == 0) == pytest.approx(0.8, abs=0.01)
