"""[distill]: a network learns from the answers of another, its teacher, beside the labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.datasets import Dataset, open_dataset
from edge_converter.models.keras_files import load_keras
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.common import StepResult, feeds, load_trained, weighted_loss
from edge_converter.steps.train import new_model, phases, unfreeze
from edge_converter.training.batches import Feed
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.training.loop import Plan, Task, fit, prepare
from edge_converter.training.losses import distilled, hard_loss
from edge_sdk.errors import ConfigError, DataError, ModelError
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.files import read_file

_CUT = ("frames", "stride")
"""Of [sequence]: what both must be fed alike. cell and units are each model's own."""

_AS_TEACHER = {"quantize": {"mode": "float32"}, "budget": {"accuracy_loss": 1.0}}
"""A teacher answers as a Keras model: what its conversion costs does not matter."""


def find_teacher(
    recipe: Recipe,
    data: Dataset,
    *,
    build_teacher: Callable[[Recipe], Path],
    unpruned: Path | None = None,
) -> Path:
    """The .keras file of the recipe's teacher. build_teacher: builds one that is a recipe itself,
    unless it is there already, and returns its file. unpruned: the model before the prune step.

    Raises DataError for other labels or one that was trained on this recipe's test samples, what
    `check_teacher` raises, and what its build raises.
    """
    teacher = check_teacher(recipe) or unpruned
    assert teacher is not None, "`Recipe` lets unpruned stand only after a prune step"
    if isinstance(teacher, Path):
        return teacher
    _check_data(recipe, data, teacher)
    return build_teacher(teacher)


def check_teacher(recipe: Recipe) -> Path | Recipe | None:
    """The file or the recipe that [distill] names, None for the unpruned model: what can be known
    of it before the data is read.

    Raises ConfigError for another [input] or an unknown teacher, FileError.
    """
    _plan(recipe)
    kind, _, name = recipe.distill.teacher.partition(":")
    if recipe.distill.teacher == "unpruned":
        return None
    if kind == "file":
        path = recipe.folder / Path(name).expanduser()
        read_file(path, what="teacher")
        return path
    if kind != "recipe":
        raise ConfigError(
            f"distill.teacher is {recipe.distill.teacher!r}",
            fix='write "unpruned", "file:PATH.keras", "recipe:PATH.toml" or "recipe:NAME"',
        )
    source = recipe.folder / name if name.endswith(".toml") else f"recipe:{name}"
    if "qat" in Recipe.load(source).steps:
        raise ConfigError(
            f"{recipe.distill.teacher} ends in quantization-aware training: its model computes in "
            "int8",
            fix='name a recipe without "qat" in its steps',
        )
    teacher = Recipe.load(source, _AS_TEACHER)
    _check_recipe(recipe, teacher)
    return teacher


def _check_recipe(recipe: Recipe, teacher: Recipe) -> None:
    """Both must be fed alike: the teacher answers about the very batches that the student sees."""
    ours, theirs = recipe.as_dict(), teacher.as_dict()
    for table, keys in (("input", list(ours.get("input", {}))), ("sequence", _CUT)):
        for key in keys:
            value = ours.get(table, {}).get(key)
            other = theirs.get(table, {}).get(key)
            if other != value:
                raise ConfigError(
                    f"{table}.{key} is {other} in {recipe.distill.teacher}, {value} in "
                    f"{recipe.name}",
                    fix=f"give both recipes the same [{table}]",
                )
    if "distill" in teacher.steps and teacher.distill.teacher.startswith("recipe:"):
        raise ConfigError(
            f"{recipe.distill.teacher} has a recipe as its own teacher",
            fix="build it first, and name its model: file:NAME-VERSION.build/model.keras",
        )


def _check_data(recipe: Recipe, data: Dataset, teacher: Recipe) -> None:
    theirs = open_dataset(teacher)
    if theirs.labels != data.labels:
        raise DataError(
            f"{recipe.distill.teacher} has the labels {', '.join(theirs.labels)}, {recipe.name} "
            f"has {', '.join(data.labels)}",
            fix="name a teacher of the same data",
        )
    ours = {sample.sha256 for sample in data.train}
    told = {sample.sha256 for sample in theirs.train} - ours
    if seen := sum(sample.sha256 in told for sample in data.test):
        raise DataError(
            f"{recipe.distill.teacher} trains on {seen} of the {len(data.test)} test samples of "
            f"{recipe.name}: the accuracy would be too high",
            fix="give both recipes the same seed and data.split",
        )


def distill(
    recipe: Recipe,
    data: Dataset,
    teacher: Path,
    target: Path,
    checkpoints: Checkpoints,
    *,
    student: Path | None = None,
    listen: Listener = ignore,
) -> StepResult:
    """Teach the model at `student`, or the recipe's new one, and save it to `target` (.keras).

    It trains as [train] says, the same layers at the same rate as in its last phase, for
    `distill.epochs`. Raises ConfigError for features that do not fit, ModelError for a teacher that
    cannot be read, DataError for one of other data, TrainingError when it diverges.
    """
    if gpu := prepare(recipe.seed):
        listen(Event("note", "distill", f"on {gpu}"))
    model = _student(recipe, data) if student is None else load_trained(recipe, student)
    feed, val = feeds(recipe, data)
    known = _load(teacher, recipe, feed)
    right = _check_answers(known, recipe, val)
    taught, answers = _with_features(model, known, recipe)
    settings = recipe.distill
    loss = distilled(
        weighted_loss(recipe, data),
        answers,
        temperature=settings.temperature,
        alpha=settings.alpha,
    )
    task = Task(taught, loss, hard_loss(recipe.train.loss), model)
    curves = fit(task, feed, val, _plan(recipe), checkpoints, listen)
    model.save(target)
    note = (
        f"taught by {settings.teacher}, right for {right:.1%} of the validation samples; "
        f"temperature {settings.temperature:g}, alpha {settings.alpha:g}"
    )
    return StepResult(curves, (("distill", len(curves["loss"])),), note)


def _student(recipe: Recipe, data: Dataset) -> Any:
    """The recipe's new model; those layers train that do in the last phase of [train]."""
    model, head = new_model(recipe, data)
    unfrozen = phases(recipe)[-1].unfrozen
    if unfrozen is not None:
        unfreeze(model, head, unfrozen)
    return model


def _plan(recipe: Recipe) -> Plan:
    """Raises ConfigError where the rate would never arrive."""
    plan, after = phases(recipe)[-1].plan, "train" in recipe.steps
    if not after and plan.warmup_epochs >= recipe.distill.epochs:
        raise ConfigError(
            f"train.warmup_epochs is {plan.warmup_epochs}, distill.epochs is "
            f"{recipe.distill.epochs}",
            fix="lower train.warmup_epochs below distill.epochs: warm-up must end before "
            "training does",
        )
    return replace(
        plan,
        name="distill",
        epochs=recipe.distill.epochs,
        warmup_epochs=0 if after else plan.warmup_epochs,
        first_epoch=recipe.train.epochs if after else 0,
    )


def _load(path: Path, recipe: Recipe, feed: Feed) -> Any:
    """The teacher. Raises FileError, ModelError; ConfigError, DataError where it does not fit."""
    name, model = recipe.distill.teacher, _load_teacher(path, recipe)
    shapes = [tuple(tensor.shape[1:]) for tensor in (*model.inputs, *model.outputs)]
    if len(shapes) != 2 or shapes[0] != feed.shape:
        raise ConfigError(
            f"the teacher {name} takes {_shown(shapes[: len(model.inputs)])}, {recipe.name} feeds "
            f"{_shown([feed.shape])}",
            fix="name a teacher of the same [input], with one input and one output",
        )
    if shapes[1] != feed.target_shape:
        raise DataError(
            f"the teacher {name} answers {_shown(shapes[1:])}, {recipe.name} has "
            f"{feed.target_shape[0]} classes",
            fix="name a teacher of the same labels, in the same order",
        )
    return model


def _load_teacher(path: Path, recipe: Recipe) -> Any:
    """With the classes that it is made of, where a recipe says whose they are."""
    teacher = check_teacher(recipe)
    if isinstance(teacher, Path):
        try:
            return load_keras(path)
        except ModelError as error:
            raise ModelError(
                str(error),
                fix="for layers of your own name the recipe that builds it: distill.teacher = "
                '"recipe:PATH.toml"',
            ) from error
    return load_trained(teacher or recipe, path)


def _shown(shapes: list[tuple[Any, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _check_answers(teacher: Any, recipe: Recipe, val: Feed) -> float:
    """The teacher's accuracy on the validation samples.

    A file says neither its labels nor how its images were normalised: a teacher that knows less
    than the most frequent class is one of other labels or another [input].
    """
    import tensorflow as tf

    answer = tf.function(lambda fed: teacher(fed, training=False))
    found = [(answer(fed).numpy(), one_hot) for fed, one_hot in val.epoch()]
    scores, wanted = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if scores.min() < 0 or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        raise ModelError(
            f"the teacher {recipe.distill.teacher} does not output probabilities",
            fix="end it in a softmax",
        )
    right = float(np.mean(scores.argmax(axis=1) == wanted.argmax(axis=1)))
    most = float(wanted.mean(axis=0).max())
    if right <= most:
        raise DataError(
            f"the teacher {recipe.distill.teacher} is right for {right:.1%} of the validation "
            f"samples; always answering the most frequent class is right for {most:.1%}",
            fix="name a teacher of the same labels, in the same order, and the same [input]",
        )
    return right


def _with_features(
    student: Any, teacher: Any, recipe: Recipe
) -> tuple[Any, Callable[[Any], list[Any]]]:
    """The student with its features as further outputs, and what the teacher answers to a batch.

    Where the channels differ, the student's go through a learned 1x1 projection, which is no part
    of the student: afterwards nothing is left of it.
    """
    import keras

    ours, theirs = [student.outputs[0]], [teacher.outputs[0]]
    for number, (name, other) in enumerate(recipe.distill.features):
        mine, wanted = _feature(student, name, "student"), _feature(teacher, other, "teacher")
        if mine.shape[1:-1] != wanted.shape[1:-1]:
            raise ConfigError(
                f"distill.features: {name} of the student is {_shown([mine.shape[1:]])}, "
                f"{other} of the teacher is {_shown([wanted.shape[1:]])}",
                fix="pair layers that differ only in the last number, the channels",
            )
        if mine.shape[-1] != wanted.shape[-1]:
            # A dense layer acts on the channels of each place: a 1x1 convolution.
            project = keras.layers.Dense(
                wanted.shape[-1], use_bias=False, name=f"projection_{number}"
            )
            mine = project(mine)
        ours.append(mine)
        theirs.append(wanted)
    teaching = keras.Model(teacher.inputs, theirs)
    taught = keras.Model(student.inputs, ours)
    return taught, lambda fed: keras.tree.flatten(teaching(fed, training=False))


def _feature(model: Any, name: str, who: str) -> Any:
    """The output of layer `name`. Raises ConfigError where there is none."""
    for layer in model.layers:
        if layer.name == name:
            return layer.output
    raise ConfigError(
        f"distill.features: the {who} has no layer {name!r}",
        fix=f"use one of: {', '.join(layer.name for layer in model.layers)}",
    )
