"""The record of a build: its document, and the part of it that travels in the bundle."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_converter.builder.float_models import float_models
from edge_converter.builder.gates import budget_failures
from edge_converter.builder.packing import compresses_well
from edge_converter.builder.stage_cache import versions
from edge_converter.datasets import Dataset, warnings
from edge_converter.recipe.schema import RecipeTables
from edge_converter.steps.common import joined
from edge_sdk.bundle.archive import packed_bytes
from edge_sdk.data.sample_sets import pack_prefixes
from edge_sdk.documents.build import (
    Agreement,
    Build,
    BuildDataset,
    BuildStage,
    BuildStep,
    History,
    Outcome,
)
from edge_sdk.energy.estimate import Board, energy_model
from edge_sdk.evaluation.classification import doubts
from edge_sdk.evaluation.result import MAX_MATRIX, Evaluation
from edge_sdk.statistics import paired_difference
from edge_sdk.tflite.graph import read_graph

INTEGERS = ("int8", "int16x8")
"""Modes in which activations are integers."""

MAX_PAIRS = 100
"""Near-duplicates, and files left out, that the record names."""


def record(
    name: str,
    version: str,
    labels: Sequence[str],
    *,
    recipe: RecipeTables | None,
    dataset: BuildDataset | None,
    floats: Outcome | None,
    converted: Outcome,
    quantization: str,
    macs: int,
    agreement: Mapping[str, Agreement],
    warnings: Sequence[str],
    left_in_float: Sequence[str],
) -> Build:
    """The build document with the fields that every one has. A build adds its own; a conversion
    has no steps, limits or repairs.
    """
    document: Build = {
        "schema": "edge-sdk/build/1",
        "name": name,
        "version": version,
        "recipe_sha256": recipe.sha256 if recipe else None,
        "recipe": recipe.as_dict() if recipe else None,
        "labels": list(labels),
        "dataset": dataset,
        "stages": [],
        "steps": [],
        "float": floats,
        "converted": converted,
        "macs": macs,
        "accuracy_loss": None,
        "warnings": list(warnings),
        "left_in_float": list(left_in_float),
        "agreement": dict(agreement),
        "budget": None,
        "passed": True,
        "tries": [],
        "worst_layers": [],
        "versions": {"python": platform.python_version(), **versions()},
    }
    converted["quantization"], converted["macs"] = quantization, macs
    return document


def add_loss(document: Build, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> None:
    """Fill in float minus converted accuracy. before, after: whether each sample was answered
    rightly in float and converted, bool (n,), the same samples in the same order.
    """
    n = len(before)
    lost, won = int(np.sum(before & ~after)), int(np.sum(after & ~before))
    document["accuracy_loss"] = int(before.sum()) / n - int(after.sum()) / n
    document["accuracy_loss_interval"] = paired_difference(lost, won, n).as_list()
    document["changed_answers"] = {"lost": lost, "won": won}


def build_document(
    recipe: RecipeTables,
    data: Dataset,
    steps: Mapping[str, Path],
    converted: Path,
    verified: Path,
    stages: list[BuildStage],
) -> Build:
    """The build document of docs/contracts.md, with the fields that the report shows beside it.

    steps: the .keras file that each left. converted, verified: the folders of those stages. stages:
    what each took.
    """
    left = [json.loads((steps[step].parent / "step.json").read_text()) for step in recipe.steps]
    floats: Outcome = json.loads((verified / "float.json").read_text())
    final: Outcome = json.loads((verified / "model.json").read_text())
    model = (converted / "model.tflite").read_bytes()
    graph = read_graph(model)
    integers = recipe.quantize.mode in INTEGERS
    names = {sample.sha256: sample.name for sample in data.test}
    for mistake in (*floats["mistakes"], *final["mistakes"]):
        mistake["name"] = names[mistake["sha256"]]  # a reused stage may know an older one
    document = record(
        recipe.name,
        recipe.version,
        data.labels,
        recipe=recipe,
        dataset=_dataset(recipe, data),
        floats=floats,
        converted=final,
        # Where int8 was repaired with layers in float, it is not called int8.
        quantization="mixed" if integers and graph.precision == "mixed" else recipe.quantize.mode,
        macs=graph.macs,
        agreement=json.loads((converted / "agreement.json").read_text()),
        warnings=[*warnings(data), *doubts(final["correct"], _counts(final))],
        left_in_float=graph.left_in_float if integers else (),
    )
    add_loss(document, *(np.load(verified / f"{name}-right.npy") for name in ("float", "model")))
    document["converted"]["bundle_bytes"] = (
        packed_bytes(model) if compresses_well(recipe) else len(model)
    )
    document["stages"] = stages
    document["steps"] = [
        _step(recipe, name, converted, verified, one["note"])
        for name, one in zip(recipe.steps, left, strict=True)
    ]
    document["history"] = cast(History, joined([one["history"] for one in left])) if left else None
    document["budget"] = {
        "accuracy_loss": recipe.budget.accuracy_loss,
        "bytes": recipe.budget.bytes,
        "mapped": recipe.budget.mapped,
        "latency_ms": recipe.budget.latency_ms,
    }
    document["worst_layers"] = json.loads((converted / "worst_layers.json").read_text())
    document["passed"] = not budget_failures(recipe.budget, floats, final)
    return document


def _dataset(recipe: RecipeTables, data: Dataset) -> BuildDataset:
    return {
        "source": recipe.data.source,
        "n_train": len(data.train),
        "n_val": len(data.val),
        "n_test": len(data.test),
        "sha256": data.sha256,
        "unreadable": list(data.unreadable),
        "duplicates": data.duplicates,
        "across_parts": data.across,
        "compared": data.compared,
        "near_duplicates": [pair.as_dict() for pair in data.near[:MAX_PAIRS]],
        "left_out": [str(path) for path in data.left_out[:MAX_PAIRS]],
        "per_class": data.per_class,
        "train_sha256_prefixes": pack_prefixes(data.train),
    }


def _step(recipe: RecipeTables, step: str, converted: Path, verified: Path, note: str) -> BuildStep:
    """Accuracy, bytes and MACs of the model that a step left, in float32; of qat, as it is
    converted.
    """
    names = {step: name for name, step in float_models(recipe).items()}
    name = names.get(step, "model")
    found = json.loads((verified / f"{name}.json").read_text())
    graph = read_graph((converted / f"{name}.tflite").read_bytes())
    return {
        "name": step,
        "accuracy": found["accuracy"],
        "bytes": found["bytes"],
        "macs": graph.macs,
        "note": note,
    }


def evaluation_entry(found: Evaluation, size: int) -> Outcome:
    """The record's entry for a model of `size` bytes after its evaluation."""
    return {
        "accuracy": found.accuracy,
        "correct": found.correct,
        "n": found.n,
        "interval": found.interval.as_list(),
        "bytes": size,
        "macro_f1": found.macro_f1,
        "per_class": {label: score.as_dict() for label, score in found.per_class.items()},
        "confusion": found.confusion.tolist() if len(found.labels) <= MAX_MATRIX else None,
        "confusions": [list(pair) for pair in found.confusions],
        "mistakes": [mistake.as_dict() for mistake in found.mistakes],
    }


def add_energy(document: Build, board: Board | None) -> None:
    """Fill in the MODEL energy of one inference on `target.board`, or why there is none."""
    estimate = energy_model(board, document["macs"]) if board else None
    document["energy_model"] = estimate.as_dict() if estimate else None
    document["energy_model_because"] = (estimate.because or None) if estimate else None


def _counts(outcome: Outcome) -> list[int]:
    """Test images of each class."""
    return [one["n"] for one in outcome["per_class"].values()]


def portable(document: Build) -> Build:
    """The record as it travels: without durations, so that the same build gives the same bytes,
    and without the names of files, which are nobody's business on a device. Of those that were
    unreadable it keeps how many.
    """
    record = document.copy()
    del record["stages"]
    final, dataset = record["converted"].copy(), record["dataset"]
    floats, recipe = record["float"], record["recipe"]
    assert dataset is not None and floats is not None and recipe is not None
    record["warnings"] = doubts(final["correct"], _counts(final))
    unreadable = len(dataset["unreadable"])
    record["dataset"] = dataset = dataset.copy()
    del dataset["near_duplicates"], dataset["left_out"]
    dataset["unreadable"] = [f"{unreadable} files"] if unreadable else []
    dataset["source"] = _without_folders(dataset["source"])
    record["recipe"] = {
        key: {k: _without_folders(v) for k, v in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in recipe.items()
    }
    record["float"] = floats = floats.copy()
    del floats["mistakes"], final["mistakes"]
    record["converted"] = final
    return record


def _without_folders(value: Any) -> Any:
    """ "folder:images" for "folder:/home/ann/images"; what is no path stays as it is."""
    if not isinstance(value, str) or "/" not in value:
        return value
    kind, colon, path = value.rpartition(":")
    return f"{kind}{colon}{Path(path).name}"


def json_bytes(value: Any) -> bytes:
    """A JSON document as a file's bytes."""
    # A file's name may be any bytes: what is not UTF-8 stays as the JSON escape that reads back.
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"
