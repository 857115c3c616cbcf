"""The request to `convert`, checked before anything is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_converter.builder.preflight import check_bundle_path
from edge_converter.conversion.options import ConvertOptions
from edge_converter.datasets.model_input import ModelInput
from edge_converter.quantize.job import ConversionJob
from edge_converter.quantize.to_tflite import CALIBRATED
from edge_converter.recipe.schema import Io, Mode
from edge_sdk.bundle.manifest import check_name
from edge_sdk.errors import ConfigError, FileError, ModelError, NotAvailableYet
from edge_sdk.events import Listener
from edge_sdk.files import is_folder, reading
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tasks import task_of
from edge_sdk.tensors import TensorSpec

Kind = Literal["tflite", "keras", "saved_model", "onnx"]
FORMATS = "a .tflite, .keras, .h5 or .onnx file, or a SavedModel folder"
_SUFFIXES: dict[str, Kind] = {
    ".tflite": "tflite",
    ".keras": "keras",
    ".h5": "keras",
    ".onnx": "onnx",
}


@dataclass(frozen=True)
class Request:
    """mode: None packs a .tflite as it is. data: the folder of images, if any."""

    path: Path
    kind: Kind
    mode: Mode | None
    io: Io
    options: ConvertOptions
    data: Path | None
    name: str
    bundle: Path
    listen: Listener

    @property
    def calibrates(self) -> bool:
        """True where the conversion calibrates on images."""
        return self.mode in CALIBRATED

    def job(self, tensor: TensorSpec, preprocess: PreprocessSpec) -> ConversionJob:
        """The conversion that was asked for. tensor: the model's input."""
        model_input = ModelInput(tensor.shape[1:], preprocess)
        return ConversionJob(model_input, self.mode or "float32", self.io)


def check_request(
    path: Path, options: ConvertOptions, data: Path | None, out: Path | None, listen: Listener
) -> Request:
    """Raises ConfigError, FileError, ModelError, NotAvailableYet."""
    if task_of(options).sequential:
        raise NotAvailableYet(
            "sequence classifiers cannot be converted yet", fix="use --task classify or detect"
        )
    kind = _kind(path)
    _check_unused(kind, options)
    mode = options.quantize or (None if kind == "tflite" else "int8")
    io = _io(mode, options)
    if mode in CALIBRATED and data is None:
        raise ConfigError(
            f"{mode} needs images to calibrate with",
            fix="add --data DIR, images as the camera sees them, or use --quantize float16, "
            "dynamic or float32",
        )
    name = options.name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().stem).strip("._-")[:64]
    name = name or "model"
    check_name(name, options.version, "convert")
    bundle = out or Path(f"{name}-{options.version}.edge")
    check_bundle_path(bundle)
    return Request(path, kind, mode, io, options, data, name, bundle, listen)


def _kind(path: Path) -> Kind:
    if is_folder(path):
        if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
            return "saved_model"
        raise FileError(f"{path} is a folder without a saved_model.pb", fix=f"name {FORMATS}")
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is not None:
        return kind
    with reading(path, what="model file"), path.open("rb") as file:
        if file.read(8)[4:] == b"TFL3":
            return "tflite"
    raise ModelError(
        f"{path} is not a model that can be converted",
        fix=f"name {FORMATS}; from PyTorch, torch.onnx.export makes an .onnx file",
    )


def _check_unused(kind: Kind, options: ConvertOptions) -> None:
    if options.size is not None and kind == "tflite":
        raise ConfigError("--size does not apply to a .tflite", fix="leave --size out")
    if task_of(options).finds_objects and (kind != "tflite" or options.quantize is not None):
        raise NotAvailableYet(
            "detectors are packed as they are, from a .tflite", fix="name one, without --quantize"
        )
    if options.min_scores and "min_scores" not in task_of(options).keys:
        raise ConfigError("--min-score LABEL=X applies only to a detector", fix="add --task detect")
    if options.signature and kind != "saved_model":
        raise ConfigError("--signature applies only to a SavedModel", fix="leave --signature out")


def _io(mode: Mode | None, options: ConvertOptions) -> Io:
    """The type of the model's input and output. Raises ConfigError for one that the mode lacks."""
    if mode is None and options.io is not None:
        raise ConfigError(
            "--io does not apply to a .tflite that is packed as it is",
            fix="leave --io out, or add --quantize int8",
        )
    if mode != "int8" and options.io not in (None, "float32"):
        raise ConfigError(
            f"--io is {options.io}, but {mode} has float32 inputs and outputs",
            fix="leave --io out, or use --quantize int8",
        )
    return options.io or ("int8" if mode == "int8" else "float32")
