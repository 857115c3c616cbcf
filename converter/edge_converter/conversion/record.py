"""The record of a conversion, and what people see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_converter.builder.build_report import BuildReport
from edge_converter.builder.packing import BundleContents, Origin
from edge_converter.builder.record import add_loss, evaluation_entry, record
from edge_converter.conversion.request import Request
from edge_converter.conversion.source_model import SourceModel
from edge_converter.quantize.to_tflite import Agreement
from edge_converter.recipe.schema import Data, Input, Model, Quantize, RecipeTables
from edge_sdk.documents.build import Build, BuildDataset, Outcome
from edge_sdk.evaluation.result import Evaluation
from edge_sdk.formatting import share, size, table
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.graph import read_graph


@dataclass(frozen=True)
class ConvertedModel:
    """The result of a conversion. floats: the same in float32, b"" where nothing was converted.

    agreement: of each with the model that was given, by name. left_in_float: kinds of operators.
    """

    model: bytes
    floats: bytes = b""
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    left_in_float: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccuracyPair:
    """Accuracy on the user's own images, none of which calibrated. floats: None where nothing
    was converted.
    """

    model: Evaluation
    floats: Evaluation | None


def conversion_document(
    request: Request,
    source: SourceModel,
    converted: ConvertedModel,
    contents: BundleContents,
    dataset: BuildDataset | None,
    measured: AccuracyPair | None,
    origin: Origin,
    *,
    warnings: Sequence[str] = (),
) -> Build:
    """The build document of a bundle that `convert` packs. It travels, so it names no files.
    warnings: for users of the bundle, too.
    """
    changed = bool(converted.floats)
    graph = read_graph(converted.model)
    floats = _outcome(converted.floats, measured.floats if measured else None)
    document = record(
        contents.name,
        contents.version,
        contents.labels,
        recipe=_as_recipe(request, contents, source.tensor) if changed else None,
        dataset=dataset,
        floats=floats if changed else None,
        converted=_outcome(converted.model, measured.model if measured else None),
        quantization=graph.precision,
        macs=graph.macs,
        agreement={name: found.as_dict() for name, found in converted.agreement.items()},
        warnings=warnings,
        left_in_float=converted.left_in_float,
    )
    if measured is not None and measured.floats is not None:
        add_loss(document, measured.floats.right, measured.model.right)
    document["source_sha256"], document["source_format"] = source.sha256, source.format
    document["golden"] = origin
    return document


def _as_recipe(request: Request, contents: BundleContents, tensor: TensorSpec) -> RecipeTables:
    """The recipe without steps that would do the same: it tells the reader of a build document all
    that was asked for. tensor: the model's input.
    """
    given = contents.preprocess
    assert given is not None
    _, height, width, _ = tensor.shape
    return RecipeTables(
        contents.name,
        Data(f"folder:{request.data.resolve().name}" if request.data else "folder:none"),
        Model(f"file:{request.path.resolve().name}"),
        version=contents.version,
        steps=(),
        input=Input(given.color, given.fit, given.resize, given.mean, given.std, width, height),
        quantize=Quantize(mode=request.mode or "float32", io=request.io, repair=()),
    )


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


def _outcome(blob: bytes, found: Evaluation | None) -> Outcome:
    if found is None:
        return {"accuracy": None, "bytes": len(blob)}
    entry = evaluation_entry(found, len(blob))
    del entry["mistakes"]  # they name the user's images
    return entry
