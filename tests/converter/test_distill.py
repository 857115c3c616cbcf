"""The distill step: a small net learns from another one's answers, and refuses a wrong teacher."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe, build
from edge_converter.datasets import Dataset, open_dataset
from edge_converter.steps.common import StepResult, feeds
from edge_converter.steps.distill import check_teacher, distill, find_teacher
from edge_converter.steps.train import train
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.losses import distilled, hard_loss
from edge_sdk.errors import ConfigError, DataError, EdgeError, FileError, ModelError
from edge_sdk.events import Listener, ignore
from listeners import Lines, of_progress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe_file(project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("distilling"))


@pytest.fixture(scope="module")
def data(recipe_file: Path) -> Dataset:
    return open_dataset(Recipe.load(recipe_file))


@pytest.fixture(scope="module")
def teacher(stripes_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has learned the same images, in a folder of its own."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    return Path(shutil.copyfile(stripes_model, path))


@pytest.fixture(scope="module")
def recipe(recipe_file: Path, teacher: Path) -> Callable[..., Recipe]:
    """`recipe(alpha=0.5, …)`: the stripes after a train step, with these keys of [distill]; a
    seed_cnn of another seed than the teacher.
    """

    def load(seed: int = 8, steps: tuple[str, ...] = ("train", "distill"), **keys: Any) -> Recipe:
        settings = {"teacher": f"file:{teacher}", "epochs": 2, **keys}
        overrides = {f"distill.{key}": value for key, value in settings.items()}
        return Recipe.load(recipe_file, {"seed": seed, "steps": list(steps), **overrides})

    return load


@pytest.fixture
def taught(
    recipe: Callable[..., Recipe], data: Dataset, teacher: Path, tmp_path: Path
) -> Callable[..., tuple[StepResult, Any]]:
    """`taught(student=None, data=…, listen=…, alpha=0.5, …)`: what the step left, and the model
    that it saved.
    """
    numbers = iter(range(1000))

    def run(
        student: Path | None = None, data: Dataset = data, by: Path = teacher, **keys: Any
    ) -> tuple[StepResult, Any]:
        import keras

        options = {key: keys.pop(key) for key in ("listen",) if key in keys}
        folder = keys.pop("folder", tmp_path / f"run{next(numbers)}")
        folder.mkdir(exist_ok=True)
        target, kept = folder / "model.keras", Checkpoints(folder / "kept", "key")
        left = distill(recipe(**keys), data, by, target, kept, student=student, **options)
        return left, keras.models.load_model(target)

    return run


def digest(model: Any) -> str:
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


# --- teaching ------------------------------------------------------------------------------------


def test_the_student_learns_from_the_teacher_alone(taught: Callable[..., Any]) -> None:
    """With alpha 1 the labels are not looked at."""
    left, model = taught(alpha=1.0, epochs=3)
    assert left.curves["val_accuracy"][-1] >= 0.9
    assert left.phases == (("distill", 3),)
    assert "temperature 4, alpha 1" in left.note and "of the validation samples" in left.note
    assert model.output_shape == (None, 3)
    assert [layer.name for layer in model.layers][-1] == "scores"


def test_the_loss_is_that_of_the_batches_that_the_student_sees(
    taught: Callable[..., Any], recipe: Callable[..., Recipe], data: Dataset, teacher: Path
) -> None:
    """Augmented ones, at a rate of nothing: (1 - alpha) hard + alpha T^2 KL of their answers."""
    import keras

    keys = {"alpha": 0.3, "temperature": 2.0, "epochs": 1}
    loaded = recipe(**keys)
    loaded = replace(
        loaded,
        train=replace(loaded.train, learning_rate=1e-12),
        augment=replace(loaded.augment, shift=0.3, noise=0.2),
    )
    kept = Checkpoints(teacher.parent / "nothing", "key")
    left = distill(loaded, data, teacher, teacher.parent / "same.keras", kept)
    known = keras.models.load_model(teacher)
    student = keras.models.load_model(teacher.parent / "same.keras")
    loss = distilled(
        hard_loss("cross-entropy"),
        lambda fed: [known(fed, training=False)],
        temperature=2.0,
        alpha=0.3,
    )
    first = loaded.train.epochs  # the epochs of the train step come before
    losses = [
        np.asarray(loss(fed, one_hot, [student(fed)]))
        for fed, one_hot in feeds(loaded, data)[0].epoch(first)
    ]
    assert left.curves["loss"] == pytest.approx([np.concatenate(losses).mean()], rel=1e-4)


def test_without_weight_the_teacher_changes_nothing(taught: Callable[..., Any]) -> None:
    """alpha 0 is the labels alone, whatever the temperature; alpha 0.5 is not."""
    cold, hot = taught(alpha=0.0, temperature=1.0)[1], taught(alpha=0.0, temperature=9.0)[1]
    assert digest(cold) == digest(hot) != digest(taught(alpha=0.5)[1])


def test_the_same_seed_gives_the_same_weights(taught: Callable[..., Any]) -> None:
    assert digest(taught()[1]) == digest(taught()[1]) != digest(taught(seed=9)[1])


def test_it_goes_on_with_a_student_that_has_been_trained(
    taught: Callable[..., Any], recipe: Callable[..., Recipe], data: Dataset, tmp_path: Path
) -> None:
    """Layers that did not train before do not now."""
    import keras

    student = tmp_path / "student.keras"
    train(recipe(), data, student, Checkpoints(tmp_path / "kept", "key"))
    before = keras.models.load_model(student)
    before.get_layer("conv1").trainable = False
    before.save(student)
    left, model = taught(student, epochs=1)
    assert left.curves["loss"][0] < 1.0 and left.curves["accuracy"][0] >= 0.9
    for name, same in (("conv1", True), ("conv2", False), ("scores", False)):
        ours, theirs = (m.get_layer(name).get_weights()[0] for m in (before, model))
        assert np.array_equal(ours, theirs) == same


class Killed(Exception):
    """In the place of a power cut."""


def test_killed_it_goes_on_to_the_same_weights(taught: Callable[..., Any], tmp_path: Path) -> None:
    """The projection of a feature is part of what is kept."""
    keys: dict[str, Any] = {"epochs": 3, "features": [["dense", "scores"]]}

    def progress(line: str) -> None:
        if "epoch 3 of 3" in line:
            raise Killed

    with pytest.raises(Killed):
        taught(folder=tmp_path / "killed", listen=of_progress(progress), **keys)
    lines = Lines("progress")
    left, model = taught(folder=tmp_path / "killed", listen=lines, **keys)
    assert lines[0].startswith("distill: epoch 3 of 3, batch 1 of 3, loss ")
    whole, wanted = taught(**keys)
    assert digest(model) == digest(wanted) and left == whole


# --- features ------------------------------------------------------------------------------------


def test_features_pull_the_students_towards_the_teachers(
    taught: Callable[..., Any], data: Dataset, recipe: Callable[..., Recipe], teacher: Path
) -> None:
    import keras

    def distance(model: Any) -> float:
        known = keras.models.load_model(teacher)
        ours, theirs = (keras.Model(m.inputs, m.get_layer("dense").output) for m in (model, known))
        fed = np.concatenate([values for values, _ in feeds(recipe(), data)[1].epoch()])
        return float(np.mean((ours.predict(fed, verbose=0) - theirs.predict(fed, verbose=0)) ** 2))

    plain = taught(epochs=4)[1]
    pulled = taught(epochs=4, features=[["dense", "dense"]])[1]
    assert distance(pulled) < 0.8 * distance(plain)


def test_other_channels_go_through_a_projection_that_is_not_kept(
    taught: Callable[..., Any],
) -> None:
    """conv1 has 32 channels, conv2 64; dense 128, scores 3."""
    plain = taught(epochs=1)[1]
    left, model = taught(epochs=1, features=[["dense", "scores"]])
    assert [v.path for v in model.variables] == [v.path for v in plain.variables]
    assert digest(model) != digest(plain) and np.isfinite(left.curves["loss"][0])


@pytest.mark.parametrize(
    ("pair", "error", "fix"),
    [
        (["conv9", "conv1"], "the student has no layer 'conv9'", "conv1, pool1, conv2"),
        (["conv1", "norm"], "the teacher has no layer 'norm'", "conv1, pool1, conv2"),
        (
            ["conv1", "conv2"],
            "conv1 of the student is 10x10x32, conv2 of the teacher is 3x3x64",
            "",
        ),
        (["conv1", "dense"], "10x10x32, dense of the teacher is 128", "last number, the channels"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_features_that_do_not_fit(
    taught: Callable[..., Any], pair: list[str], error: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        taught(features=[pair])
    assert error in str(caught.value) and fix in caught.value.fix


# --- the wrong teacher ---------------------------------------------------------------------------


def net(shape: tuple[int, ...], classes: int, activation: str | None = "softmax") -> Any:
    import keras
    from keras import layers

    image = keras.Input(shape)
    x = layers.Flatten()(image)
    return keras.Model(image, layers.Dense(classes, activation=activation)(x))


@pytest.mark.parametrize(
    ("make", "kind", "error", "fix"),
    [
        (lambda: net((8, 8, 1), 3), ConfigError, "takes 8x8x1, stripes feeds 12x12x1", "[input]"),
        (lambda: net((12, 12, 3), 3), ConfigError, "takes 12x12x3", "[input]"),
        (lambda: net((12, 12, 1), 5), DataError, "answers 5, stripes has 3 classes", "labels"),
        (lambda: net((12, 12, 1), 3, None), ModelError, "not output probabilities", "softmax"),
    ],
    ids=["size", "channels", "classes", "logits"],
)
def test_a_teacher_of_another_input_or_labels(
    taught: Callable[..., Any],
    tmp_path: Path,
    make: Callable[[], Any],
    kind: type[EdgeError],
    error: str,
    fix: str,
) -> None:
    make().save(tmp_path / "wrong.keras")
    with pytest.raises(kind) as caught:
        taught(by=tmp_path / "wrong.keras")
    assert error in str(caught.value) and fix in caught.value.fix


def test_a_teacher_of_another_normalisation_or_order_knows_too_little(
    taught: Callable[..., Any], data: Dataset
) -> None:
    """A file does not say what its labels are: its answers do."""
    turned = replace(data, val=[s.labelled((s.label + 1) % 3) for s in data.val])
    with pytest.raises(DataError, match=r"most frequent class is right for 33\.3%") as caught:
        taught(data=turned)
    assert "in the same order, and the same [input]" in caught.value.fix


def test_a_file_that_is_no_model(
    taught: Callable[..., Any], recipe: Callable[..., Recipe], data: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "no.keras").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"no\.keras is not a \.keras file"):
        taught(by=tmp_path / "no.keras")
    with pytest.raises(FileError, match=r"nowhere\.keras does not exist"):
        found(recipe(teacher="file:nowhere.keras"), data, tmp_path)
    with pytest.raises(ConfigError, match=r"distill\.teacher is 'my teacher'"):
        found(recipe(teacher="my teacher"), data, tmp_path)


# --- a recipe as the teacher ---------------------------------------------------------------------


def found(recipe: Recipe, data: Dataset, folder: Path, listen: Listener = ignore) -> Path:
    def build_teacher(teacher: Recipe) -> Path:
        report = build(teacher, folder / f"{teacher.name}.edge", listen=listen)
        return report.folder / "model.keras"

    return find_teacher(recipe, data, build_teacher=build_teacher)


def write_recipe(recipe_file: Path, name: str, *changes: tuple[str, str]) -> str:
    """A recipe beside the other one; the teacher's name."""
    text = recipe_file.read_text("utf-8").replace('name = "stripes"', f'name = "{name}"')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (recipe_file.parent / f"{name}.toml").write_text(text, "utf-8")
    return f"recipe:{recipe_file.parent / name}.toml"


def test_a_recipe_is_built_and_found_again(
    recipe_file: Path, recipe: Callable[..., Recipe], data: Dataset, tmp_path: Path
) -> None:
    """Budgets are not the teacher's business: nobody sees it converted."""
    teacher = write_recipe(recipe_file, "big", ("accuracy_loss = 0.5", "bytes = 10"))
    said = Lines("note", "warning")
    path = found(recipe(teacher=teacher, seed=7), data, tmp_path, said)
    assert path == tmp_path / "big-1.0.0.build" / "model.keras" and path.is_file()
    assert "data: 48 to train" in said[0]
    stamp = path.stat().st_mtime_ns
    said.clear()
    assert found(recipe(teacher=teacher, seed=7), data, tmp_path, said) == path
    assert "train: reused" in said and path.stat().st_mtime_ns >= stamp


def test_a_teacher_that_computes_in_int8(recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(ConfigError, match="recipe:digits_qat ends in quantization-aware") as caught:
        check_teacher(recipe(teacher="recipe:digits_qat"))
    assert caught.value.fix == 'name a recipe without "qat" in its steps'


@pytest.mark.parametrize(
    ("change", "kind", "error"),
    [
        (("width = 12", "width = 16"), ConfigError, "input.width is 16 in recipe:"),
        (("mean = [0.0]", "mean = [9.0]"), ConfigError, "input.mean is [9.0] in recipe:"),
        (('"folder:images"', '"folder:two"'), DataError, "labels low, mid, stripes has low, mid,"),
        (("seed = 7", "seed = 9"), DataError, "of the 12 test samples of stripes"),
        (
            ("seed = 7", 'seed = 7\nsteps = ["distill"]\n[distill]\nteacher = "recipe:x.toml"'),
            *(ConfigError, "a recipe as its own teacher"),
        ),
    ],
    ids=["size", "mean", "labels", "split", "chain"],
)
def test_a_recipe_that_sees_other_data(
    recipe_file: Path,
    recipe: Callable[..., Recipe],
    data: Dataset,
    write_classes: Callable[..., Path],
    tmp_path: Path,
    change: tuple[str, str],
    kind: type[EdgeError],
    error: str,
) -> None:
    write_classes(recipe_file.parent / "two", {"low": 6, "mid": 6})
    train_table = recipe_file.read_text("utf-8").split("[train]")[1].split("\n\n")[0]
    changes = [change, (f"[train]{train_table}", "")] if "distill" in change[1] else [change]
    teacher = write_recipe(recipe_file, "other", *changes)
    with pytest.raises(kind) as caught:
        found(recipe(teacher=teacher, seed=7), data, tmp_path)
    assert error in str(caught.value) and teacher in str(caught.value)
    assert not (tmp_path / "teacher").exists()


# --- in a build ----------------------------------------------------------------------------------


def test_steps_run_in_their_order_and_are_kept_each_by_itself(
    recipe_file: Path, teacher: Path, tmp_path: Path
) -> None:
    settings = {
        "steps": ["train", "distill"],
        "distill.teacher": f"file:{teacher}",
        "distill.epochs": 1,
    }
    out = tmp_path / "stripes-1.0.0.edge"
    report = build(Recipe.load(recipe_file, settings), out)
    document = report.document
    assert [s["name"] for s in document["stages"]] == ["train", "distill", "convert", "verify"]
    assert [s["name"] for s in document["steps"]] == ["train", "distill"]
    assert "taught by file:" in document["steps"][1]["note"]
    # Nothing compresses here: what is lost counts from the last model, the taught one.
    assert document["steps"][1]["accuracy"] == document["float"]["accuracy"]
    for step in document["steps"]:
        assert 0 <= step["accuracy"] <= 1 and step["bytes"] > 0 and step["macs"] > 0
    phases = [{"name": "train", "epochs": 3}, {"name": "distill", "epochs": 1}]
    assert document["history"]["phases"] == phases
    assert len(document["history"]["val_loss"]) == 4
    assert not (report.folder / "checkpoints").exists()
    again = build(Recipe.load(recipe_file, {**settings, "distill.alpha": 0.1}), out)
    cached = {s["name"]: s["cached"] for s in again.document["stages"]}
    assert cached == {"train": True, "distill": False, "convert": False, "verify": False}


def test_the_build_of_a_teacher_is_reported_as_the_teachers(
    recipe_file: Path, tmp_path: Path
) -> None:
    teacher = write_recipe(recipe_file, "big", ("accuracy_loss = 0.5", "bytes = 10"))
    settings = {"steps": ["distill"], "distill.teacher": teacher, "distill.epochs": 1}
    said = Lines("note", "warning")
    loaded = Recipe.load(recipe_file, {**settings, "budget.accuracy_loss": 1.0})
    report = build(loaded, tmp_path / "stripes.edge", listen=said)
    assert (report.folder / "teacher" / "big-1.0.0.build" / "model.keras").is_file()
    assert any(line.startswith("teacher: data: 48 to train") for line in said)
    assert any(line.startswith("teacher: train: ") for line in said)


def test_a_build_that_is_ended_while_it_distils_goes_on_there(
    recipe_file: Path, teacher: Path, tmp_path: Path
) -> None:
    """The train step before it is reused, and takes no checkpoint away."""
    keys = {"teacher": f"file:{teacher}", "epochs": 3}
    settings = {"steps": ["train", "distill"], "train.epochs": 1}
    loaded = Recipe.load(recipe_file, {**settings, **{f"distill.{k}": v for k, v in keys.items()}})
    lines = Lines("progress")

    def progress(line: str) -> None:
        if "distill: epoch 3" in line and not lines:
            raise Killed

    with pytest.raises(Killed):
        build(loaded, tmp_path / "stripes.edge", listen=of_progress(progress))
    build(loaded, tmp_path / "stripes.edge", listen=lines)
    assert [line for line in lines if line.startswith("train: ")] == []
    assert next(x for x in lines if x.startswith("distill: ")).startswith("distill: epoch 3 of 3")


def test_a_student_may_have_nothing_but_its_teacher(
    recipe_file: Path, teacher: Path, tmp_path: Path
) -> None:
    """steps = ["distill"]: [train] is refused, its defaults serve."""
    text = recipe_file.read_text("utf-8")
    table = text[text.index("[train]") : text.index("[quantize]")]
    settings = f'[distill]\nteacher = "file:{teacher}"\nepochs = 3\n\n'
    path = recipe_file.parent / "alone.toml"
    plain = text.replace(table, settings).replace("seed = 7", 'seed = 7\nsteps = ["distill"]')
    path.write_text(plain, "utf-8")
    document = build(Recipe.load(path), tmp_path / "alone.edge").document
    assert [s["name"] for s in document["steps"]] == ["distill"]
    assert len(document["history"]["loss"]) == 3
