"""`inspect` of a folder of images: contents, broken files, duplicates, and a recipe's splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_sdk.data.class_folders import folders_beside_parts, list_folder
from edge_sdk.data.sources import part_folders
from edge_sdk.data.splits import MIN, held_out, imbalance, split_sizes
from edge_sdk.errors import DataError, EdgeError
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.formatting import table
from edge_sdk.images.contact_sheet import contact_sheet, thumbnail
from edge_sdk.images.image_files import SUFFIXES, list_images, read_image
from edge_sdk.images.perceptual_hash import GRID, look_alikes, near_duplicates
from edge_sdk.images.scan import ImageScan, scan_images

if TYPE_CHECKING:
    from edge_sdk.documents.inspect import InspectFolder, NearDuplicate, Split

MAX_LISTED = 20
"""Near-duplicates that the document lists; it counts them all."""

MAX_CLASSES = 40
MAX_SHOWN = 20
"""Classes, and images of each, on the contact sheets."""

_COLUMNS = 10
_TILE = 72

Classes = Mapping[str, Sequence[Path]]


def inspect_folder(folder: Path, listen: Listener = ignore) -> InspectFolder:
    """The inspect document of a folder. Raises FileError, DataError (no image, no class)."""
    parts, left_out = _listing(folder)
    scans, unreadable = _scan(parts, listen)
    classes = Counter[str]()
    for found in parts.values():
        classes.update({name: len(files) for name, files in found.items()})
    hashes = Counter(scan.sha256 for scan in scans.values())
    told = _told(parts, scans)
    compared = _compared(told)
    near = _near(told, scans)
    document: InspectFolder = {
        "schema": "edge-sdk/inspect/1",
        "path": str(folder),
        "kind": "folder",
        "pictures": classes.total(),
        "classes": {name: classes[name] for name in sorted(classes) if name},
        "parts": {
            part: {name: len(files) for name, files in found.items()}
            for part, found in parts.items()
            if part
        },
        "sizes": dict(
            Counter(f"{scan.width}x{scan.height}" for scan in scans.values()).most_common(10)
        ),
        "unreadable": unreadable,
        "duplicates": hashes.total() - len(hashes),
        "compared": compared,
        "near_duplicates": len(near) if compared else None,
        "near": near[:MAX_LISTED],
        "splits": _splits(parts, scans),
        "left_out": [str(path) for path in left_out],
        "warnings": [],
    }
    document["warnings"] = [*_warnings(folder, document), *_alike(parts, scans, near)]
    return document


def describe_folder(document: InspectFolder) -> str:
    """The document for people: totals, each class with the split, then what is wrong by name."""
    rows = [
        ["images", f"{document['pictures']:,}"],
        ["sizes", ", ".join(f"{size} ({n:,})" for size, n in document["sizes"].items())],
        ["unreadable", f"{len(document['unreadable']):,}"],
        ["duplicates", f"{document['duplicates']:,}"],
        ["near-duplicates", "{} ({})".format(*near_in_words(document))],
    ]
    texts = [table(rows)]
    splits = document["splits"]
    lines = [
        [name, count, *_split(splits.get(name))] for name, count in document["classes"].items()
    ]
    if lines:
        texts.append(table(lines, head=("class", "images", "train", "val", "test")))
    texts += ["\n".join(f"unreadable: {line}" for line in document["unreadable"])]
    texts += [
        "\n".join(f"alike: {pair['picture']} and {pair['other']}" for pair in document["near"])
    ]
    return "\n\n".join(text for text in texts if text)


def _split(split: Split | None) -> tuple[int | str, ...]:
    """Images to train, validate and test; dashes for a class with too few."""
    return (split["train"], split["val"], split["test"]) if split else ("-", "-", "-")


def near_in_words(document: InspectFolder) -> tuple[str, str]:
    """The number of near-duplicates and of the images compared; "not compared" and why."""
    if document["near_duplicates"] is None:
        return "not compared", f"smaller than {GRID} pixels, blank, or nothing to compare with"
    return f"{document['near_duplicates']:,}", f"{document['compared']:,} images compared"


def contact_sheets(folder: Path) -> dict[str, bytes]:
    """{class: PNG file} with images of each class, evenly taken; "" where there is no class.

    Raises FileError, DataError.
    """
    files: dict[str, list[Path]] = {}
    for found in _listing(folder)[0].values():
        for name, own in found.items():
            files.setdefault(name, []).extend(own)
    sheets = {name: _sheet(own) for name, own in sorted(files.items())[:MAX_CLASSES] if own}
    return {name: sheet for name, sheet in sheets.items() if sheet}


def _sheet(files: Sequence[Path]) -> bytes:
    """b"" where none of the chosen ones decodes."""
    chosen = np.linspace(0, len(files) - 1, min(MAX_SHOWN, len(files))).astype(int)
    small = []
    for index in chosen:
        with suppress(EdgeError):
            small.append(thumbnail(read_image(files[index]), _TILE))
    return contact_sheet(small, min(_COLUMNS, len(small)), tile=_TILE) if small else b""


def _listing(folder: Path) -> tuple[dict[str, Classes], list[Path]]:
    """{part: {class: images}}, {"": …} for a folder without parts, and the files left out."""
    places = part_folders(folder) or {"": folder}
    found = {part: list_folder(place, SUFFIXES) for part, place in places.items()}
    left_out = [path for listing in found.values() for path in listing.left_out]
    parts: dict[str, Classes] = {part: listing.classes for part, listing in found.items()}
    if "" in parts and not any(parts[""].values()):
        # No class has an image: then the images of the folder itself, whatever their class.
        if images := list_images(folder):
            return {"": {"": images}}, []
        if not parts[""]:
            raise DataError(
                f"{folder} has no class folders",
                fix=f"make a folder in it for each class, e.g. {folder / 'cat'}, with images "
                "inside",
            )
    return parts, left_out


def _scan(
    parts: Mapping[str, Classes], listen: Listener
) -> tuple[dict[Path, ImageScan], list[str]]:
    """A look at each image that decodes, and why the others do not."""
    paths = [path for classes in parts.values() for files in classes.values() for path in files]
    scans, unreadable = {}, []
    for done, (path, found) in enumerate(zip(paths, scan_images(paths), strict=True), 1):
        if isinstance(found, ImageScan):
            scans[path] = found
        else:
            unreadable.append(found)
        listen(Event("progress", "inspect", done=done, total=len(paths), unit="images"))
    return scans, unreadable


def _told(parts: Mapping[str, Classes], scans: Mapping[Path, ImageScan]) -> dict[str, list[Path]]:
    """{part: images} that have a perceptual hash."""
    told = {path for path, scan in scans.items() if scan.hash is not None}
    return {
        part: [path for own in classes.values() for path in own if path in told]
        for part, classes in parts.items()
    }


def _compared(files: Mapping[str, Sequence[Path]]) -> int:
    """The number of images compared; 0 where none has another to be compared with."""
    counts = [len(own) for own in files.values() if own]
    several = sum(counts) > 1 if "" in files else len(counts) > 1
    return sum(counts) if several else 0


def _near(
    files: Mapping[str, Sequence[Path]], scans: Mapping[Path, ImageScan]
) -> list[NearDuplicate]:
    """Images that look like another, of another part where there are parts, and are not equal."""
    hashes = {part: [scans[path].hash for path in own] for part, own in files.items()}
    if "" in files:
        own = files[""]
        pairs = [(own[one], own[other], bits) for one, other, bits in look_alikes(hashes[""])]
    else:
        pairs = [
            (files[near.part][near.index], files[near.other_part][near.other], near.bits)
            for near in near_duplicates(hashes)
        ]
    return [
        {"picture": str(one), "other": str(other), "bits": bits}
        for one, other, bits in pairs
        if scans[one].sha256 != scans[other].sha256
    ]


def _splits(parts: Mapping[str, Classes], scans: Mapping[Path, ImageScan]) -> dict[str, Split]:
    """{class: {"train", "val", "test"}} as a recipe with default values splits the readable ones;
    a class with too few is left out.
    """
    counts = {
        part: {name: sum(path in scans for path in files) for name, files in classes.items()}
        for part, classes in parts.items()
    }
    if "" in counts:
        whole = {name: n for name, n in counts[""].items() if name and n >= MIN}
        return {name: _named(*split_sizes(n)) for name, n in whole.items()}
    found = {}
    for name, train in counts["train"].items():
        val, test = (counts.get(part, {}).get(name, 0) for part in ("val", "test"))
        if "val" not in counts and train > 1:
            val = held_out(train)
            train -= val
        if train and val and test:
            found[name] = _named(train, val, test)
    return found


def _named(train: int, val: int, test: int) -> Split:
    return {"train": train, "val": val, "test": test}


def _warnings(folder: Path, document: InspectFolder) -> list[str]:
    lines = [
        f"{folder / name} is beside train and test: rename it to {folder / 'val'}, or move it "
        f"elsewhere ({count:,} images)"
        for name, count in folders_beside_parts(folder, SUFFIXES).items()
    ]
    splits = document["splits"]
    lines += [
        f"class {name!r} has too few readable images to train, validate and test"
        for name in document["classes"]
        if name not in splits
    ]
    if len(document["classes"]) == 1:
        lines.append("there is only one class: add a second one")
    if splits and (line := imbalance({name: own["train"] for name, own in splits.items()})):
        lines.append(line)
    if document["left_out"]:
        lines.append(
            f"left out, not images or not in a class folder: {len(document['left_out']):,} files "
            f"({', '.join(document['left_out'][:5])})"
        )
    return lines


def _alike(
    parts: Mapping[str, Classes], scans: Mapping[Path, ImageScan], near: Sequence[NearDuplicate]
) -> list[str]:
    """Warnings of images that are equal where they must not be, or almost equal."""
    across_parts, across_classes = _equal(parts, scans)
    lines = []
    if across_parts:
        lines.append(
            f"equal files in several splits: {len(across_parts):,} images, for example "
            f"{across_parts[0]}; keep each in one, or test accuracy will be too high"
        )
    if across_classes:
        lines.append(
            f"equal files in several classes: {len(across_classes):,} images, for example "
            f"{across_classes[0]}; keep each in the right class only"
        )
    if near:
        lines.append(
            f"near-duplicates: {len(near):,} images; keep them in one split, with folders train/, "
            "val/ and test/, or test accuracy will be too high"
        )
    return lines


def _equal(
    parts: Mapping[str, Classes], scans: Mapping[Path, ImageScan]
) -> tuple[list[str], list[str]]:
    """Of each image that is in more than one part, and in more than one class, two files."""
    places: dict[str, list[tuple[str, str, Path]]] = {}
    for part, classes in parts.items():
        for name, files in classes.items():
            for path in files:
                if path in scans:
                    places.setdefault(scans[path].sha256, []).append((part, name, path))

    def pairs(of: int) -> list[str]:
        """Of equal files that differ in their part (0) or in their class (1)."""
        by_place = [{place[of]: place[2] for place in found} for found in places.values()]
        return [" and ".join(map(str, [*own.values()][:2])) for own in by_place if len(own) > 1]

    return pairs(0), pairs(1)
