"""The report of `compare`: compare.json, and a page with the tables and the Pareto plots."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from edge_sdk.files import write_atomic
from edge_sdk.formatting import bare_ms
from edge_sdk.report.comparison_chart import Dot, scatter
from edge_sdk.report.comparison_text import (
    dominated_words,
    short_count,
    short_names,
    unranked_words,
)
from edge_sdk.report.markup import (
    ABSENT,
    amount,
    count,
    ends,
    escape,
    mapping,
    ms,
    number,
    percent,
    percent_range,
    plain,
    short_size,
    significant,
    table,
)
from edge_sdk.report.page import Head, Section, Tile, banner, command, figure, note, page
from edge_sdk.report.page import side_by_side as columns
from edge_sdk.report.summary import engine_words

if TYPE_CHECKING:
    from edge_sdk.documents.compare import Compare, MeasuredRow, RecordedRow


_RULE = (
    "Dominated: another row is no worse in accuracy, preprocess + invoke and size in the bundle,"
    " and significantly better in one of them. Accuracies are compared image by image, times round"
    " by round, at 99 % confidence. A row with a lower accuracy never dominates, however small the"
    " difference."
)
_PLOTS = (
    "Numbers are those of the table. Hollow dots are dominated in that plot, by accuracy and that"
    " cost alone; filled dots beside the front are not significantly worse than those on it."
)


class _Cost(NamedTuple):
    """A plot's cost: its key in `dominated_in`, its name, where it is in a row, and its units."""

    key: Literal["latency", "bytes", "macs"]
    name: str
    value: Callable[[MeasuredRow], float | None]
    units: tuple[tuple[float, str], ...]


_COSTS = (
    _Cost(
        "latency",
        "preprocess + invoke",
        lambda row: number(mapping(row["cost_ms"]).get("median")),
        ((1, "ms"),),
    ),
    _Cost(
        "bytes",
        "size in the bundle",
        lambda row: number(row["stored_bytes"]),
        ((1e6, "MB"), (1e3, "kB"), (1, "bytes")),
    ),
    _Cost(
        "macs",
        "MACs",
        lambda row: number(row["macs"]),
        ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"), (1, "one by one")),
    ),
)


def write_comparison(folder: Path, document: Compare) -> Path:
    """Write `compare.json` and `report.html` about a compare document; the path of the page.

    Raises FileError.
    """
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_atomic(folder / "compare.json", text.encode("utf-8", "backslashreplace"))
    write_atomic(folder / "report.html", _page(document).encode("utf-8", "replace"))
    return folder / "report.html"


def _page(document: Compare) -> str:
    names = short_names([row["path"] for row in document["rows"]])
    named = [
        (f"{i}.\N{NO-BREAK SPACE}{name}", row)
        for i, (name, row) in enumerate(zip(names, document["rows"], strict=True), 1)
    ]
    measured: list[tuple[str, MeasuredRow]] = []
    recorded: list[tuple[str, RecordedRow]] = []
    for name, row in named:
        if row["kind"] == "bundle" or row["kind"] == "model":
            measured.append((name, row))
        else:
            recorded.append((name, row))
    warnings = [(name, line) for name, row in named for line in row["warnings"]]
    head = Head(
        "comparison report",
        "Comparison",
        _lede(document),
        "".join(banner("warn", f"{name}:", line) for name, line in warnings),
        _tiles(document),
    )
    sections = [
        Section("table", "Side by side", _table(document, measured)),
        Section("plots", "Accuracy against cost", _plots(measured)),
        Section("size", "Size and work", _sizes(measured)),
        Section("recorded", "As recorded", _recorded(recorded)),
        Section("again", "Reproduce", _again(document)),
    ]
    return page(head, sections)


def _lede(document: Compare) -> str:
    data = f"Images: {document['data']}" if document["data"] else "No images were named"
    engine = next((row for row in document["rows"] if "invoke_ms" in row), None)
    return escape(data) + (f"<br>{escape(engine_words(engine))}" if engine else "")


def _tiles(document: Compare) -> list[Tile]:
    rows = document["rows"]
    images = {row["n"] for row in rows if row["n"] is not None}
    ranked = [row for row in rows if row["dominated_by"] is not None]
    beaten = sum(bool(row["dominated_by"]) for row in ranked)
    return [
        Tile("Compared", count(len(rows))),
        Tile("Images", count(max(images)) if images else ABSENT),
        Tile("Rounds", count(document["rounds"]), "in turns on this machine"),
        Tile("Dominated", f"{beaten} of {len(ranked)}" if ranked else ABSENT),
    ]


def _table(document: Compare, rows: Sequence[tuple[str, MeasuredRow]]) -> str:
    cells = [
        (
            escape(name),
            f'<span class="by">{escape(dominated_words(document, row))}</span>',
            percent(row["accuracy"]),
            percent_range(row["interval"]) or ABSENT,
            ms(mapping(row["cost_ms"]).get("median")),
            ms(row["invoke_ms"]["median"]),
            f"{bare_ms(row['invoke_ms']['min'])} to {bare_ms(row['invoke_ms']['max'])}",
        )
        for name, row in rows
    ]
    head = (
        "",
        "Dominated",
        "Accuracy",
        "95 % interval",
        "Preprocess + invoke",
        "Invoke",
        "Its rounds",
    )
    caption = "Medians of interleaved rounds, preprocessing of one image of the data"
    remark = note(" ".join((_RULE, *unranked_words(document)))) if cells else ""
    return table(caption, head, cells, kind="figures") + remark


def _plots(rows: Sequence[tuple[str, MeasuredRow]]) -> str:
    known = [(name, row) for name, row in rows if number(row["accuracy"]) is not None]
    if not known:
        return note("Not measured: no bundle answered images (--data SOURCE).") if rows else ""
    words = _PLOTS
    if len({row["group"] for _, row in known}) > 1:
        words += " Each colour is a group of the same task, labels and images, ranked by itself."
    if left_out := len(rows) - len(known):
        words += f" {amount(left_out, 'row')} without accuracy: not in the plots."
    return columns(*(_plot(cost, known) for cost in _COSTS)) + note(words)


def _plot(cost: _Cost, rows: Sequence[tuple[str, MeasuredRow]]) -> str:
    values = [value for _, row in rows if (value := cost.value(row)) is not None]
    largest = max(values, default=0)
    factor, unit = next((one for one in cost.units if largest >= one[0]), cost.units[-1])
    dots = [_dot(cost, name, row, factor, unit) for name, row in rows]
    title = f"Accuracy in % against {cost.name} in {unit}"
    return figure(title, scatter(title, [dot for dot in dots if dot is not None]))


def _dot(cost: _Cost, name: str, row: MeasuredRow, factor: float, unit: str) -> Dot | None:
    value, accuracy = cost.value(row), number(row["accuracy"])
    if value is None or accuracy is None:
        return None
    between = ends(row["interval"])
    rounds = ends(mapping(row["cost_ms"]).get("interval")) if cost.key == "latency" else None
    return Dot(
        name.partition(".")[0],
        f"{name}: {percent(accuracy)}, {significant(value / factor)} {unit}",
        value / factor,
        100 * accuracy,
        rounds and (rounds[0] / factor, rounds[1] / factor),
        between and (100 * between[0], 100 * between[1]),
        bool(row["dominated_in"][cost.key]),
        row["group"] or 0,
    )


def _sizes(rows: Sequence[tuple[str, MeasuredRow]]) -> str:
    cells = [
        (
            escape(name),
            escape(row["precision"]),
            short_size(row["bytes"]),
            short_size(row["stored_bytes"]),
            short_size(row["bundle_bytes"]) if row["kind"] == "bundle" else "no bundle",
            short_count(row["macs"]),
            escape(row["engine"]["delegate"]),
        )
        for name, row in rows
    ]
    head = ("", "Precision", "Model", "In the bundle", "Whole bundle", "MACs", "Delegate")
    caption = "The whole bundle holds golden samples and the build record too"
    return table(caption, head, cells, kind="figures")


def _recorded(rows: Sequence[tuple[str, RecordedRow]]) -> str:
    cells = [
        (
            escape(name),
            plain(row["fps"]),
            ms(mapping(row["latency"]).get("p50")),
            ms(mapping(row["latency"]).get("p99")),
            ms(mapping(mapping(row["stages"]).get("invoke")).get("p50")),
            plain(row["valid"]),
        )
        for name, row in rows
    ]
    head = ("", "Frames per second", "Latency p50", "Latency p99", "Invoke p50", "Valid")
    return table("Runs of other times or machines: not ranked", head, cells, kind="figures")


def _again(document: Compare) -> str:
    words = ["edge-sdk", "compare", *(row["path"] for row in document["rows"])]
    if document["data"]:
        words += ["--data", document["data"]]
    words += ["--rounds", str(document["rounds"])]
    if engine := next((row["engine"] for row in document["rows"] if "invoke_ms" in row), None):
        words += ["--engine", engine["name"], "--threads", str(engine["threads"])]
    body = command(shlex.join([*words, "--report", "DIR"]))
    return body + note("Unrounded values: compare.json.")
