"""Labelled samples by name: `folder:PATH` and `coco:PATH` here, further kinds by entry point.

A package offers more kinds under the entry point group "edge_sdk.sources": KIND = a function from
what follows the colon, and the bundle's SequenceEntry or None, to LabelledImages (the test part
where the source has one).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from edge_sdk.data.coco import read_coco
from edge_sdk.data.samples import Image, LabelledImages
from edge_sdk.errors import ConfigError, MissingPackage
from edge_sdk.files import reading
from edge_sdk.images.image_files import list_classes
from edge_sdk.model.interface import SequenceEntry

_GROUP = "edge_sdk.sources"
_CORE = ("folder", "coco")
_CONVERTER = "edge-sdk-converter"
_CONVERTER_KINDS = ("digits", "keras", "csv", "video")
"""Known by name even where the converter is not installed, so that the error can say so."""

PARTS = ("train", "val", "test")
"""Folders of classes side by side; val may be missing."""


def split_spec(spec: str) -> tuple[str, str]:
    """("folder", "images") for "folder:images"; a bare path means folder, "digits" itself.

    Raises ConfigError for an unknown kind, FileError for a path that cannot be.
    """
    kind, colon, rest = spec.partition(":")
    if spec == "digits" or (colon and _is_kind(kind)):
        return kind, rest
    with reading(Path(spec), what="folder of classes"):
        if colon and kind.isalpha() and len(kind) > 1 and not Path(spec).exists():
            raise ConfigError(f"unknown data source {spec!r}", fix=_usable())
    return "folder", spec


def _is_kind(name: str) -> bool:
    known = (*_CORE, *_CONVERTER_KINDS)
    return name in known or name in importlib.metadata.entry_points(group=_GROUP).names


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
        return read_coco(rest)
    found = importlib.metadata.entry_points(group=_GROUP, name=kind)
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
    found = sorted(importlib.metadata.entry_points(group=_GROUP).names)
    kinds = [kind if kind == "digits" else f"{kind}:…" for kind in (*_CORE, *found)]
    return f"use one of: {', '.join(kinds)} or a folder"
