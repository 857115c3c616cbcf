"""Labelled samples by name: `folder:PATH` and `coco:PATH` here, further kinds by entry point.

A sample is what a model answers about: an image, a clip of a video, or a row of features. A
package offers more kinds under the entry point group "edge_sdk.sources": KIND = a function from
what follows the colon, and the bundle's SequenceEntry or None, to LabelledImages (the test part
where the source has one).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.manifest import SequenceEntry
from edge_sdk.errors import ConfigError, MissingPackage
from edge_sdk.files import reading
from edge_sdk.frames import Color, Frame
from edge_sdk.images.files import list_classes, read_image
from edge_sdk.images.video import read_clip

S = TypeVar("S", bound="Sample")
Value = Frame | tuple[Frame, ...] | NDArray[np.float32]
"""What a sample holds: an image, the frames of a clip, or features (frames, features)."""

_KINDS = ("folder", "digits", "keras", "coco", "csv", "video")
_CONVERTER = "edge-sdk-converter"

PARTS = ("train", "val", "test")
"""Folders of classes side by side; val may be missing."""


@dataclass(frozen=True, eq=False)
class Sample(ABC):
    """What a model answers about, with its label's number. path: its file, where it has one."""

    label: int
    name: str
    path: Path | None = None

    @abstractmethod
    def read(self) -> Value:
        """The thing itself. Raises FileError, ImageError."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """SHA-256 (hex) of the content. Raises OSError."""

    def labelled(self: S, label: int) -> S:
        """The same with another label's number."""
        return replace(self, label=label)


@dataclass(frozen=True, eq=False)
class Image(Sample):
    """An image on disk (`path`) or in memory (`pixels`, `color`)."""

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
class Clip(Sample):
    """`frames` frames of the video at `path`, from frame number `start` on."""

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
    """Samples with their labels' names, `labels[sample.label]`. part: "test", or "all". numbered:
    the labels are values, sorted; a model with as many labels may name them, in that order.
    """

    labels: tuple[str, ...]
    images: Sequence[Sample]
    part: str
    numbered: bool = False


def split_spec(spec: str) -> tuple[str, str]:
    """("folder", "images") for "folder:images"; a bare path means folder, "digits" itself.

    Raises ConfigError for an unknown kind, FileError for a path that cannot be.
    """
    kind, colon, rest = spec.partition(":")
    if kind in _KINDS and (colon or kind == "digits"):
        return kind, rest
    with reading(Path(spec), what="folder of classes"):
        if colon and kind.isalpha() and len(kind) > 1 and not Path(spec).exists():
            raise ConfigError(f"unknown data source {spec!r}", fix=_usable())
    return "folder", spec


def open_source(spec: str, sequence: SequenceEntry | None = None) -> LabelledImages:
    """The samples a SOURCE names: the test part where there is one, else all of them.

    sequence: how long the model's sequences are, for sources that are cut into them.

    Raises ConfigError (unknown kind), MissingPackage (a kind of the converter, not installed),
    FileError, DataError.
    """
    kind, rest = split_spec(spec)
    if kind == "folder":
        return _folder(rest)
    if kind == "coco":
        from edge_sdk.data.coco import read_coco

        return read_coco(rest)
    found = importlib.metadata.entry_points(group="edge_sdk.sources", name=kind)
    if not found:
        raise _missing(kind)
    opener: Callable[[str, SequenceEntry | None], LabelledImages] = next(iter(found)).load()
    return opener(rest, sequence)


def _folder(path: str) -> LabelledImages:
    folder, part = Path(path), "all"
    with contextlib.suppress(RuntimeError):  # no such user: then it is a name like any other
        folder = folder.expanduser()
    if parts := part_folders(folder):
        folder, part = parts["test"], "test"
    classes = list_classes(folder)
    images = [
        Image(index, str(file), path=file)
        for index, files in enumerate(classes.values())
        for file in files
    ]
    return LabelledImages(tuple(classes), images, part)


def part_folders(folder: Path) -> dict[str, Path]:
    """{part: folder} of a folder with train/ and test/ in it, {} of any other. Raises FileError."""
    with reading(folder, what="folder of classes"):
        found = {part: folder / part for part in PARTS if (folder / part).is_dir()}
    return found if {"train", "test"} <= set(found) else {}


def _missing(kind: str) -> MissingPackage:
    return MissingPackage(
        f"data source {kind!r} comes with {_CONVERTER}, which is not installed",
        fix=f"pip install {_CONVERTER}",
    )


def _usable() -> str:
    """The fix that lists the kinds that can be opened here."""
    found = sorted(importlib.metadata.entry_points(group="edge_sdk.sources").names)
    kinds = [kind if kind == "digits" else f"{kind}:…" for kind in ("folder", "coco", *found)]
    return f"use one of: {', '.join(kinds)} or a folder"
