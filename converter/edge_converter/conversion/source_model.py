"""A model of the user's that was looked at: what it takes, and what converts it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_converter.conversion.detectors import DetectorOutputs
from edge_converter.conversion.options import ConvertOptions
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.metadata import ModelMetadata

Say = Callable[[str], None]
Shape = Sequence[int | None]


@dataclass(frozen=True)
class Opened:
    """A classifier or detector. tensor: its input, [1, height, width, channels]; classes: how many
    it tells apart; sha256: of the user's file, or of all files of a SavedModel. detector: what its
    outputs are, None of a classifier.

    blob: the file, of a .tflite. handed: what the conversion's own process loads, of all others: a
    .keras file, or a pointer to a SavedModel. onnx: the .onnx file that the SavedModel came from.
    """

    path: Path
    format: str
    sha256: str
    tensor: TensorSpec
    classes: int
    metadata: ModelMetadata = field(default_factory=ModelMetadata)
    blob: bytes = b""
    handed: Path | None = None
    onnx: Path | None = None
    notes: tuple[str, ...] = ()
    detector: DetectorOutputs | None = None


def fixed_shape(
    path: Path, shape: Shape, options: ConvertOptions, say: Say
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
        say(f"input: {shown}, fixed to {[1, *found]}")
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
