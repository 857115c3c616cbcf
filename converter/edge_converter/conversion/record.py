"""The record of a conversion, and what people see of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_converter.builder.build import BuildReport
from edge_converter.builder.packing import Contents, Origin
from edge_converter.builder.record import outcome
from edge_converter.builder.stage_cache import versions
from edge_converter.conversion.source_model import Opened
from edge_converter.quantize.to_tflite import Agreement
from edge_converter.recipe.loading import Recipe
from edge_sdk.evaluation.result import Evaluation
from edge_sdk.formatting import share, size, table
from edge_sdk.statistics import paired_difference
from edge_sdk.tflite.graph import read_graph


@dataclass(frozen=True)
class Converted:
    """What a model became. floats: the same in float32, b"" where nothing was converted.

    agreement: of each with the model that was given, by name. left_in_float: kinds of operators.
    """

    model: bytes
    floats: bytes = b""
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    left_in_float: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Accuracy on the user's own images, none of which calibrated. floats: None where nothing
    was converted.
    """

    model: Evaluation
    floats: Evaluation | None


def conversion_document(
    opened: Opened,
    converted: Converted,
    recipe: Recipe,
    contents: Contents,
    dataset: dict[str, Any] | None,
    measured: Measured | None,
    origin: Origin,
    *,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """The build document of a bundle that `convert` packs. It travels: no names of files. warnings:
    what whoever uses the bundle should know, too.
    """
    graph = read_graph(converted.model)
    sides = {
        side: _outcome(blob, getattr(measured, side, None))
        for side, blob in (("floats", converted.floats), ("model", converted.model))
    }
    changed = bool(converted.floats)
    return {
        "schema": "edge-sdk/build/1",
        "name": contents.name,
        "version": contents.version,
        "recipe_sha256": recipe.sha256 if changed else None,
        "recipe": recipe.as_dict() if changed else None,
        "source_sha256": opened.sha256,
        "source_format": opened.format,
        "labels": list(contents.labels),
        "dataset": dataset,
        "stages": [],
        "steps": [],
        "float": sides["floats"] if changed else None,
        "converted": sides["model"] | {"quantization": graph.precision},
        **_loss(measured),
        "agreement": {name: found.as_dict() for name, found in converted.agreement.items()},
        "warnings": list(warnings),
        "left_in_float": list(converted.left_in_float),
        "budget": None,
        "passed": True,
        "tries": [],
        "worst_layers": [],
        "golden": origin,
        "macs": graph.macs,
        "versions": {"python": platform.python_version(), **versions()},
    }


def describe(report: BuildReport) -> str:
    """The document for people."""
    document = report.document
    before, after = document["float"], document["converted"]
    rows = []
    if before is not None:
        rows.append(["float model", size(before["bytes"])])
        rows.append([f"{after['quantization']} model", size(after["bytes"])])
    else:
        rows.append(["model", size(after["bytes"])])
    for kind, side in (("float", before), (after["quantization"], after)):
        if side is not None and side["accuracy"] is not None:
            low, high = side["interval"]
            rows.append(
                [
                    f"{kind} accuracy",
                    f"{share(side['accuracy'])} ({side['correct']} of {side['n']})",
                ]
            )
            rows.append(["", f"95 % interval {share(low)} to {share(high)}"])
    if document["accuracy_loss"] is not None:
        rows.append(["accuracy loss", f"{100 * document['accuracy_loss']:.2f} points"])
    rows += [
        [f"agreement, {name}", f"same best class in {share(found['same_class'], 1)}"]
        for name, found in document["agreement"].items()
    ]
    return table([*rows, ["bundle", str(report.bundle)]])


def _outcome(blob: bytes, found: Evaluation | None) -> dict[str, Any]:
    if found is None:
        return {"accuracy": None, "bytes": len(blob)}
    # Mistakes name the user's images.
    return {k: v for k, v in outcome(found, len(blob)).items() if k != "mistakes"}


def _loss(measured: Measured | None) -> dict[str, Any]:
    if measured is None or measured.floats is None:
        return {"accuracy_loss": None}
    before, after = measured.floats, measured.model
    lost = int(np.sum(before.right & ~after.right))
    won = int(np.sum(after.right & ~before.right))
    return {
        "accuracy_loss": before.accuracy - after.accuracy,
        "accuracy_loss_interval": paired_difference(lost, won, after.n).as_list(),
        "changed_answers": {"lost": lost, "won": won},
    }
