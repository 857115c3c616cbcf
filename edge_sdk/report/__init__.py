"""Reports: the JSON document of a command, and one HTML page that opens from disk.

    prepare_folder(folder)                          before the minutes that a report takes
    write_report(folder, "run", document, build)    run.json and report.html
    write_build_report(path, document)              build.html

The JSON keeps every digit; the page rounds for people. Documents are those of docs/contracts.md
(edge-sdk/run/1, bench/1, build/1); whatever a document lacks is left out or said to be absent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_sdk import files
from edge_sdk.files import write_atomic
from edge_sdk.report.build_sections import build_again, build_sections
from edge_sdk.report.energy_sections import energy_section
from edge_sdk.report.gallery import Gallery, gallery_section
from edge_sdk.report.markup import escape, mapping
from edge_sdk.report.page import Head, page
from edge_sdk.report.run_sections import (
    conditions_section,
    frame_age_section,
    latency_section,
    run_again,
)
from edge_sdk.report.summary import (
    build_banner,
    build_tiles,
    build_warnings,
    engine_words,
    run_banners,
    run_tiles,
)

__all__ = ["prepare_folder", "write_build_report", "write_report"]

_BUILD = "edge-sdk/build/1"


def prepare_folder(folder: Path) -> None:
    """Make the folder that a report will go into, and try that files can be made there, before the
    time is spent. Raises FileError.
    """
    files.prepare_folder(folder, what="a report", option="--report")


def write_report(
    folder: Path,
    command: str,
    document: Mapping[str, Any],
    build: Mapping[str, Any] | None = None,
    *,
    galleries: Sequence[Gallery] = (),
) -> Path:
    """Write `COMMAND.json` and `report.html` into `folder`; returns the path of the page.

    build: the build record of the bundle that ran, for accuracy and training. galleries: images
    for the page of a build.
    Raises FileError where the folder cannot be written.
    """
    write_atomic(folder / f"{command}.json", _json(document))
    path = folder / "report.html"
    if document.get("schema") == _BUILD:
        write_build_report(path, document, galleries)
    else:
        write_atomic(path, _run_page(command, document, build or {}).encode("utf-8", "replace"))
    return path


def write_build_report(
    path: Path, document: Mapping[str, Any], galleries: Sequence[Gallery] = ()
) -> None:
    """Write the page of a build record to `path`, images before the tables of the build itself.

    Raises FileError.
    """
    write_atomic(path, _build_page(document, galleries).encode("utf-8", "replace"))


def _run_page(command: str, run: Mapping[str, Any], build: Mapping[str, Any]) -> str:
    accuracy, confusion, *others = build_sections(build)
    head = Head(
        "benchmark report" if command == "bench" else f"{command} report",
        _title(mapping(run.get("bundle")) or build),
        f"{escape(engine_words(run))}<br>{escape(run.get('camera') or run.get('scenario') or '')}",
        run_banners(run) + build_warnings(build),
        run_tiles(run, build),
    )
    sections = [
        accuracy,
        confusion,
        latency_section(run),
        frame_age_section(run),
        energy_section(run),
        *others,
        conditions_section(run),
        run_again(run, command),
    ]
    return page(head, sections)


def _build_page(build: Mapping[str, Any], galleries: Sequence[Gallery]) -> str:
    head = Head("build report", _title(build), "", build_banner(build), build_tiles(build))
    sections = [*build_sections(build), *map(gallery_section, galleries)]
    if build.get("energy_model") or build.get("energy_model_because"):
        sections.append(energy_section(build))
    return page(head, [*sections, build_again(build)])


def _title(names: Mapping[str, Any]) -> str:
    return f"{names.get('name') or 'Model'} {names.get('version') or ''}".strip()


def _json(document: Mapping[str, Any]) -> bytes:
    """A file name that is not UTF-8 is kept as the JSON escape that reads back to it."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
