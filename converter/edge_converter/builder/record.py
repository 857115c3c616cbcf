"""The record of a build: its document, what exceeds the budget, and what travels in the bundle."""

from __future__ import annotations

import itertools
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.builder.stage_cache import versions
from edge_converter.datasets import Dataset, warnings
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.common import joined
from edge_sdk.bundle.archive import packed_bytes
from edge_sdk.data.sample_sets import pack_prefixes
from edge_sdk.energy.estimate import Board, energy_model
from edge_sdk.evaluation.classification import doubts
from edge_sdk.evaluation.result import MAX_MATRIX, Evaluation
from edge_sdk.statistics import paired_difference
from edge_sdk.tflite.graph import read_graph

COMPRESSING = ("prune", "cluster", "qat")
"""Steps that make a trained model smaller or fit for int8, at a cost that the budget limits."""

INTEGERS = ("int8", "int16x8")
"""Modes in which activations are integers."""

MAX_PAIRS = 100
"""Near-duplicates, and files left out, that the record names."""


def build_document(
    recipe: Recipe,
    data: Dataset,
    steps: Mapping[str, Path],
    converted: Path,
    verified: Path,
    stages: list[dict[str, Any]],
) -> dict[str, Any]:
    """The build document of CONTRACTS.md, with what the report shows beside it.

    steps: the .keras file that each left. converted, verified: the folders of those stages. stages:
    what each took.
    """
    records = [json.loads((steps[step].parent / "step.json").read_text()) for step in recipe.steps]
    floats = json.loads((verified / "float.json").read_text())
    final = json.loads((verified / "model.json").read_text())
    model = (converted / "model.tflite").read_bytes()
    graph = read_graph(model)
    # Where int8 was repaired with layers in float, it is not called int8.
    partly = recipe.quantize.mode in INTEGERS and graph.precision == "mixed"
    final["quantization"] = "mixed" if partly else recipe.quantize.mode
    final["macs"] = graph.macs
    final["bundle_bytes"] = packed_bytes(model) if shrinks(recipe) else len(model)
    names = {sample.sha256: sample.name for sample in data.test}
    for mistake in (*floats["mistakes"], *final["mistakes"]):
        mistake["name"] = names[mistake["sha256"]]  # a reused stage may know an older one
    right = [np.load(verified / f"{name}-right.npy") for name in ("float", "model")]
    lost, won = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    document = {
        "schema": "edge-sdk/build/1",
        "name": recipe.name,
        "version": recipe.version,
        "recipe_sha256": recipe.sha256,
        "recipe": recipe.as_dict(),
        "labels": list(data.labels),
        "dataset": {
            "source": recipe.data.source,
            "n_train": len(data.train),
            "n_val": len(data.val),
            "n_test": len(data.test),
            "sha256": data.sha256,
            "unreadable": list(data.unreadable),
            "duplicates": data.duplicates,
            "across_parts": data.across,
            "compared": data.compared,
            "near_duplicates": [asdict(pair) for pair in data.near[:MAX_PAIRS]],
            "left_out": [str(path) for path in data.left_out[:MAX_PAIRS]],
            "per_class": data.per_class,
            "train_sha256_prefixes": pack_prefixes(data.train),
        },
        "stages": stages,
        "steps": [
            {"name": name, **_measured(recipe, name, converted, verified), "note": left["note"]}
            for name, left in zip(recipe.steps, records, strict=True)
        ],
        "float": floats,
        "converted": final,
        "accuracy_loss": floats["accuracy"] - final["accuracy"],
        "accuracy_loss_interval": paired_difference(lost, won, final["n"]).as_list(),
        "changed_answers": {"lost": lost, "won": won},
        "warnings": [*warnings(data), *doubts(final["correct"], _counts(final))],
        "left_in_float": list(graph.left_in_float) if recipe.quantize.mode in INTEGERS else [],
        "agreement": json.loads((converted / "agreement.json").read_text()),
        "history": joined([left["history"] for left in records]) if records else None,
        "budget": asdict(recipe.budget),
        "tries": [],
        "worst_layers": json.loads((converted / "worst_layers.json").read_text()),
        "versions": {"python": platform.python_version(), **versions()},
    }
    document["passed"] = not exceeded(recipe, document)
    return document


def shrinks(recipe: Recipe) -> bool:
    """Whether the model is worth compressing in the bundle: its weights repeat."""
    zeros = "prune" in recipe.steps and recipe.prune.unit == "weights"
    return zeros or "cluster" in recipe.steps


def float_models(recipe: Recipe) -> dict[str, str]:
    """{name: step} of the models that a build has in float32; the step that left it, "" for the
    file that the recipe starts from. "float" is the last that nothing has compressed: what a build
    loses is counted from there.
    """
    plain = list(itertools.takewhile(lambda step: step not in COMPRESSING, recipe.steps))
    reference = plain[-1] if plain else ""
    others = [step for step in recipe.steps if step not in (reference, "qat")]
    return {"float": reference, **{f"step-{step}": step for step in others}}


def _measured(recipe: Recipe, step: str, converted: Path, verified: Path) -> dict[str, Any]:
    """Accuracy, bytes and MACs of what a step left, in float32; of qat, as it is converted."""
    names = {step: name for name, step in float_models(recipe).items()}
    name = names.get(step, "model")
    found = json.loads((verified / f"{name}.json").read_text())
    graph = read_graph((converted / f"{name}.tflite").read_bytes())
    return {"accuracy": found["accuracy"], "bytes": found["bytes"], "macs": graph.macs}


def outcome(found: Evaluation, size: int) -> dict[str, Any]:
    """What the record says of a model of `size` bytes after its evaluation."""
    return {
        "accuracy": found.accuracy,
        "correct": found.correct,
        "n": found.n,
        "interval": found.interval.as_list(),
        "bytes": size,
        "macro_f1": found.macro_f1,
        "per_class": {label: asdict(score) for label, score in found.per_class.items()},
        "confusion": found.confusion.tolist() if len(found.labels) <= MAX_MATRIX else None,
        "confusions": found.confusions,
        "mistakes": [asdict(mistake) for mistake in found.mistakes],
    }


def energy(board: Board | None, macs: int) -> dict[str, Any]:
    """The MODEL energy of one inference on `target.board`, or why there is none."""
    estimate = energy_model(board, macs) if board else None
    return {
        "energy_model": estimate.as_dict() if estimate else None,
        "energy_model_because": (estimate.because or None) if estimate else None,
    }


def exceeded(recipe: Recipe, document: dict[str, Any]) -> list[str]:
    """One line for each limit that the build exceeds."""
    budget, found = recipe.budget, document["converted"]
    lines = []
    if accuracy_exceeded(recipe, document["float"], found):
        lines.append(
            f"accuracy loss {document['accuracy_loss']:.4f} exceeds {budget.accuracy_loss:g} "
            f"(float {document['float']['accuracy']:.4f}, converted {found['accuracy']:.4f}, "
            f"{found['n']} test images)"
        )
    if budget.bytes is not None and found["bytes"] > budget.bytes:
        lines.append(f"model.tflite has {found['bytes']} bytes, the budget is {budget.bytes}")
    return lines


def accuracy_exceeded(
    recipe: Recipe, floats: Mapping[str, Any], converted: Mapping[str, Any]
) -> bool:
    """Whether `converted` loses more than the budget; both are outcomes on the same images."""
    # Counted in images: 0.99 - 0.98 is a little more than 0.01 in floating point.
    lost = floats["correct"] - converted["correct"]
    return bool(lost > recipe.budget.accuracy_loss * converted["n"] + 1e-9)


def _counts(outcome: dict[str, Any]) -> list[int]:
    """Test images of each class."""
    return [one["n"] for one in outcome["per_class"].values()]


def portable(document: dict[str, Any]) -> dict[str, Any]:
    """The record as it travels: without durations, so that the same build gives the same bytes,
    and without the names of files, which are nobody's business on a device. Of those that were
    unreadable it keeps how many.
    """
    record = {key: value for key, value in document.items() if key != "stages"}
    final = record["converted"]
    record["warnings"] = doubts(final["correct"], _counts(final))
    unreadable = len(record["dataset"]["unreadable"])
    record["dataset"] = {
        **{k: v for k, v in record["dataset"].items() if k not in ("near_duplicates", "left_out")},
        "unreadable": [f"{unreadable} files"] if unreadable else [],
        "source": _without_folders(record["dataset"]["source"]),
    }
    record["recipe"] = {
        key: {k: _without_folders(v) for k, v in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in record["recipe"].items()
    }
    for side in ("float", "converted"):
        record[side] = {k: v for k, v in record[side].items() if k != "mistakes"}
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
