"""From a recipe to a bundle: look at the data, train, convert, verify, pack.

Each stage is kept by the hash of its inputs (stages.py). The record of the build is written
whatever the outcome, the bundle only when every gate passed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.checkpoints import Checkpoints
from edge_converter.datasets import Dataset, open_dataset, warnings
from edge_converter.exhibits import galleries
from edge_converter.models import build_model, check_model, fingerprint
from edge_converter.packing import Contents, in_turns, labels_text, make_golden, manifest_for
from edge_converter.quantize import calibration_samples, convert_model
from edge_converter.recipe import Recipe
from edge_converter.record import (
    COMPRESSING,
    build_document,
    energy,
    exceeded,
    float_models,
    json_bytes,
    outcome,
    portable,
    shrinks,
)
from edge_converter.repairing import Made, repair, worst_layers
from edge_converter.stages import Stages, alone_in, key
from edge_converter.steps.distill import check_teacher, distill, find_teacher
from edge_converter.steps.shared import Trained
from edge_converter.steps.train import phases, train
from edge_converter.streaming import fed_shape
from edge_converter.weights import check_weights, weights_key
from edge_hardware import load_board
from edge_sdk.bundle import Golden, write_bundle
from edge_sdk.console import share, size, table
from edge_sdk.engines import open_engine
from edge_sdk.errors import FileError, GateFailed
from edge_sdk.estimate import Board
from edge_sdk.evaluation import (
    evaluate_pictures,
)
from edge_sdk.files import is_folder, write_atomic
from edge_sdk.images import write_image
from edge_sdk.manifest import Budget, Manifest
from edge_sdk.recognizer import Recognizer
from edge_sdk.report import write_build_report
from edge_sdk.report.gallery import Gallery
from edge_sdk.sources import LabelledPictures, Picture

SAMPLES_PER_CLASS = 10
"""Test pictures of each class copied into the build folder when the source is not a folder."""

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class BuildReport:
    """The outcome of a build. document: the build document of CONTRACTS.md; bundle: its path;
    galleries: pictures for its page.
    """

    document: dict[str, Any]
    bundle: Path
    folder: Path
    galleries: Sequence[Gallery] = ()

    @property
    def accuracy_loss(self) -> float | None:
        """Float minus converted accuracy on the same test pictures, -1..1; None where nothing was
        trained (`convert`).
        """
        loss: float | None = self.document["accuracy_loss"]
        return loss

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return bool(self.document["passed"])


def build(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    say: Say = lambda _: None,
    progress: Say = lambda _: None,
) -> BuildReport:
    """Build a recipe into the bundle `out` (default: NAME-VERSION.edge beside the recipe).

    say: takes a line for each stage; progress: takes the line that rewrites itself.
    Raises GateFailed when a budget is exceeded (the record is kept, no bundle is written; an old
    one stays), DataError, TrainingError, FileError and what the recipe itself raises.
    """
    # Before the minutes of looking and training:
    check_model(recipe)
    check_weights(recipe)
    phases(recipe)
    if "distill" in recipe.steps:
        check_teacher(recipe)
    board = load_board(recipe.target.board) if recipe.target.board else None
    name = f"{recipe.name}-{recipe.version}"
    bundle = Path(out) if out is not None else recipe.folder / f"{name}.edge"
    check_place(bundle)
    folder = bundle.parent / f"{name}.build"
    write_atomic(folder / "recipe.json", json_bytes(recipe.as_dict()))
    with alone_in(folder):
        return _build(recipe, bundle, folder, board, say, progress)


def _build(
    recipe: Recipe, bundle: Path, folder: Path, board: Board | None, say: Say, progress: Say
) -> BuildReport:
    stages = Stages(folder / "stages")
    data = _look(recipe, say, progress)

    steps = _step_stages(recipe, data, stages, folder, say, progress)

    def make(tried: Recipe, label: str = "") -> Made:
        found = steps
        if tried.steps != recipe.steps:
            found = _step_stages(tried, data, stages, folder, say, progress)
        return Made(tried, found, _convert_stage(tried, data, found, stages, folder, say, label))

    def verify(made: Made, part: str = "test", label: str = "") -> Path:
        return _verify_stage(made, data, stages, say, part, label)

    plain = make(recipe)
    final, verified, tries = repair(plain, verify(plain), make, verify, say)
    write_atomic(folder / "model.keras", list(final.steps.values())[-1].read_bytes())
    document = build_document(
        final.recipe, data, final.steps, final.converted, verified, stages.record
    )
    document |= {"recipe": recipe.as_dict(), "recipe_sha256": recipe.sha256}
    document |= {"tries": tries, "worst_layers": worst_layers(plain)}
    document |= energy(board, document["converted"]["macs"])
    for line in document["warnings"][len(warnings(data)) :]:  # those were said before training
        say(f"warning: {line}")
    _write_samples(data, folder)
    pictures = galleries(recipe, data, document["converted"]["mistakes"])
    report = BuildReport(document, bundle, folder, pictures)
    _write_record(report)
    _require_budget(recipe, document, folder)
    _pack(recipe, data, final.converted, document, bundle)
    say(f"pack: {bundle}")
    return report


def check_place(bundle: Path) -> None:
    """Raises FileError where `bundle` is a folder, or not called .edge: a slip of the finger must
    not put a bundle in the place of a recipe or a model.
    """
    if is_folder(bundle):
        raise FileError(f"{bundle} is a folder", fix=f"name a file: {bundle / 'NAME.edge'}")
    if bundle.suffix != ".edge":
        raise FileError(
            f"{bundle} is not the name of a bundle",
            fix=f"write --out {_as_edge(bundle)}",
        )


def _as_edge(path: Path) -> Path:
    """The path with .edge for its suffix, where it has one: in "doors-1.0.0" nothing is."""
    return path.with_suffix(".edge") if path.suffix[1:].isalpha() else Path(f"{path}.edge")


def describe(report: BuildReport) -> str:
    """The build document for people."""
    document = report.document
    converted = document["converted"]
    rows = [["bundle", str(report.bundle)], ["model", size(converted["bytes"])]]
    if document["float"] is not None:
        low, high = converted["interval"]
        rows = [
            ["float accuracy", _counted(document["float"])],
            [f"{converted['quantization']} accuracy", _counted(converted)],
            ["", f"95 % interval {share(low)} to {share(high)}"],
            ["accuracy loss", f"{100 * document['accuracy_loss']:.2f} points"],
            ["float model", size(document["float"]["bytes"])],
            [f"{converted['quantization']} model", size(converted["bytes"])],
            *_in_the_bundle(converted),
            ["bundle", str(report.bundle)],
            ["report", str(report.folder / "build.html")],
        ]
    return table(rows)


def _in_the_bundle(converted: dict[str, Any]) -> list[list[str]]:
    """A row for a model that is compressed there."""
    packed = converted["bundle_bytes"]
    return [["in the bundle", size(packed)]] if packed != converted["bytes"] else []


def _counted(outcome: dict[str, Any]) -> str:
    return f"{share(outcome['accuracy'])} ({outcome['correct']} of {outcome['n']})"


def _look(recipe: Recipe, say: Say, progress: Say) -> Dataset:
    data = open_dataset(recipe, lambda done, total: progress(f"data: {done} of {total} files"))
    say(
        f"data: {len(data.train)} to train, {len(data.val)} to validate, {len(data.test)} to test, "
        f"{len(data.labels)} classes, {len(data.unreadable)} unreadable, "
        f"{data.duplicates} duplicates"
    )
    for line in warnings(data):
        say(f"warning: {line}")
    return data


def _step_stages(
    recipe: Recipe, data: Dataset, stages: Stages, build_folder: Path, say: Say, progress: Say
) -> dict[str, Path]:
    """The recipe's steps in their order, a stage each, which starts from the one before: {step:
    its model.keras}. What starts from a trained file has that first, as "".
    """
    whole = recipe.as_dict()
    keys = ("seed", "task", "input", "sequence", "model", "train", "augment")
    common = [
        {key: whole.get(key) for key in keys} | {"balance": recipe.data.balance},
        {part: _order(data, part) for part in ("train", "val")},
        data.labels,
        [fingerprint(recipe), weights_key(recipe)],
    ]
    made: dict[str, Path] = {}
    unpruned: Path | None = None
    if not recipe.steps or recipe.steps[0] in COMPRESSING:
        made[""] = _start_stage(recipe, data, common, stages, say)
    for step in recipe.steps:
        inputs = [*common, *(model.parent.name for model in made.values())]
        source = list(made.values())[-1] if made else None
        unpruned = source if step == "prune" else unpruned
        if step == "train":
            run = train
        elif step == "distill":
            teacher = find_teacher(
                recipe, data, build_folder, unpruned=unpruned, say=say, progress=progress
            )
            inputs += [whole["distill"], hashlib.sha256(teacher.read_bytes()).hexdigest()]
            run = partial(distill, teacher=teacher, student=source)
        else:
            inputs += [whole[step]]
            run = partial(_step(step), source=source)
        made[step] = _step_stage(
            run, recipe, data, stages, (step, inputs), build_folder, say, progress
        )
    # Not before: a killed step must find its own when the ones before it are reused.
    shutil.rmtree(build_folder / "checkpoints", ignore_errors=True)
    return made


def _step_stage(
    run: Callable[..., Trained],
    recipe: Recipe,
    data: Dataset,
    stages: Stages,
    what: tuple[str, Any],
    build_folder: Path,
    say: Say,
    progress: Say,
) -> Path:
    checkpoints = Checkpoints(build_folder / "checkpoints", key(*what))

    def make(folder: Path) -> None:
        model = folder / "model.keras"
        found = run(recipe, data, target=model, checkpoints=checkpoints, say=say, progress=progress)
        (folder / "step.json").write_text(json.dumps(found.as_dict()))

    folder = stages.run(*what, make)
    _say_stage(stages, say)
    return folder / "model.keras"


def _start_stage(recipe: Recipe, data: Dataset, inputs: Any, stages: Stages, say: Say) -> Path:
    """The trained file that the recipe starts from, once it is known to fit."""

    def make(folder: Path) -> None:
        model = build_model(recipe, fed_shape(recipe, data.train), len(data.labels))
        model.save(folder / "model.keras")

    folder = stages.run("start", inputs, make)
    _say_stage(stages, say)
    return folder / "model.keras"


def _step(name: str) -> Callable[..., Trained]:
    """The function of a step that changes a trained model: `name` in steps/`name`.py."""
    function: Callable[..., Trained] = getattr(
        importlib.import_module(f"edge_converter.steps.{name}"), name
    )
    return function


def _convert_stage(
    recipe: Recipe,
    data: Dataset,
    steps: Mapping[str, Path],
    stages: Stages,
    build_folder: Path,
    say: Say,
    label: str,
) -> Path:
    def make(folder: Path) -> None:
        agreement = convert_model(
            recipe,
            list(steps.values())[-1],
            calibration_samples(data.train, recipe.quantize, recipe.seed),
            in_turns(data.val),
            folder,
            build_folder / "convert.log",
            {name: steps[step] for name, step in float_models(recipe).items()},
        )
        text = json.dumps({name: found.as_dict() for name, found in agreement.items()})
        (folder / "agreement.json").write_text(text)

    made = [model.parent.name for model in steps.values()]
    settings = {k: v for k, v in recipe.as_dict()["quantize"].items() if k != "repair"}
    folder = stages.run(f"{label}convert", [made, settings], make)
    _say_stage(stages, say)
    return folder


def _verify_stage(
    made: Made, data: Dataset, stages: Stages, say: Say, part: str, label: str
) -> Path:
    def make(folder: Path) -> None:
        pictures = LabelledPictures(data.labels, getattr(data, part), part)
        for name in ("model", *float_models(made.recipe)):
            model = (made.converted / f"{name}.tflite").read_bytes()
            manifest, _ = _describe(made.recipe, data, model)
            with open_engine("litert", model) as engine:
                found = evaluate_pictures(Recognizer(manifest, data.labels, engine), pictures)
            (folder / f"{name}.json").write_text(json.dumps(outcome(found, len(model))))
            np.save(folder / f"{name}-right.npy", found.right)

    name = label + ("verify" if part == "test" else f"verify_{part}")
    folder = stages.run(name, [made.converted.name, _order(data, part), data.labels], make)
    _say_stage(stages, say)
    return folder


def _require_budget(recipe: Recipe, document: dict[str, Any], folder: Path) -> None:
    lines = exceeded(recipe, document)
    if lines:
        raise GateFailed(
            f"budget exceeded: {'; '.join(lines)}",
            fix=f"look at {folder / 'build.html'}, then change the recipe or raise [budget]",
            document=document,
        )


def _pack(
    recipe: Recipe, data: Dataset, converted: Path, document: dict[str, Any], bundle: Path
) -> None:
    model = (converted / "model.tflite").read_bytes()
    manifest, golden = _describe(recipe, data, model)
    write_bundle(
        bundle,
        manifest,
        {
            "model.tflite": model,
            "labels.txt": labels_text(data.labels),
            "golden.npz": golden.to_npz(),
            "build.json": json_bytes(portable(document)),
        },
        compressed={"model.tflite"} if shrinks(recipe) else (),
    )


def _describe(recipe: Recipe, data: Dataset, model: bytes) -> tuple[Manifest, Golden]:
    """The manifest and the golden samples of a converted model."""
    budget, preprocess = recipe.budget, recipe.preprocess
    limits = Budget(budget.accuracy_loss, budget.bytes, budget.mapped, budget.latency_ms)
    contents = Contents(
        recipe.name, recipe.version, data.labels, preprocess, limits, sequence=recipe.cut
    )
    golden, origin = make_golden(model, preprocess, data.test, recipe.data.golden, seed=recipe.seed)
    return manifest_for(model, contents, golden, origin), golden


def _write_record(report: BuildReport) -> None:
    write_atomic(report.folder / "build.json", json_bytes(report.document))
    write_build_report(report.folder / "build.html", report.document, report.galleries)


def _write_samples(data: Dataset, folder: Path) -> None:
    """Test pictures as files, CLASS/NAME.png, where the user has no folder of them: something to
    try `predict` and `run` on.
    """
    samples, working = folder / "samples", folder / ".samples"
    wanted = {
        f"{data.labels[picture.label]}/{picture.name}.png": picture
        for picture in _first_of_each(data)
    }
    if wanted.keys() == {path.relative_to(samples).as_posix() for path in samples.rglob("*.png")}:
        return
    for old in (working, samples):
        shutil.rmtree(old, ignore_errors=True)
    for name, picture in wanted.items():
        write_image(working / name, picture.read())
    if wanted:
        working.rename(samples)


def _first_of_each(data: Dataset) -> list[Picture]:
    """The first test pictures of each class that are in memory only."""
    found: list[Picture] = []
    for index in range(len(data.labels)):
        own = [p for p in data.test if p.label == index and isinstance(p, Picture) and not p.path]
        found += own[:SAMPLES_PER_CLASS]
    return found


def _order(data: Dataset, part: str) -> list[str]:
    """The pictures of a part with their labels, in order: what training depends on."""
    return [f"{picture.sha256} {picture.label}" for picture in getattr(data, part)]


def _say_stage(stages: Stages, say: Say) -> None:
    last = stages.record[-1]
    how = "reused" if last["cached"] else f"{last['seconds']:.1f} s"
    say(f"{last['name']}: {how}")
