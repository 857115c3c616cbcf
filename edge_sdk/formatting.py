"""Text for people: values with their units, aligned tables, documents line by line."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

WIDTH = 80
"""Columns of a terminal that nobody has made wider."""


def size(count: int) -> str:
    """Bytes for people: "236,240 bytes"."""
    return f"{count:,} bytes"


def share(value: float | None, digits: int = 2) -> str:
    """A share 0..1 as a percentage; "not measured" for None."""
    return "not measured" if value is None else f"{100 * value:.{digits}f} %"


def ms(value: float | None, because: str = "too few samples") -> str:
    """Milliseconds for people; the reason in brackets where there is no value."""
    return f"- ({because})" if value is None else f"{bare_ms(value)} ms"


def bare_ms(value: float) -> str:
    """Milliseconds to the microsecond below 10 ms, without their unit: "0.412", "12.34"."""
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:,.{digits}f}"


def table(
    rows: Sequence[Sequence[object]], *, head: Sequence[str] = (), width: int | None = None
) -> str:
    """Aligned columns: numbers to the right, the rest to the left. width: the most characters of a
    line: the widest columns are wrapped at spaces, as far as that goes.
    """
    texts = [[str(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    if not texts:
        return ""
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    right = [
        all(isinstance(row[i], (int, float)) for row in rows) and bool(rows)
        for i in range(len(widths))
    ]
    if width is not None:
        widths = _narrowed(widths, texts, width)
    lines = [
        "  ".join(
            cell.rjust(column) if to_right else cell.ljust(column)
            for cell, column, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for row in texts
        for line in zip_longest(*map(_wrapped, row, widths), fillvalue="")
    ]
    if head:
        lines.insert(1, "  ".join("-" * column for column in widths))
    return "\n".join(lines)


def _narrowed(widths: list[int], texts: list[list[str]], width: int) -> list[int]:
    """Widths of columns that fit into `width`, the widest made narrower, no word broken."""
    least = [
        max((len(word) for row in texts for word in row[i].split()), default=0)
        for i in range(len(widths))
    ]
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > width:
        wide = [i for i in range(len(widths)) if widths[i] > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _wrapped(cell: str, width: int) -> list[str]:
    """The lines of a cell; as it is where it fits."""
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def outline(document: Mapping[str, Any], indent: int = 0) -> str:
    """A document for people: one line a value, nested values further in, long lists cut."""
    lines = []
    for key, value in document.items():
        lead = f"{'  ' * indent}{key}"
        if isinstance(value, dict):
            lines += [f"{lead}:", outline(value, indent + 1)] if value else [f"{lead}: none"]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{lead}:", *(outline(item, indent + 1) for item in value)]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append(f"{lead}: {text if len(text) <= 200 else text[:197] + '...'}")
    return "\n".join(lines)
