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

from edge_converter.builder.build_report import BuildReport
from edge_converter.builder.packing import (
    BundleContents,
    labels_text,
    make_golden,
    manifest_for,
)
from edge_converter.builder.record import json_bytes
from edge_converter.conversion.accuracy import dataset_entry, measure
from edge_converter.conversion.golden_coverage import coverage_warnings
from edge_converter.conversion.labels import labels_for
from edge_converter.conversion.normalisation import preprocessing
from edge_converter.conversion.options import ConvertOptions
from edge_converter.conversion.readers.keras import open_keras
from edge_converter.conversion.readers.onnx import onnx_answers, open_onnx
from edge_converter.conversion.readers.saved_model import open_saved_model
from edge_converter.conversion.readers.tflite import open_tflite, quantize_tflite
from edge_converter.conversion.record import ConvertedModel, conversion_document
from edge_converter.conversion.request import Request, check_request
from edge_converter.conversion.sample_images import Images, read_images, synthetic
from edge_converter.conversion.source_model import SourceModel
from edge_converter.quantize.job import ConversionJob
from edge_converter.quantize.to_tflite import AGREEMENT_SAMPLES, check_agreement, convert_model
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.errors import EdgeError, FileError
from edge_sdk.events import Event, Listener, ignore
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
    listen: Listener = ignore,
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
        Path(model), options, Path(data) if data else None, Path(out) if out else None, listen
    )
    if request.mode is None:
        return _pack(request, open_tflite(request.path, options), None)
    with _working(request.bundle) as (working, log):
        return _pack(request, _open(request, working, log), (working, log))


def _open(request: Request, working: Path, log: Path) -> SourceModel:
    path, options, listen = request.path, request.options, request.listen
    if request.kind == "tflite":
        return open_tflite(path, options)
    if request.kind == "keras":
        return open_keras(path, options, working, listen)
    if request.kind == "onnx":
        return open_onnx(path, options, working, log, listen)
    return open_saved_model(path, options, working, listen)


def _pack(request: Request, source: SourceModel, places: tuple[Path, Path] | None) -> BuildReport:
    """places: the folder to convert in, and the log; None packs the .tflite as it is."""
    listen, options = request.listen, request.options
    preprocess = preprocessing(source.tensor, source.metadata, options, source.path, listen)
    images = Images()
    if request.data:
        images = read_images(request.data, listen, calibrate=request.calibrates)
    folders = images.labelled.labels if images.labelled and not source.detector else ()
    labels = labels_for(source.classes, source.metadata, options, folders, listen)
    job = request.job(source.tensor, preprocess)
    converted = ConvertedModel(source.blob)
    if places is not None:
        converted = _converted(request, source, job, images, *places)
    contents = BundleContents(
        *(request.name, options.version, labels, preprocess),
        postprocess=_postprocess(source, options, labels, converted.model),
        roles=source.detector.roles if source.detector else ("scores",),
        task=options.task,
    )
    golden, origin = make_golden(
        converted.model, preprocess, images.all, "data" if request.data else "synthetic"
    )
    manifest = manifest_for(converted.model, contents, golden, origin)
    warnings = coverage_warnings(manifest, labels, golden)
    for line in warnings:
        listen(Event("warning", message=line))
    measured = measure(converted, contents, images.labelled, listen)
    dataset = dataset_entry(request.data, images, measured)
    document = conversion_document(
        *(request, source, converted, contents, dataset, measured, origin), warnings=warnings
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
    source: SourceModel, options: ConvertOptions, labels: Sequence[str], model: bytes
) -> Postprocess:
    """The postprocess of the model, with the thresholds that were asked for. Raises ModelError for
    one of no label.
    """
    if source.detector is None:
        activation: Activation = "none" if ends_in_probabilities(read_graph(model)) else "softmax"
        return Postprocess(activation, options.min_score or 0.0)
    least = task_of(options).min_score if options.min_score is None else options.min_score
    thresholds(labels, least, options.min_scores)
    post = source.detector.postprocess
    return replace(post, min_score=least, min_scores=options.min_scores)


def _converted(
    request: Request,
    source: SourceModel,
    job: ConversionJob,
    images: Images,
    working: Path,
    log: Path,
) -> ConvertedModel:
    """The model converted in `working`, held against the one that was given. Raises
    TrainingError where they do not agree.
    """
    height, width, _ = job.input.shape
    assert job.input.preprocess is not None
    checks = images.others or images.calibration
    if not checks:
        checks = synthetic(job.input.preprocess, height, width)
    calibration = images.calibration or checks[:1]
    request.listen(Event("note", message=f"converting to {request.mode}"))
    if source.loadable is None:
        agreement = quantize_tflite(source, job, calibration, checks, working, log)
    else:
        agreement = convert_model(job, source.loadable, calibration, checks, working, log)
    if source.onnx is not None:
        samples = job.input.stack(checks[:AGREEMENT_SAMPLES])
        reference = onnx_answers(source.onnx, samples, working, log)
        agreement["onnx"] = check_agreement(
            working / "float.tflite", "float32", samples, reference, given="ONNX Runtime"
        )
    model, floats = ((working / f"{name}.tflite").read_bytes() for name in ("model", "float"))
    left = read_graph(model).left_in_float if request.calibrates else ()
    if left:
        request.listen(Event("warning", message=f"left in float: {', '.join(left)}"))
    return ConvertedModel(model, floats, agreement, left)


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
