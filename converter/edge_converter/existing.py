"""`convert`: a .tflite model of the user's own, packed unchanged, with what is known about it."""

from __future__ import annotations

import hashlib
import math
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_converter.building import BuildReport, check_place
from edge_converter.packing import Contents, Origin, labels_text, make_golden, manifest_for
from edge_converter.record import json_bytes
from edge_converter.stages import versions
from edge_sdk.bundle import write_bundle
from edge_sdk.engines.isolated import try_model
from edge_sdk.errors import ConfigError, DataError, ImageError, ModelError, NotAvailableYet
from edge_sdk.files import read_file
from edge_sdk.frames import Color
from edge_sdk.images import list_images, read_image
from edge_sdk.manifest import check_name
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.sources import Picture
from edge_sdk.tasks.classify import Activation
from edge_sdk.tflite.graph import Graph, read_graph
from edge_sdk.tflite.metadata import ModelMetadata, read_metadata

MOST_MODEL_BYTES = 200 * 1024 * 1024
_PROBABILITIES = ("SOFTMAX", "LOGISTIC")
_PASSED_THROUGH = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE")


@dataclass(frozen=True)
class ConvertOptions:
    """What the user says about the model; None or empty: take it from the file."""

    task: Literal["classify", "sequence", "detect"] = "classify"
    labels: Path | None = None
    color: Color | None = None
    fit: Literal["stretch", "crop", "letterbox"] = "crop"
    resize: Literal["linear", "area"] = "linear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    name: str = ""
    version: str = "1.0.0"


def convert(
    model: str | Path,
    options: ConvertOptions = ConvertOptions(),
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> BuildReport:
    """Pack `model` (.tflite; int8, uint8 or float) into the bundle `out` (default
    NAME-VERSION.edge in the current folder). data: a folder of any pictures, unlabelled, for the
    golden samples.

    Normalisation comes from the options, else from the model's metadata, else, for int8 and uint8,
    from pixels 0..255 laid onto the tensor's range. Raises ConfigError, FileError, ModelError,
    DataError, NotAvailableYet.
    """
    path = Path(model)
    if path.suffix.lower() in (".keras", ".h5", ".onnx") or (path / "saved_model.pb").exists():
        raise NotAvailableYet(
            f"converting {path.name} is not available yet", fix="name a .tflite model"
        )
    if options.task != "classify":
        raise NotAvailableYet(
            f"task {options.task!r} is not available yet", fix="use --task classify"
        )
    blob = read_file(path, what=".tflite model", most_bytes=MOST_MODEL_BYTES)
    graph = read_graph(blob)
    _check_not_compiled(graph, path)
    try_model("litert", blob)
    _check_classifier(graph, path)
    metadata = read_metadata(blob, graph)
    preprocess = _preprocess(graph, metadata, options, path, say)
    labels = _labels(graph, metadata, options, say)
    name = options.name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")[:64] or "model"
    check_name(name, options.version, "convert")
    contents = Contents(name, options.version, labels, preprocess, activation=_activation(graph))
    bundle = Path(out) if out is not None else Path(f"{name}-{options.version}.edge")
    check_place(bundle)
    origin: Origin = "data" if data is not None else "synthetic"
    pictures = _pictures(Path(data), say) if data is not None else []
    golden, origin = make_golden(blob, preprocess, pictures, origin)
    manifest = manifest_for(blob, contents, golden, origin)
    document = _document(blob, graph, contents, origin)
    write_bundle(
        bundle,
        manifest,
        {
            "model.tflite": blob,
            "labels.txt": labels_text(labels),
            "golden.npz": golden.to_npz(),
            "build.json": json_bytes(document),
        },
    )
    return BuildReport(document, bundle, bundle.parent)


def parse_options(
    *,
    mean: str | None,
    std: str | None,
    quantize: str | None,
    io: str | None,
    preset: str | None,
    **plain: Any,
) -> ConvertOptions:
    """The command line's options. Raises ConfigError, NotAvailableYet."""
    for key, value in (("quantize", quantize), ("io", io), ("preset", preset)):
        if value is not None:
            raise NotAvailableYet(f"--{key} {value} is not available yet", fix=f"leave --{key} out")
    return ConvertOptions(mean=_numbers("--mean", mean), std=_numbers("--std", std), **plain)


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise ConfigError(
            f"{option} is {text!r}", fix=f"write {option} 127.5, or one number a channel: 1,2,3"
        ) from error


def _check_not_compiled(graph: Graph, path: Path) -> None:
    if any("edgetpu-custom-op" in operator.name for operator in graph.operators):
        raise ModelError(
            f"{path} is compiled for the Edge TPU",
            fix="name the .tflite file that it was compiled from",
        )


def _check_classifier(graph: Graph, path: Path) -> None:
    inputs, outputs = graph.input_specs, graph.output_specs
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[0] != 1:
        shapes = ", ".join(str(list(spec.shape)) for spec in inputs)
        raise ModelError(
            f"{path} takes {shapes}, not one picture [1, height, width, channels]",
            fix="name an image classifier with a batch of 1",
        )
    scores = math.prod(outputs[0].shape) if len(outputs) == 1 else 0
    if scores < 2 or outputs[0].shape[-1] != scores:
        shapes = ", ".join(str(list(spec.shape)) for spec in outputs)
        raise ModelError(
            f"{path} answers {shapes}, not one row of scores",
            fix="name an image classifier; detectors are not available yet",
        )


def _preprocess(
    graph: Graph,
    metadata: ModelMetadata,
    options: ConvertOptions,
    path: Path,
    say: Callable[[str], None],
) -> PreprocessSpec:
    spec = graph.input_specs[0]
    color: Color = options.color or ("gray" if spec.shape[3] == 1 else "rgb")
    if bool(options.mean) != bool(options.std):
        raise ConfigError("only one of --mean and --std was given", fix="give both")
    if options.mean:
        mean, std, whence = options.mean, options.std, "options"
        if metadata.mean and (mean, std) != (metadata.mean, metadata.std):
            say(
                f"warning: the model's metadata says mean {list(metadata.mean)}, "
                f"std {list(metadata.std)}"
            )
    elif metadata.mean and metadata.std:
        mean, std, whence = metadata.mean, metadata.std, "the model's metadata"
    elif spec.quant is not None and spec.quant.scale > 0:
        # stored = pixel + low, so fed = scale * (pixel + low - zero_point)
        low = -128 if spec.dtype == "int8" else 0
        mean, std = (float(spec.quant.zero_point - low),), (1 / spec.quant.scale,)
        whence = f"pixels 0..255 onto {spec.dtype}"
    elif spec.dtype == "uint8":
        mean, std, whence = (0.0,), (1.0,), "pixels 0..255 as they are"
    else:
        raise ConfigError(
            f"{path} is a float model and does not say how pixels are normalised",
            fix="add --mean and --std, e.g. --mean 127.5 --std 127.5 for -1..1, "
            "--mean 0 --std 255 for 0..1",
        )
    say(f"normalisation: mean {list(mean)}, std {list(std)} (from {whence})")
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ConfigError(
            f"mean {list(mean)}, std {list(std)} do not make numbers of pixels",
            fix="give --mean, and --std above 0",
        )
    return PreprocessSpec(color, options.fit, options.resize, tuple(mean), tuple(std))


def _labels(
    graph: Graph, metadata: ModelMetadata, options: ConvertOptions, say: Callable[[str], None]
) -> tuple[str, ...]:
    count = graph.output_specs[0].shape[-1]
    if options.labels is not None:
        text = read_file(options.labels, what="labels file", most_bytes=16 * 1024 * 1024)
        try:
            labels = tuple(line.strip() for line in text.decode("utf-8-sig").splitlines())
        except UnicodeDecodeError as error:
            raise DataError(f"{options.labels} is not UTF-8", fix="save it as UTF-8") from error
        if len(labels) != count:
            raise DataError(
                f"{options.labels} has {len(labels)} labels, the model has {count} scores",
                fix=f"give {count} lines, one label each, in the model's order",
            )
        return labels
    if len(metadata.labels) == count:
        say(f"labels: {count} from the model's metadata")
        return metadata.labels
    found = f"{len(metadata.labels)} labels for {count} scores" if metadata.labels else "no labels"
    say(f"warning: {found} found, classes are called 0 to {count - 1}; name them with --labels")
    return tuple(str(index) for index in range(count))


def _activation(graph: Graph) -> Activation:
    """ "none" where the model ends in probabilities, else "softmax" (on its logits)."""
    for operator in reversed(graph.operators):
        if operator.name not in _PASSED_THROUGH:
            return "none" if operator.name in _PROBABILITIES else "softmax"
    return "softmax"


def _pictures(folder: Path, say: Callable[[str], None]) -> list[Picture]:
    """Readable pictures below `folder`: enough of them for the golden samples."""
    found = list_images(folder, recursive=True)
    if not found:
        raise DataError(f"{folder} holds no pictures", fix="name a folder with pictures in it")
    pictures = []
    for path in found[:100]:
        try:
            read_image(path)
        except ImageError as error:
            say(f"warning: skipped: {error}")
            continue
        pictures.append(Picture(0, str(path), path=path))
    if len(pictures) < 10:
        say(f"warning: {len(pictures)} readable pictures, 10 needed: golden samples are synthetic")
    return pictures


def _document(blob: bytes, graph: Graph, contents: Contents, origin: Origin) -> dict[str, Any]:
    return {
        "schema": "edge-sdk/build/1",
        "name": contents.name,
        "version": contents.version,
        "recipe_sha256": None,
        "source_sha256": hashlib.sha256(blob).hexdigest(),
        "labels": list(contents.labels),
        "dataset": None,
        "stages": [],
        "steps": [],
        "float": None,
        "converted": {"accuracy": None, "bytes": len(blob), "quantization": graph.precision},
        "accuracy_loss": None,
        "budget": None,
        "passed": True,
        "tries": [],
        "worst_layers": [],
        "golden": origin,
        "macs": graph.macs,
        "versions": {"python": platform.python_version(), **versions()},
    }
