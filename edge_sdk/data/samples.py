"""Samples: inputs of a model with the right answer."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DataError
from edge_sdk.frames import Color, Frame
from edge_sdk.images.image_files import read_image
from edge_sdk.images.video import read_clip
from edge_sdk.results import BBox

S = TypeVar("S", bound="Sample")
Value = Frame | tuple[Frame, ...] | NDArray[np.float32]
"""The content of a sample: an image, the frames of a clip, or features (frames, features)."""


@dataclass(frozen=True)
class Truth:
    """An annotated object: its class, and its box in pixels. crowd: a region of many objects."""

    label: int
    box: BBox
    crowd: bool = False


Target = int | tuple[Truth, ...]
"""The right answer: the number of a class, or the objects in an image."""


@dataclass(frozen=True, eq=False)
class Sample(ABC):
    """One input of a model, and the right answer. path: its file, where it has one.

    plural, advice: for error messages, what such samples are and how they are named.
    """

    plural: ClassVar[str]
    advice: ClassVar[str]

    target: Target
    name: str
    path: Path | None = None

    @abstractmethod
    def read(self) -> Value:
        """Its content, decoded. Raises FileError, ImageError."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """SHA-256 (hex) of the content. Raises OSError."""

    @property
    def label(self) -> int:
        """The target of a classifier, the number of a class. Raises DataError for boxes."""
        if isinstance(self.target, int):
            return self.target
        raise DataError(
            f"{self.name} has boxes, not a class", fix="name data with one class for each sample"
        )

    def labelled(self: S, label: int) -> S:
        """The same sample as one of another class."""
        return replace(self, target=label)


@dataclass(frozen=True, eq=False)
class Image(Sample):
    """An image on disk (`path`) or in memory (`pixels`, `color`)."""

    plural: ClassVar[str] = "single images"
    advice: ClassVar[str] = "name images: --data folder:PATH"
    pixels: NDArray[Any] | None = None
    color: Color = "rgb"

    def read(self) -> Frame:
        """The decoded image. Raises FileError, ImageError."""
        if self.path is not None:
            return read_image(self.path)
        assert self.pixels is not None
        return Frame(self.pixels, self.color, source=self.name)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the file's bytes, or of the pixels. Raises OSError."""
        if self.path is not None:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        assert self.pixels is not None
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Scene(Image):
    """An image on disk whose target is the objects in it. size: (width, height) that the boxes
    refer to, None where the annotations do not say.
    """

    plural: ClassVar[str] = "images with boxes"
    advice: ClassVar[str] = "name boxes: --data coco:ANNOTATIONS.json"
    size: tuple[int, int] | None = None

    @property
    def truths(self) -> tuple[Truth, ...]:
        """The objects in it."""
        return self.target if isinstance(self.target, tuple) else ()

    def read(self) -> Frame:
        """The decoded image. Raises FileError, ImageError; DataError where its size is not that
        of the annotated image.
        """
        frame = super().read()
        if self.size is None or self.size == (frame.width, frame.height):
            return frame
        raise DataError(
            f"{self.name} is {frame.width} x {frame.height}, its annotations are for "
            f"{self.size[0]} x {self.size[1]}",
            fix="put the image there that was annotated, not turned and not resized",
        )


@dataclass(frozen=True, eq=False)
class Clip(Sample):
    """`frames` frames of the video at `path`, from frame number `start` on."""

    plural: ClassVar[str] = "clips of a video"
    advice: ClassVar[str] = "name clips: --data video:PATH"
    start: int = 0
    frames: int = 1

    def read(self) -> tuple[Frame, ...]:
        """The decoded frames. Raises FileError, ImageError (it does not decode, or ends early)."""
        assert self.path is not None
        return read_clip(self.path, self.start, self.frames)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the file's bytes and the place in it. Raises OSError."""
        assert self.path is not None
        state = self.path.stat()
        whole = _file_digest(self.path, state.st_mtime_ns, state.st_size)
        return hashlib.sha256(f"{whole} {self.start} {self.frames}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class FeatureRow(Sample):
    """A sequence of features in memory: `values`, float32, shape (frames, features)."""

    plural: ClassVar[str] = "rows of features"
    advice: ClassVar[str] = "name rows: --data csv:PATH"
    values: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 1), np.float32))

    def read(self) -> NDArray[np.float32]:
        """The values."""
        return self.values

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the values."""
        return hashlib.sha256(self.values.tobytes()).hexdigest()


@lru_cache(maxsize=256)
def _file_digest(path: Path, _modified: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class LabelledImages:
    """Samples and the names of the classes that their targets number. part: "test", or "all".
    numbered: the labels are values, sorted; a model with as many labels may name them, in that
    order.
    """

    labels: tuple[str, ...]
    images: Sequence[Sample]
    part: str
    numbered: bool = False
