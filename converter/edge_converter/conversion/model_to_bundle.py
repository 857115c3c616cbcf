"""The road from a model of the user's own to a bundle."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from edge_converter.builder.build import BuildReport
from edge_converter.builder.packing import (
    Contents,
    labels_text,
    make_golden,
    manifest_for,
)
from edge_converter.builder.record import json_bytes
from edge_converter.conversion.accuracy import dataset_entry, measure
from edge_converter.conversion.golden_coverage import showing
from edge_converter.conversion.metadata import labels_for, preprocessing
from edge_converter.conversion.options import ConvertOptions
from edge_converter.conversion.readers.keras import open_keras
from edge_converter.conversion.readers.onnx import onnx_answers, open_onnx
from edge_converter.conversion.readers.saved_model import open_saved_model
from edge_converter.conversion.readers.tflite import open_tflite, quantize_tflite
from edge_converter.conversion.record import Converted, conversion_document
from edge_converter.conversion.request import Request, check_request
from edge_converter.conversion.sample_images import Images, look, synthetic
from edge_converter.conversion.source_model import Opened, Say
from edge_converter.quantize.to_tflite import AGREEMENT_SAMPLES, check_agreement, convert_model
from edge_converter.recipe.loading import Recipe
from edge_converter.training.batches import stack
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.errors import EdgeError, FileError
from edge_sdk.model.postprocess import Activation, Postprocess
from edge_sdk.tasks import task_of
from edge_sdk.tasks.detector import thresholds
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.probabilities import ends_in_probabilities

_WORKING = ".edge-sdk-convert-"


def convert(
    model: str | Path,
    options: ConvertOptions | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    say: Say = lambda _: None,
) -> BuildReport:
    """Pack `model` into the bundle `out` (default NAME-VERSION.edge in the current folder): a
    .tflite as it is, or quantized; .keras, .h5, a SavedModel folder and .onnx converted, to int8
    unless options.quantize says otherwise.

    data: a folder of any images, unlabelled, for calibration and golden samples. Where they lie
    in class folders, accuracy is measured on those that did not calibrate, and nothing is gated.
    Normalisation comes from the options, else from the model's metadata, else, for int8 and uint8,
    from pixels 0..255 laid onto the tensor's range. Raises ConfigError, FileError, ModelError,
    DataError, TrainingError, MissingPackage, NotAvailableYet.
    """
    options = options or ConvertOptions()
    request = check_request(
        Path(model), options, Path(data) if data else None, Path(out) if out else None, say
    )
    if request.mode is None:
        return _pack(request, open_tflite(request.path, options), None)
    with _working(request.bundle) as (working, log):
        return _pack(request, _open(request, working, log), (working, log))


def _open(request: Request, working: Path, log: Path) -> Opened:
    path, options, say = request.path, request.options, request.say
    if request.kind == "tflite":
        return open_tflite(path, options)
    if request.kind == "keras":
        return open_keras(path, options, working, say)
    if request.kind == "onnx":
        return open_onnx(path, options, working, log, say)
    return open_saved_model(path, options, working, say)


def _pack(request: Request, opened: Opened, places: tuple[Path, Path] | None) -> BuildReport:
    """places: the folder to convert in, and the log; None packs the .tflite as it is."""
    say, options = request.say, request.options
    preprocess = preprocessing(opened.tensor, opened.metadata, options, opened.path, say)
    images = look(request.data, say, calibrate=request.calibrates) if request.data else Images()
    folders = images.labelled.labels if images.labelled and not opened.detector else ()
    labels = labels_for(opened.classes, opened.metadata, options, folders, say)
    recipe = request.recipe(opened.tensor, preprocess)
    converted = Converted(opened.blob)
    if places is not None:
        converted = _converted(request, opened, recipe, images, *places)
    contents = Contents(
        *(request.name, options.version, labels, preprocess),
        postprocess=_postprocess(opened, options, labels, converted.model),
        roles=opened.detector.roles if opened.detector else ("scores",),
        task=options.task,
    )
    golden, origin = make_golden(
        converted.model, preprocess, images.all, "data" if request.data else "synthetic"
    )
    manifest = manifest_for(converted.model, contents, golden, origin)
    warnings = showing(manifest, labels, golden)
    for line in warnings:
        say(f"warning: {line}")
    measured = measure(converted, contents, images.labelled, say)
    dataset = dataset_entry(request.data, images, measured)
    document = conversion_document(
        *(opened, converted, recipe, contents, dataset, measured, origin), warnings=warnings
    )
    write_bundle(
        request.bundle,
        manifest,
        {
            "model.tflite": converted.model,
            "labels.txt": labels_text(labels),
            "golden.npz": golden.to_npz(),
            "build.json": json_bytes(document),
        },
    )
    return BuildReport(document, request.bundle, request.bundle.parent)


def _postprocess(
    opened: Opened, options: ConvertOptions, labels: Sequence[str], model: bytes
) -> Postprocess:
    """What the model needs, with the thresholds that were asked for. Raises ModelError for one of
    no label.
    """
    if opened.detector is None:
        activation: Activation = "none" if ends_in_probabilities(read_graph(model)) else "softmax"
        return Postprocess(activation, options.min_score or 0.0)
    least = task_of(options).min_score if options.min_score is None else options.min_score
    thresholds(labels, least, options.min_scores)
    post = opened.detector.postprocess
    return replace(post, min_score=least, min_scores=options.min_scores)


def _converted(
    request: Request,
    opened: Opened,
    recipe: Recipe,
    images: Images,
    working: Path,
    log: Path,
) -> Converted:
    """The model converted in `working`, held against the one that was given. Raises
    TrainingError where they do not agree.
    """
    _, height, width, _ = opened.tensor.shape
    assert recipe.preprocess is not None
    checks = images.others or images.calibration
    if not checks:
        checks = synthetic(recipe.preprocess, height, width)
    calibration = images.calibration or checks[:1]
    request.say(f"converting to {request.mode}")
    if opened.handed is None:
        agreement = quantize_tflite(opened, recipe, calibration, checks, working, log)
    else:
        agreement = convert_model(recipe, opened.handed, calibration, checks, working, log)
    if opened.onnx is not None:
        samples = stack(checks[:AGREEMENT_SAMPLES], recipe)
        reference = onnx_answers(opened.onnx, samples, working, log)
        agreement["onnx"] = check_agreement(
            working / "float.tflite", "float32", samples, reference, given="ONNX Runtime"
        )
    model, floats = ((working / f"{name}.tflite").read_bytes() for name in ("model", "float"))
    left = read_graph(model).left_in_float if request.calibrates else ()
    if left:
        request.say(f"warning: left in float: {', '.join(left)}")
    return Converted(model, floats, agreement, left)


@contextmanager
def _working(bundle: Path) -> Iterator[tuple[Path, Path]]:
    """A folder beside the bundle that goes away again, and a log that stays after a failure."""
    log = bundle.with_name(f"{bundle.stem}.convert.log")
    try:
        bundle.parent.mkdir(parents=True, exist_ok=True)
        with (
            _swept(bundle.parent),
            tempfile.TemporaryDirectory(dir=bundle.parent, prefix=_WORKING) as working,
        ):
            yield Path(working), log
    except EdgeError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot write in {bundle.parent}: {error.strerror or error}",
            fix="free some space, or name another place with --out",
        ) from error
    log.unlink(missing_ok=True)


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Take away what conversions that were killed left in `folder`. Whoever works there holds a
    shared lock on it; so none does where the exclusive one can be had.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for old in folder.glob(f"{_WORKING}*"):
                shutil.rmtree(old, ignore_errors=True)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
