"""A page of a data set that was captured: each class with its images, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_device.capture.quality import quality
from edge_sdk.errors import EdgeError
from edge_sdk.files import write_atomic
from edge_sdk.images.contact_sheet import contact_sheet
from edge_sdk.images.image_files import class_folders, read_image
from edge_sdk.report.gallery import Exhibit, Gallery, gallery_section
from edge_sdk.report.markup import amount, count, escape, table
from edge_sdk.report.page import Head, Section, Tile, banner, command, page

if TYPE_CHECKING:
    from edge_sdk.documents.capture import Capture, CapturedLabel

NAME = "review.html"

MAX_CLASSES = 40
MAX_SHOWN = 60
"""Classes, and images of each, on the page: about 2 MB a class."""

_TILE = 128


def write_review(out: Path, document: Capture, next_steps: Sequence[str]) -> Path:
    """Write `out/review.html` about all classes in `out`, with the warnings of the capture document
    and the commands to go on with; its path. Raises FileError.
    """
    classes = class_folders(out)
    now = {entry["label"]: entry for entry in document["labels"]}
    head = Head(
        "captured images",
        out.absolute().name,
        escape(f"{document['camera']} into {out}"),
        "".join(banner("warn", "Note:", line) for line in document["warnings"]),
        [
            Tile("captured now", count(document["captured"]), ", ".join(now)),
            Tile("left out", count(document["skipped_similar"]), "almost the same as the last"),
            Tile("images", count(sum(map(len, classes.values()))), "in all"),
            Tile("classes", count(len(classes))),
        ],
    )
    shown = list(classes.items())[:MAX_CLASSES]
    sections = [
        Section("classes", "Classes", _counts(classes, now)),
        *(_gallery(f"class-{i}", *one, now.get(one[0])) for i, one in enumerate(shown)),
        Section("next", "Next", "".join(map(command, next_steps))),
    ]
    write_atomic(out / NAME, page(head, sections).encode("utf-8", "replace"))
    return out / NAME


def _counts(classes: dict[str, list[Path]], now: dict[str, CapturedLabel]) -> str:
    rows = [
        (escape(name), count(len(images)), *_captured(now.get(name)))
        for name, images in classes.items()
    ]
    head = ("Class", "Images", "Captured now", "Left out", "Dark", "Blurred")
    return table("Of each class", head, rows, kind="figures")


def _captured(entry: CapturedLabel | None) -> tuple[str, ...]:
    if entry is None:
        return ("-",) * 4
    faulty = (count(len(files)) for files in (entry["dark"], entry["blurred"]))
    return (count(entry["captured"]), count(entry["skipped_similar"]), *faulty)


def _gallery(
    anchor: str, name: str, images: Sequence[Path], entry: CapturedLabel | None
) -> Section:
    faulty = {*entry["dark"], *entry["blurred"]} if entry else set()
    evenly = np.linspace(0, len(images) - 1, min(MAX_SHOWN, len(images))).astype(int)
    chosen = {images[index] for index in evenly}
    chosen |= {path for path in images if str(path) in faulty}
    words = f"{len(chosen)} of {amount(len(images), 'image')}. Delete the files that mislead."
    found = {path: _exhibit(path) for path in sorted(chosen)}
    if broken := [path.name for path, exhibit in found.items() if exhibit is None]:
        words += f" Unreadable: {', '.join(broken)}."
    exhibits = [exhibit for exhibit in found.values() if exhibit is not None]
    return gallery_section(Gallery(anchor, name, words, exhibits))


def _exhibit(path: Path) -> Exhibit | None:
    """None for a file that cannot be read."""
    try:
        image = read_image(path)
    except EdgeError:
        return None
    fault = quality(image).fault
    sheet = contact_sheet([image], 1, tile=_TILE)
    return Exhibit(sheet, f"{path.name}: {fault}" if fault else path.name)
