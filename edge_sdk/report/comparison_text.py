"""A compare document in words: short names, dominated rows, and the table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from edge_sdk.formatting import bare_ms, share, table
from edge_sdk.report.markup import mapping, number, short_size, significant

if TYPE_CHECKING:
    from edge_sdk.documents.compare import Compare, MeasuredRow, RecordedRow

_COLUMNS = 99
_SHORTEST_NAME = 12
_NONE = "-"


def describe(document: Compare) -> str:
    """The table, in less than 100 columns, and below it the dominated rows."""
    rows = document["rows"]
    cells = [
        [
            f"{index}{'*' if row['dominated_by'] else ''}",
            row["precision"] or _NONE,
            _NONE if row["accuracy"] is None else share(row["accuracy"]),
            _invoke(row),
            _NONE if row["cost_ms"] is None else bare_ms(row["cost_ms"]["median"]),
            _NONE if row["stored_bytes"] is None else short_size(row["stored_bytes"]),
            _NONE if row["macs"] is None else short_count(row["macs"]),
        ]
        for index, row in enumerate(rows, start=1)
    ]
    head = ["", "type", "accuracy", "invoke ms [min - max]", "cost ms", "size", "MACs"]
    used = len(table(cells, head=head).splitlines()[1])
    names = short_names([row["path"] for row in rows])
    for cell, name in zip([head, *cells], ["what", *names], strict=True):
        cell.insert(1, _cut(name, max(_SHORTEST_NAME, _COLUMNS - used - 2)))
    return "\n".join([table(cells, head=head), *_remarks(document)])


def dominated_words(document: Compare, row: MeasuredRow | RecordedRow) -> str:
    """ "by 1, 3" with the numbers of rows (from 1), "no", or "not ranked"."""
    if row["dominated_by"] is None:
        return "not ranked"
    by = set(row["dominated_by"])
    found = [str(i) for i, one in enumerate(document["rows"], start=1) if one["path"] in by]
    return f"by {', '.join(found)}" if found else "no"


def unranked_words(document: Compare) -> list[str]:
    """The reason why rows with an accuracy are not ranked; [] where all of them are."""
    rows = document["rows"]
    few = any(row["accuracy"] is not None and row["dominated_by"] is None for row in rows)
    return (
        ["not ranked: too few rounds to tell latencies apart, at least 8 are needed"] if few else []
    )


def short_names(paths: Sequence[str]) -> list[str]:
    """The last part of each path; as many more as tell it from the other paths."""
    parts = [PurePath(path).parts for path in paths]
    names = []
    for mine in parts:
        others = [other for other in parts if other != mine]
        lengths = range(1, len(mine) + 1)
        telling = (n for n in lengths if all(o[-n:] != mine[-n:] for o in others))
        names.append(str(PurePath(*mine[-next(telling, len(mine)) :])))
    return names


def short_count(value: float) -> str:
    """A count of operations: "5.70 M"."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{significant(value / factor)} {unit}"
    return f"{value:.0f}"


def _invoke(row: MeasuredRow | RecordedRow) -> str:
    if row["kind"] == "bundle" or row["kind"] == "model":
        timing = row["invoke_ms"]
        low, high = bare_ms(timing["min"]), bare_ms(timing["max"])
        return f"{bare_ms(timing['median'])} [{low} - {high}]"
    recorded = number(mapping(mapping(row["stages"]).get("invoke")).get("p50"))
    return f"{_NONE if recorded is None else bare_ms(recorded)} (recorded p50)"


def _remarks(document: Compare) -> list[str]:
    rows = document["rows"]
    lines = []
    if any(row["cost_ms"] for row in rows):
        lines.append("cost: preprocess + invoke; size: what the model takes in the bundle")
    for index, row in enumerate(rows, start=1):
        if row["dominated_by"]:
            lines.append(f"* {index} is dominated {dominated_words(document, row)}")
    if any(row["dominated_by"] for row in rows):
        lines.append(
            "  (another is no worse in accuracy, cost or size, and significantly better in one)"
        )
    lines += unranked_words(document)
    return ["", *lines] if lines else []


def _cut(name: str, most: int) -> str:
    """The end of a long name: versions and file names stand there."""
    return name if len(name) <= most else f"…{name[1 - most :]}"
