"""From a recipe to a bundle: look at the data, train, convert, verify, pack.

Each stage is kept by the hash of its inputs (stages.py). The record of the build is written
whatever the outcome, the bundle only when every gate passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_converter.builder.galleries import galleries, write_samples
from edge_converter.builder.packing import check_place, described, labels_text
from edge_converter.builder.record import (
    add_energy,
    build_document,
    exceeded,
    json_bytes,
    portable,
    shrinks,
)
from edge_converter.builder.repair import repair, unrepaired, worst_layers
from edge_converter.builder.stage_cache import alone_in
from edge_converter.builder.stages import BuildStages
from edge_converter.datasets import Dataset, open_dataset, warnings
from edge_converter.models import check_model
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.distill import check_teacher
from edge_converter.steps.train import phases
from edge_converter.weights import check_weights
from edge_hardware import load_board
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.documents.build import Build, Outcome
from edge_sdk.energy.estimate import Board
from edge_sdk.errors import GateFailed
from edge_sdk.files import write_atomic
from edge_sdk.formatting import share, size, table
from edge_sdk.report import write_build_report
from edge_sdk.report.gallery import Gallery

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class BuildReport:
    """The outcome of a build. document: the build document of docs/contracts.md; bundle: its path;
    galleries: images for its page.
    """

    document: Build
    bundle: Path
    folder: Path
    galleries: Sequence[Gallery] = ()

    @property
    def accuracy_loss(self) -> float | None:
        """Float minus converted accuracy on the same test images, -1..1; None where nothing was
        trained (`convert`).
        """
        return self.document["accuracy_loss"]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return self.document["passed"]


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
    data = _look(recipe, say, progress)

    def build_teacher(teacher: Recipe) -> Path:
        place = folder / "teacher" / f"{teacher.name}-{teacher.version}.edge"
        report = build(
            teacher,
            place,
            say=lambda line: say(f"teacher: {line}"),
            progress=lambda line: progress(f"teacher: {line}"),
        )
        return report.folder / "model.keras"

    stages = BuildStages(data, folder, build_teacher, say=say, progress=progress)
    plain = stages.make(recipe)
    tested = stages.verify(plain)
    final, verified, tries = repair(plain, tested, stages.make, stages.verify, say)
    stages.forget_checkpoints()
    write_atomic(folder / "model.keras", list(final.steps.values())[-1].read_bytes())
    document = build_document(
        final.recipe, data, final.steps, final.converted, verified, stages.record
    )
    document["recipe"], document["recipe_sha256"] = recipe.as_dict(), recipe.sha256
    document["tries"], document["worst_layers"] = tries, worst_layers(plain)
    document["unrepaired"] = unrepaired(tested) if tries else None
    add_energy(document, board)
    for line in document["warnings"][len(warnings(data)) :]:  # those were said before training
        say(f"warning: {line}")
    write_samples(data, folder)
    images = galleries(recipe, data, document["converted"]["mistakes"])
    report = BuildReport(document, bundle, folder, images)
    _write_record(report)
    _require_budget(recipe, document, folder)
    _pack(recipe, data, final.converted, document, bundle)
    say(f"pack: {bundle}")
    return report


def describe(report: BuildReport) -> str:
    """The build document for people."""
    document = report.document
    converted, floats, loss = document["converted"], document["float"], document["accuracy_loss"]
    assert floats is not None and loss is not None  # a build has both
    low, high = converted["interval"]
    rows = [
        ["float accuracy", _counted(floats)],
        [f"{converted['quantization']} accuracy", _counted(converted)],
        ["", f"95 % interval {share(low)} to {share(high)}"],
        ["accuracy loss", f"{100 * loss:.2f} points"],
        ["float model", size(floats["bytes"])],
        [f"{converted['quantization']} model", size(converted["bytes"])],
        *_in_the_bundle(converted),
        *_repaired(document),
        ["bundle", str(report.bundle)],
        ["report", str(report.folder / "build.html")],
    ]
    return table(rows)


def _in_the_bundle(converted: Outcome) -> list[list[str]]:
    """A row for a model that is compressed there."""
    packed = converted["bundle_bytes"]
    return [["in the bundle", size(packed)]] if packed != converted["bytes"] else []


def _repaired(document: Build) -> list[list[str]]:
    """Rows for what was repaired, and for what is not in integers."""
    rows = []
    if (before := document["unrepaired"]) is not None:
        rows.append(["int8 before repair", share(before["accuracy"])])
        done = [one for one in document["tries"] if one["passed"]]
        rows.append(["repair", done[0]["name"] if done else "no attempt met the budget"])
    if document["left_in_float"]:
        rows.append(["left in float", ", ".join(document["left_in_float"])])
    return rows


def _counted(outcome: Outcome) -> str:
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


def _require_budget(recipe: Recipe, document: Build, folder: Path) -> None:
    lines = exceeded(recipe, document)
    if lines:
        raise GateFailed(
            f"budget exceeded: {'; '.join(lines)}",
            fix=f"look at {folder / 'build.html'}, then change the recipe or raise [budget]",
            document=dict(document),
        )


def _pack(recipe: Recipe, data: Dataset, converted: Path, document: Build, bundle: Path) -> None:
    model = (converted / "model.tflite").read_bytes()
    manifest, golden = described(recipe, data, model)
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


def _write_record(report: BuildReport) -> None:
    write_atomic(report.folder / "build.json", json_bytes(report.document))
    write_build_report(report.folder / "build.html", report.document, report.galleries)
