"""Values for people: rounded, with their unit, escaped; and tables.

A build record comes with a bundle, perhaps a stranger's, so nothing here trusts a value's type:
what is not the number, text or table that was expected is shown as absent.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_sdk import formatting
from edge_sdk.statistics import MINIMUM_SAMPLES

ABSENT = "not measured"


def escape(value: Any) -> str:
    """Text that is safe in HTML, in attributes too."""
    return html.escape(str(value))


def number(value: Any) -> float | None:
    """`value` as a float; None where it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def numbers(values: Any) -> list[float | None]:
    """`number` of each; [] for what is not a list."""
    return [number(value) for value in listed(values)]


def mapping(value: Any) -> dict[str, Any]:
    """`value`, or {} for what is not a table."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """`value`, or [] for what is not a list."""
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The tables in a list; [] for what is not a list."""
    return [item for item in listed(value) if isinstance(item, dict)]


def ms(value: Any) -> str:
    """Milliseconds as `formatting.ms` shows them: "0.412 ms"."""
    real = number(value)
    return ABSENT if real is None else formatting.ms(real)


def percentile(value: Any, name: str, samples: Any) -> str:
    """A percentile in ms, or that there are too few samples for it."""
    count, least = number(samples), MINIMUM_SAMPLES.get(name)
    if number(value) is None and count is not None and least is not None and count < least:
        return f"too few samples ({count:,.0f} < {least:,})"
    return ms(value)


def percent(value: Any, digits: int = 2) -> str:
    """A share 0..1: "98.20 %"."""
    return formatting.share(number(value), digits)


def ends(interval: Any) -> tuple[float, float] | None:
    """The two ends of an interval; None for what is not one."""
    found = numbers(interval)
    if len(found) != 2 or found[0] is None or found[1] is None or found[0] > found[1]:
        return None
    return found[0], found[1]


def percent_range(interval: Any, digits: int = 1) -> str:
    """An interval of shares in percent, without the sign: "97.2 to 98.9"; "" for none."""
    pair = ends(interval)
    return "" if pair is None else " to ".join(minus(100 * end, digits) for end in pair)


def points(share: Any) -> str:
    """A difference of shares in percentage points: "0.10 points"."""
    real = number(share)
    return ABSENT if real is None else f"{minus(100 * real, 2)} points"


def minus(value: float, digits: int) -> str:
    """A number with a real minus sign, and none before zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def count(value: Any) -> str:
    """A whole number: "1,000"."""
    real = number(value)
    return ABSENT if real is None else f"{real:,.0f}"


def amount(value: Any, name: str) -> str:
    """So many of something: "1 frame", "1,000 frames"."""
    real = number(value)
    return ABSENT if real is None else f"{real:,.0f} {name}{'' if real == 1 else 's'}"


def size(value: Any) -> str:
    """Bytes: "236,240 bytes"."""
    real = number(value)
    return ABSENT if real is None else f"{real:,.0f} bytes"


def short_size(value: Any) -> str:
    """Bytes in decimal units: "236 kB"."""
    real = number(value)
    if real is None:
        return ABSENT
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if real >= factor:
            return f"{significant(real / factor)} {unit}"
    return f"{real:.0f} bytes"


def joules(value: Any) -> str:
    """Energy in the unit that reads best: "1.70 mJ"."""
    real = number(value)
    if real is None:
        return ABSENT
    for factor, unit in ((1.0, "J"), (1e-3, "mJ")):
        if abs(real) >= factor:
            return f"{significant(real / factor)} {unit}"
    return f"{significant(real / 1e-6)} µJ"


def seconds(value: Any) -> str:
    """Seconds: "12.3 s"."""
    real = number(value)
    return ABSENT if real is None else f"{real:,.1f} s"


def significant(value: float, digits: int = 3) -> str:
    """A number to `digits` significant digits, never in exponent form."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return minus(value, min(places, 9)) if places else f"{value:,.0f}"


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "words"
) -> str:
    """A table of ready HTML cells; the first cell of a row is its header. "" without rows.

    kind: "words", or "figures" to put all but the first column to the right.
    """
    lines = [
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    ]
    if not lines:
        return ""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    top = f"<thead><tr>{columns}</tr></thead>" if head else ""
    body = f"<tbody>{''.join(lines)}</tbody>"
    return scrolled(caption, f'<table class="{kind}">{top}{body}</table>')


def scrolled(caption: str, body: str) -> str:
    """A table that scrolls where it is wider than the page, under its caption, which does not."""
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<div class="scroll">{body}</div></figure>'
    )


def facts(caption: str, values: Mapping[str, Any]) -> str:
    """A two-column table of names and values as they are; nested tables are written out."""
    return table(caption, (), [(escape(named(k)), plain(v)) for k, v in values.items()])


def named(key: str) -> str:
    """A JSON key for people: "resized_by" is "resized by"."""
    return str(key).replace("_", " ")


def plain(value: Any) -> str:
    """Any JSON value as short, escaped text."""
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    if isinstance(value, dict):
        return "<br>".join(f"{escape(named(k))}: {plain(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value) or "none"
    return escape(value)
