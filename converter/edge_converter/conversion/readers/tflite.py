"""`convert MODEL.tflite`: as it is, or a float model quantized by litert-quantizer."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_converter.conversion.detectors import detector_outputs
from edge_converter.conversion.options import ConvertOptions
from edge_converter.conversion.source_model import (
    SourceModel,
    check_classifier,
    check_image,
    digest,
)
from edge_converter.quantize.job import ConversionJob
from edge_converter.quantize.to_tflite import (
    AGREEMENT_SAMPLES,
    Agreement,
    answers,
    check_agreement,
    pinned,
)
from edge_converter.quantize.worker_pool import run_child
from edge_sdk.data.samples import Sample
from edge_sdk.engines import DEFAULT
from edge_sdk.engines.isolated import try_model
from edge_sdk.errors import ConfigError, MissingPackage, ModelError
from edge_sdk.files import read_file
from edge_sdk.tasks import task_of
from edge_sdk.tflite.graph import Graph, read_graph
from edge_sdk.tflite.metadata import read_metadata

MAX_MODEL_BYTES = 200 * 1024 * 1024
_CHILD = "edge_converter.conversion.readers.tflite_worker"


def open_tflite(path: Path, options: ConvertOptions) -> SourceModel:
    """Read the model, and run it once. Raises FileError, ModelError, ConfigError."""
    blob = read_file(path, what=".tflite model", max_bytes=MAX_MODEL_BYTES)
    graph = read_graph(blob)
    _check_not_compiled(graph, path)
    try_model(DEFAULT, blob)
    opener = _open_detector if task_of(options).finds_objects else _open_classifier
    return opener(path, options, blob, graph)


def _open_classifier(path: Path, options: ConvertOptions, blob: bytes, graph: Graph) -> SourceModel:
    check_classifier(graph.input_specs, graph.output_specs, path)
    if options.quantize is not None:
        _check_quantizable(graph, path, options)
    tensor, classes = graph.input_specs[0], graph.output_specs[0].shape[-1]
    return SourceModel(
        path, "tflite", digest(path), tensor, classes, read_metadata(blob, graph), blob
    )


def _open_detector(path: Path, options: ConvertOptions, blob: bytes, graph: Graph) -> SourceModel:
    check_image(graph.input_specs, path)
    found, metadata = detector_outputs(graph, path, options), read_metadata(blob, graph)
    return SourceModel(
        *(path, "tflite", digest(path), graph.input_specs[0], found.classes, metadata, blob),
        detector=found,
    )


def quantize_tflite(
    source: SourceModel,
    job: ConversionJob,
    calibration: Sequence[Sample],
    checks: Sequence[Sample],
    folder: Path,
    log: Path,
) -> dict[str, Agreement]:
    """Write float.tflite, as it came, and model.tflite, as the job says, into `folder`.

    Returns the agreement of the second with the first. Raises TrainingError, MissingPackage.
    """
    if importlib.util.find_spec("litert_quantizer") is None:
        raise MissingPackage(
            "quantizing a .tflite needs litert-quantizer", fix="pip install litert-quantizer"
        )
    (folder / "float.tflite").write_bytes(source.blob)
    np.save(folder / "calibration.npy", pinned(job.input.stack(calibration), job.input.preprocess))
    (folder / "job.json").write_text(json.dumps({"mode": job.mode, "io": job.io}))
    run_child(folder, log, _CHILD)
    samples = job.input.stack(checks[:AGREEMENT_SAMPLES])
    reference = answers(source.blob, samples)
    found = check_agreement(
        *(folder / "model.tflite", job.mode, samples, reference),
        given="the float model",
    )
    return {"converted": found}


def _check_not_compiled(graph: Graph, path: Path) -> None:
    if any("edgetpu-custom-op" in operator.name for operator in graph.operators):
        raise ModelError(
            f"{path} is compiled for the Edge TPU",
            fix="name the .tflite file that it was compiled from",
        )


def _check_quantizable(graph: Graph, path: Path, options: ConvertOptions) -> None:
    if graph.precision != "float32":
        raise ModelError(
            f"{path} is quantized already: {graph.precision}",
            fix="leave --quantize out, or name the float model that it was made from",
        )
    if options.quantize == "float32":
        raise ConfigError(f"{path} is a float32 model", fix="leave --quantize out")
    if options.io == "uint8":
        raise ConfigError(
            "litert-quantizer cannot make a uint8 input",
            fix="use --io int8 or float32, or name the .keras file or SavedModel",
        )
