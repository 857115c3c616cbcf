"""From a recipe to a bundle: read the data, train, convert, verify, pack.

Each stage is kept by the hash of its inputs (stage_cache.py). The record of the build is written
whatever the outcome, the bundle only when every gate passed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_converter.builder.build_report import BuildReport
from edge_converter.builder.galleries import galleries, write_samples
from edge_converter.builder.gates import budget_failures
from edge_converter.builder.packing import compresses_well, labels_text, manifest_and_golden
from edge_converter.builder.preflight import preflight
from edge_converter.builder.record import add_energy, build_document, json_bytes, portable
from edge_converter.builder.repair import repair, unrepaired, worst_layers
from edge_converter.builder.stage_cache import StageCache, alone_in
from edge_converter.builder.stages import BuildStages
from edge_converter.datasets import Dataset, open_dataset, warnings
from edge_converter.recipe.loading import Recipe
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.energy.estimate import Board
from edge_sdk.errors import GateFailed
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.files import write_atomic
from edge_sdk.report import write_build_report


def build(
    recipe: Recipe, out: str | Path | None = None, *, listen: Listener = ignore
) -> BuildReport:
    """Build a recipe into the bundle `out` (default: NAME-VERSION.edge beside the recipe).

    listen: takes a note for each stage, warnings, progress, and each epoch of training with its
    metrics. An exception that it raises ends the build; the next one goes on from there.
    Raises GateFailed when a budget is exceeded (the record is kept, no bundle is written; an old
    one stays), DataError, TrainingError, FileError and what the recipe itself raises.
    """
    name = f"{recipe.name}-{recipe.version}"
    bundle = Path(out) if out is not None else recipe.folder / f"{name}.edge"
    board = preflight(recipe, bundle)
    folder = bundle.parent / f"{name}.build"
    write_atomic(folder / "recipe.json", json_bytes(recipe.as_dict()))
    with alone_in(folder), StageCache(folder / "stages") as cache:
        return _build(recipe, bundle, folder, cache, board, listen)


def _build(
    recipe: Recipe,
    bundle: Path,
    folder: Path,
    cache: StageCache,
    board: Board | None,
    listen: Listener,
) -> BuildReport:
    data = _read_data(recipe, listen)

    def build_teacher(teacher: Recipe) -> Path:
        place = folder / "teacher" / f"{teacher.name}-{teacher.version}.edge"
        report = build(teacher, place, listen=lambda event: listen(_of_teacher(event)))
        return report.folder / "model.keras"

    stages = BuildStages(data, folder, cache, build_teacher, listen)
    plain = stages.make(recipe)
    tested = stages.verify(plain)
    final, verified, tries = repair(plain, tested, stages.make, stages.verify, listen)
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
        listen(Event("warning", message=line))
    write_samples(data, folder)
    images = galleries(recipe, data, document["converted"]["mistakes"])
    report = BuildReport(document, bundle, folder, images)
    _write_record(report)
    _require_budget(recipe, report)
    _pack(recipe, data, final.converted, report)
    listen(Event("note", "pack", str(bundle)))
    return report


def _of_teacher(event: Event) -> Event:
    return replace(event, stage=f"teacher: {event.stage}" if event.stage else "teacher")


def _read_data(recipe: Recipe, listen: Listener) -> Dataset:
    data = open_dataset(recipe, listen)
    listen(
        Event(
            "note",
            "data",
            f"{len(data.train)} to train, {len(data.val)} to validate, {len(data.test)} to test, "
            f"{len(data.labels)} classes, {len(data.unreadable)} unreadable, "
            f"{data.duplicates} duplicates",
        )
    )
    for line in warnings(data):
        listen(Event("warning", message=line))
    return data


def _require_budget(recipe: Recipe, report: BuildReport) -> None:
    document = report.document
    assert document["float"] is not None  # a build has one
    if failures := budget_failures(recipe.budget, document["float"], document["converted"]):
        raise GateFailed(
            f"budget exceeded: {'; '.join(failures)}",
            fix=f"look at {report.folder / 'build.html'}, then change the recipe or raise [budget]",
            document=dict(document),
        )


def _pack(recipe: Recipe, data: Dataset, converted: Path, report: BuildReport) -> None:
    model = (converted / "model.tflite").read_bytes()
    manifest, golden = manifest_and_golden(recipe, data, model)
    members: dict[str, Any] = {
        "model.tflite": model,
        "labels.txt": labels_text(data.labels),
        "golden.npz": golden.to_npz(),
        "build.json": json_bytes(portable(report.document)),
    }
    compressed = {"model.tflite"} if compresses_well(recipe) else ()
    write_bundle(report.bundle, manifest, members, compressed=compressed)


def _write_record(report: BuildReport) -> None:
    write_atomic(report.folder / "build.json", json_bytes(report.document))
    write_build_report(report.folder / "build.html", report.document, report.galleries)
