"""Reports: the JSON document of a command, and one HTML page that opens from disk.

    write_report(folder, "run", document, build)    run.json and report.html
    write_build_report(path, document)              build.html

The JSON keeps every digit; the page rounds for people. Documents are those of CONTRACTS.md
(edge-sdk/run/1, bench/1, build/1); whatever a document lacks is left out or said to be absent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_sdk.files import write_atomic
from edge_sdk.report.build_sections import build_sections
from edge_sdk.report.page import Head, Section, banner, command, note, page
from edge_sdk.report.run_sections import (
    again_section,
    build_tiles,
    conditions_section,
    energy_section,
    engine_words,
    frame_age_section,
    latency_section,
    run_banners,
    run_tiles,
)
from edge_sdk.report.text import escape, mapping

__all__ = ["write_build_report", "write_report"]


def write_report(
    folder: Path, command: str, document: dict[str, Any], build: dict[str, Any] | None = None
) -> Path:
    """Write `COMMAND.json` and `report.html` into `folder`; returns the path of the page.

    command: "run" or "bench". build: the build record of the bundle, for accuracy and training.
    Raises FileError where the folder cannot be written.
    """
    write_atomic(folder / f"{command}.json", _json(document))
    path = folder / "report.html"
    write_atomic(path, _bytes(_run_page(command, document, build or {})))
    return path


def write_build_report(path: Path, document: dict[str, Any]) -> None:
    """Write the page of a build record to `path`. Raises FileError."""
    write_atomic(path, _bytes(_build_page(document)))


def _run_page(name: str, run: dict[str, Any], build: dict[str, Any]) -> str:
    first = build_sections(build)
    sections = [
        *first[:2],
        latency_section(run),
        frame_age_section(run),
        energy_section(run),
        *first[2:],
        conditions_section(run),
        again_section(run, name),
    ]
    bundle = mapping(run.get("bundle"))
    kind = "benchmark report" if name == "bench" else f"{name} report"
    source = run.get("camera") or run.get("scenario") or ""
    lede = f"{escape(engine_words(run))}<br>{escape(source)}"
    heading = _title(bundle or build)
    return page(Head(kind, heading, lede, run_banners(run), run_tiles(run, build)), sections)


def _build_page(build: dict[str, Any]) -> str:
    if build.get("passed") is False:
        shown = banner("bad", "Failed:", "a limit was exceeded, no bundle was written.")
    else:
        shown = banner("good", "Passed.", "Every limit was kept.") if build.get("passed") else ""
    recipe = escape(build.get("recipe_sha256") or "not recorded")
    again = (
        command("edge-sdk build RECIPE")
        + f"<p>Recipe SHA-256: <code>{recipe}</code></p>"
        + note("Unrounded values: build.json.")
    )
    sections = [*build_sections(build), Section("again", "Reproduce", again)]
    head = Head("build report", _title(build), "", shown, build_tiles(build))
    return page(head, sections)


def _title(names: dict[str, Any]) -> str:
    return f"{names.get('name') or 'Model'} {names.get('version') or ''}".strip()


def _json(document: dict[str, Any]) -> bytes:
    """A file name that is not UTF-8 is kept as the JSON escape that reads back to it."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
