"""Sections about a build's model: accuracy, confusion, and the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_sdk.report import charts
from edge_sdk.report.markup import (
    ABSENT,
    count,
    ends,
    escape,
    listed,
    mapping,
    ms,
    number,
    numbers,
    percent,
    percent_range,
    points,
    scrolled,
    short_size,
    size,
    table,
)
from edge_sdk.report.page import Section, figure, folded, note, side_by_side

MAX_NUMBERS = 20
"""Classes up to which a confusion matrix shows its counts; above, colours and the worst pairs."""

_WORST = 8
_ROUNDING = 1e-9
"""0.99 - 0.98 is a little more than 0.01 in floating point."""

_LIMITS: tuple[tuple[str, str, Callable[[Any], str], str], ...] = (
    ("accuracy_loss", "accuracy loss", points, ""),
    ("bytes", "model size", size, ""),
    ("mapped", "share of MACs on the Edge TPU", percent, "checked for the Edge TPU"),
    ("latency_ms", "p95 of invoke", ms, "checked on the device"),
)
"""Budget keys: key, name, how to show a value, and where a limit that no build can check is."""


def accuracy_sections(build: Mapping[str, Any]) -> list[Section]:
    """Accuracy, confusion and budget of a build record (edge-sdk/build/1)."""
    return [
        Section("accuracy", "Accuracy", _accuracy(build)),
        Section("confusion", "Confusion", _confusion(build)),
        Section("budget", "Budget", _budget(build)),
    ]


def _accuracy(build: Mapping[str, Any]) -> str:
    after = mapping(build.get("converted"))
    name = str(after.get("quantization") or "converted")
    both = (("float", mapping(build.get("float"))), (name, after))
    known = [
        (title, share, part)
        for title, part in both
        if (share := number(part.get("accuracy"))) is not None
    ]
    if not known:
        return note("Not measured: the bundle was made without labelled test samples.")
    head = ("Model", "Accuracy", "95 % interval", "Right", "Size")
    rows = [(escape(title), percent(share), *_counted(part)) for title, share, part in known]
    shown = table("On the same test samples, interval after Wilson", head, rows, kind="figures")
    marks = [
        (title, share, *pair)
        for title, share, part in known
        if (pair := ends(part.get("interval"))) and 0 <= pair[0] <= share <= pair[1] <= 1
    ]
    chart = figure(
        "Accuracy with its 95 % interval", charts.intervals("Accuracy with its interval", marks)
    )
    return side_by_side(f"<div>{shown}{_loss(build)}</div>", chart) + _per_class(after)


def _counted(part: Mapping[str, Any]) -> tuple[str, str, str]:
    """The interval, how many were right, and the size."""
    right, n = number(part.get("correct")), number(part.get("n"))
    between = percent_range(part.get("interval"))
    return (
        f"{between} %" if between else ABSENT,
        f"{right:,.0f} of {n:,.0f}" if right is not None and n is not None else ABSENT,
        short_size(part.get("bytes")),
    )


def _loss(build: Mapping[str, Any]) -> str:
    loss = number(build.get("accuracy_loss"))
    if loss is None:
        return ""
    between = percent_range(build.get("accuracy_loss_interval"), 2)
    paired = f" (95 % interval {between}, paired image by image)" if between else ""
    changed = mapping(build.get("changed_answers"))
    lost, won = number(changed.get("lost")), number(changed.get("won"))
    images = f" Answers lost: {lost:,.0f}, won: {won:,.0f}." if None not in (lost, won) else ""
    return f"<p>Loss, float minus converted: <strong>{points(loss)}</strong>{paired}.{images}</p>"


def _per_class(part: Mapping[str, Any]) -> str:
    rows = [
        (
            escape(label),
            count(score.get("n")),
            percent(score.get("recall"), 1),
            percent(score.get("precision"), 1),
        )
        for label, score in mapping(part.get("per_class")).items()
        if isinstance(score, dict)
    ]
    head = ("Class", "Images", "Recall", "Precision")
    return folded("Class by class", table("The converted model", head, rows, kind="figures"))


def _confusion(build: Mapping[str, Any]) -> str:
    """The matrix of the converted model: rows the truth, columns the answers."""
    given = listed(mapping(build.get("converted")).get("confusion"))
    rows = [[value or 0.0 for value in numbers(row)] for row in given]
    if len(rows) < 2 or any(len(row) != len(rows) for row in rows):
        return ""
    labels = [str(label) for label in listed(build.get("labels"))]
    if len(labels) != len(rows):
        labels = [str(index) for index in range(len(rows))]
    if len(rows) <= MAX_NUMBERS:
        matrix = _heat_table(labels, rows)
    else:
        matrix = charts.heat_map("Confusion of the converted model", labels, rows)
    lead = note(
        "Rows are the truth, columns the converted model's answers; off the diagonal are the"
        " errors. Colour grows with the cube root of the share of the row, so that one error shows."
    )
    return lead + side_by_side(f"<div>{matrix}</div>", _worst_pairs(labels, rows))


def _heat_table(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    long = max(len(label) for label in labels) > 3
    columns = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for label in labels)
    lines = [
        f'<tr><th scope="row">{escape(label)}</th>'
        f"{''.join(_heat_cell(i == j, value, sum(row)) for j, value in enumerate(row))}</tr>"
        for i, (label, row) in enumerate(zip(labels, rows, strict=True))
    ]
    return scrolled(
        "Images by true class and answer",
        f'<table class="heat{" long" if long else ""}"><thead><tr><td></td>{columns}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>",
    )


def _heat_cell(right: bool, value: float, total: float) -> str:
    if value <= 0:
        return '<td class="zero">0</td>'
    strength = charts.heat(value, total)
    kind = ("hit" if right else "miss") + (" strong" if strength > 0.66 else "")
    return f'<td class="{kind}" style="--v:{strength:.2f}">{value:,.0f}</td>'


def _worst_pairs(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    pairs = sorted(
        (-value, labels[i], labels[j], sum(row))
        for i, row in enumerate(rows)
        for j, value in enumerate(row)
        if i != j and value > 0
    )
    cells = [
        (escape(truth), escape(answer), f"{-value:,.0f} of {total:,.0f}")
        for value, truth, answer, total in pairs[:_WORST]
    ]
    return table("Most frequent confusions", ("Truth", "Answer", "Images"), cells)


def _budget(build: Mapping[str, Any]) -> str:
    budget = mapping(build.get("budget"))
    found = {
        "accuracy_loss": number(build.get("accuracy_loss")),
        "bytes": number(mapping(build.get("converted")).get("bytes")),
    }
    rows = [
        (
            name,
            f"{'at least' if key == 'mapped' else 'at most'} {shown(limit)}",
            _verdict(shown, limit, found[key]) if key in found else later,
        )
        for key, name, shown, later in _LIMITS
        if (limit := number(budget.get(key))) is not None
    ]
    return table("Limits that the recipe sets", ("", "Limit", "Found"), rows)


def _verdict(shown: Callable[[Any], str], limit: float, value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{shown(value)}, {'kept' if value <= limit + _ROUNDING else 'exceeded'}"
