"""The report of `inspect`: inspect.json, and a page that shows it, images included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.files import write_atomic
from edge_sdk.inspection.folder import MAX_SHOWN, contact_sheets, near_in_words
from edge_sdk.report.gallery import Exhibit, Gallery, gallery_section
from edge_sdk.report.markup import count, escape, facts, table
from edge_sdk.report.page import Head, Section, Tile, banner, page

if TYPE_CHECKING:
    from edge_sdk.documents.inspect import Inspect, InspectFolder, Split


def write_inspection(folder: Path, path: Path, document: Inspect) -> Path:
    """Write `inspect.json` and `report.html` about `path` into `folder`; the path of the page.

    Raises FileError.
    """
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_atomic(folder / "inspect.json", text.encode("utf-8", "backslashreplace"))
    shown = _folder_page(path, document) if document["kind"] == "folder" else _page(path, document)
    write_atomic(folder / "report.html", shown.encode("utf-8", "replace"))
    return folder / "report.html"


def _page(path: Path, document: Inspect) -> str:
    head = Head("inspection", path.name, escape(path), "", ())
    return page(head, [Section("contents", "Contents", facts("Contents", document))])


def _folder_page(path: Path, document: InspectFolder) -> str:
    warnings = "".join(banner("warn", "Note:", line) for line in document["warnings"])
    head = Head("inspection", path.absolute().name, escape(path), warnings, _tiles(document))
    return page(
        head,
        [
            Section("classes", "Classes", _classes(document)),
            _sheets(path),
            Section("broken", "Unreadable", _list(document["unreadable"])),
            Section("alike", "Almost alike", _alike(document)),
            Section("other", "Left out", _list(document["left_out"])),
        ],
    )


def _tiles(document: InspectFolder) -> list[Tile]:
    return [
        Tile("images", count(document["pictures"]), f"{len(document['classes'])} classes"),
        Tile("unreadable", count(len(document["unreadable"]))),
        Tile("duplicates", count(document["duplicates"]), "exact duplicates"),
        Tile("near-duplicates", *near_in_words(document)),
    ]


def _classes(document: InspectFolder) -> str:
    splits = document["splits"]
    rows = [
        (
            escape(name),
            count(images),
            *(_split(splits[name]) if name in splits else ("-", "-", "-")),
        )
        for name, images in document["classes"].items()
    ]
    head = ("Class", "Images", "Training", "Validation", "Test")
    sizes = [(escape(size), count(number)) for size, number in document["sizes"].items()]
    return table("Splits by default", head, rows, kind="figures") + table(
        "Sizes, most frequent first", ("Width x height", "Images"), sizes, kind="figures"
    )


def _split(split: Split) -> tuple[str, str, str]:
    return count(split["train"]), count(split["val"]), count(split["test"])


def _sheets(path: Path) -> Section:
    exhibits = [Exhibit(png, name or "no class") for name, png in contact_sheets(path).items()]
    words = f"Up to {MAX_SHOWN} of each class, evenly spaced over its files."
    return gallery_section(Gallery("images", "Images", words, exhibits))


def _alike(document: InspectFolder) -> str:
    rows = [
        (escape(pair["picture"]), escape(pair["other"]), count(pair["bits"]))
        for pair in document["near"]
    ]
    return table("Pairs, and the bits of 64 that differ", ("Image", "Like", "Bits"), rows)


def _list(lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""
