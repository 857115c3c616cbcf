"""A model of the user's that was looked at: what it takes, and what converts it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_converter.conversion.detectors import DetectorOutputs
from edge_converter.conversion.options import ConvertOptions
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.events import Event, Listener
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.metadata import ModelMetadata

Shape = Sequence[int | None]


@dataclass(frozen=True)
class SourceModel:
    """A classifier or detector. tensor: its input, [1, height, width, channels]; classes: how many
    it tells apart; sha256: of the user's file, or of all files of a SavedModel. detector: what its
    outputs are, None of a classifier.

    blob: the file, of a .tflite. loadable: of all others, the file that the conversion's own
    process loads: a .keras file, or a pointer to a SavedModel. onnx: the .onnx file that the
    SavedModel came from.
    """

    path: Path
    format: str
    sha256: str
    tensor: TensorSpec
    classes: int
    metadata: ModelMetadata = field(default_factory=ModelMetadata)
    blob: bytes = b""
    loadable: Path | None = None
    onnx: Path | None = None
    notes: tuple[str, ...] = ()
    detector: DetectorOutputs | None = None


def fixed_shape(
    path: Path, shape: Shape, options: ConvertOptions, listen: Listener
) -> tuple[int, int, int]:
    """Height, width and channels of the image [batch, height, width, channels] that a model
    takes, any of which may be None. Says where it fixes something.

    Raises ModelError where it is no image, ConfigError where --size is missing or another.
    """
    shown = [None if size is None else int(size) for size in shape]
    if len(shown) != 4:
        raise ModelError(
            f"{path} takes {shown}, not one image [1, height, width, channels]",
            fix="name an image classifier with one input",
        )
    _, height, width, channels = shown
    if channels not in (1, 3):
        raise ModelError(
            f"{path} takes {shown}: the last number must be 1 or 3, the channels of an image",
            fix="name an image classifier that takes [batch, height, width, channels]",
        )
    if options.size is None and None in (height, width):
        raise ConfigError(
            f"{path} takes images of any size: {shown}",
            fix="add --size WIDTHxHEIGHT, the size it was trained on, e.g. --size 224x224",
        )
    wanted = (height, width) if options.size is None else options.size[::-1]
    if any(had not in (None, size) for had, size in zip((height, width), wanted, strict=True)):
        raise ConfigError(
            f"{path} takes images of {width}x{height}, --size says {wanted[1]}x{wanted[0]}",
            fix="leave --size out",
        )
    found = (wanted[0], wanted[1], channels)
    if shown != [1, *found]:
        listen(Event("note", "input", f"{shown}, fixed to {[1, *found]}"))
    return found  # type: ignore[return-value]


def scores_of(path: Path, outputs: Sequence[Shape]) -> int:
    """The number of classes, of a model with one output [batch, classes]. Raises ModelError."""
    shown = [[None if size is None else int(size) for size in shape] for shape in outputs]
    if len(shown) != 1 or len(shown[0]) != 2 or (shown[0][1] or 0) < 2:
        raise ModelError(
            f"{path} answers {', '.join(map(str, shown))}, not one row of scores [1, classes]",
            fix="name an image classifier with one output of two classes or more",
        )
    return int(shown[0][1])  # type: ignore[arg-type]


def check_classifier(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], path: Path
) -> None:
    """Raises ModelError unless the model takes one image and answers with one row of scores."""
    check_image(inputs, path)
    scores = math.prod(outputs[0].shape) if len(outputs) == 1 else 0
    if scores < 2 or outputs[0].shape[-1] != scores:
        shapes = ", ".join(str(list(spec.shape)) for spec in outputs)
        raise ModelError(
            f"{path} answers {shapes}, not one row of scores",
            fix="name an image classifier, or add --task detect for a detector",
        )


def check_image(inputs: Sequence[TensorSpec], path: Path) -> None:
    """Raises ModelError unless the model takes one image."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[0] != 1:
        shapes = ", ".join(str(list(spec.shape)) for spec in inputs)
        raise ModelError(
            f"{path} takes {shapes}, not one image [1, height, width, channels]",
            fix="name an image classifier with a batch of 1",
        )


def check_float(path: Path, dtype: Any) -> None:
    """Raises ModelError for an input that is not float32."""
    if str(dtype) != "float32":
        raise ModelError(f"{path} takes {dtype}, not float32", fix="save it with a float32 input")


def input_tensor(shape: tuple[int, int, int]) -> TensorSpec:
    """The float32 input of one image of `shape`."""
    return TensorSpec("image", (1, *shape), "float32")


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file, or of names and contents of all files below a folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        found.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape"))
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
