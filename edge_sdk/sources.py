"""Labelled pictures by name: `folder:PATH` here, further kinds by entry point.

A package offers more kinds under the entry point group "edge_sdk.sources": KIND = a function from
what follows the colon to LabelledPictures (the test part where the source has one).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_sdk.errors import ConfigError, MissingPackage, NotAvailableYet
from edge_sdk.files import reading
from edge_sdk.frames import Color, Frame
from edge_sdk.images import list_classes, read_image

_KINDS = ("folder", "digits", "keras", "coco", "csv", "video")
_OF_THE_CONVERTER = ("digits", "keras", "csv", "video")
_CONVERTER = "edge-sdk-converter"

PARTS = ("train", "val", "test")
"""Folders of classes side by side; val may be missing."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its label's number, on disk (`path`) or in memory (`pixels`, `color`)."""

    label: int
    name: str
    path: Path | None = None
    pixels: NDArray[Any] | None = None
    color: Color = "rgb"

    def read(self) -> Frame:
        """The decoded picture. Raises FileError, ImageError."""
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


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with their labels' names, `labels[picture.label]`. part: "test", or "all"."""

    labels: tuple[str, ...]
    pictures: Sequence[Picture]
    part: str


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


def open_source(spec: str) -> LabelledPictures:
    """The pictures a SOURCE names: the test part where there is one, else all of them.

    Raises ConfigError (unknown kind), MissingPackage (a kind of the converter, not installed),
    NotAvailableYet, FileError, DataError.
    """
    kind, rest = split_spec(spec)
    if kind == "folder":
        return _folder(rest)
    found = importlib.metadata.entry_points(group="edge_sdk.sources", name=kind)
    if not found:
        raise _missing(kind)
    opener: Callable[[str], LabelledPictures] = next(iter(found)).load()
    return opener(rest)


def _folder(path: str) -> LabelledPictures:
    folder, part = Path(path), "all"
    with contextlib.suppress(RuntimeError):  # no such user: then it is a name like any other
        folder = folder.expanduser()
    if parts := part_folders(folder):
        folder, part = parts["test"], "test"
    classes = list_classes(folder)
    pictures = [
        Picture(index, str(file), path=file)
        for index, files in enumerate(classes.values())
        for file in files
    ]
    return LabelledPictures(tuple(classes), pictures, part)


def part_folders(folder: Path) -> dict[str, Path]:
    """{part: folder} of a folder with train/ and test/ in it, {} of any other. Raises FileError."""
    with reading(folder, what="folder of classes"):
        found = {part: folder / part for part in PARTS if (folder / part).is_dir()}
    return found if {"train", "test"} <= set(found) else {}


def _missing(kind: str) -> Exception:
    if kind in _OF_THE_CONVERTER and not _is_installed(_CONVERTER):
        return MissingPackage(
            f"data source {kind!r} comes with {_CONVERTER}, which is not installed",
            fix=f"pip install {_CONVERTER}",
        )
    return NotAvailableYet(f"data source {kind!r} is not available yet", fix=_usable())


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _usable() -> str:
    """The fix that lists the kinds that can be opened here."""
    found = sorted(importlib.metadata.entry_points(group="edge_sdk.sources").names)
    kinds = [kind if kind == "digits" else f"{kind}:…" for kind in ("folder", *found)]
    return f"use one of: {', '.join(kinds)} or a folder"
