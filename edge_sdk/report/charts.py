"""Charts: pure functions from values to SVG text.

Every chart is drawn on a canvas as wide as a phone and scales with its column. Colours are classes
of the page's style sheet (s1, s2 ... for series), so that light, dark and print need no second
drawing. Titles are escaped here; values are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_sdk.report.markup import escape, significant

MAX, MIN = 1e12, 1e-12
"""Nothing measured is larger than the first, or told apart from 0 below the second."""

WIDTH, HEIGHT = 420, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 12, 26
_LETTER = 7
"""Width of a letter on the canvas, in a wide font: 0.64 of 11 px."""

_NOTHING = 1e-150
"""Widths and counts of bins up to this are none: the product of two would underflow."""

Bin = tuple[float, float, float]
Point = tuple[float, float | None]


@dataclass(frozen=True)
class Plot:
    """A rectangle of data on the canvas: x from x0 to x1, y from y0 (bottom) to y1."""

    x0: float
    x1: float
    y0: float
    y1: float
    top: int = _TOP

    def x(self, value: float) -> float:
        """Canvas x of a data x."""
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - self.x0) / (self.x1 - self.x0)

    def y(self, value: float) -> float:
        """Canvas y of a data y."""
        high = HEIGHT - _BOTTOM
        return high - (high - self.top) * (value - self.y0) / (self.y1 - self.y0)

    def grid(self, xs: Mapping[float, str] | None = None) -> str:
        """Horizontal rules with the values of y, and the values of x below: `xs`, or round ones."""
        rules = [
            f'<line class="rule" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{self.y(v):.1f}"'
            f' y2="{self.y(v):.1f}"/><text x="{_LEFT - 7}" y="{self.y(v) + 3.5:.1f}"'
            f' text-anchor="end">{tick(v)}</text>'
            for v in ticks(self.y0, self.y1)
        ]
        if xs is None:
            xs = {value: tick(value) for value in ticks(self.x0, self.x1, about=7)}
        labels = [_under(self.x(v), HEIGHT - 8, text) for v, text in xs.items()]
        return "".join(rules + labels)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between `low` and `high`, in steps of 1, 2 or 5 times a power of ten."""
    span = (high - low) / about
    power = 10.0 ** math.floor(math.log10(span))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= span * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick(value: float) -> str:
    """A round value without trailing zeros."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.10g}k"
    return f"{value:.10g}".replace("-", "\N{MINUS SIGN}")


def histogram(title: str, bins: Sequence[Bin], marks: Mapping[str, float | None]) -> str:
    """Bars of (low, high, count) up to the 99.5th percentile, and a named line at each mark.

    Narrow bins are gathered into 48 bars. Marks without a value are left out. "" without counts.
    """
    used = [one for one in bins if one[0] >= 0 and min(one[1] - one[0], one[2]) > _NOTHING]
    if not used:
        return ""
    low, high = min(one[0] for one in used), _upper(used, marks)
    heights = _gather(used, low, high, 48)
    left = max(0.0, low - 0.04 * (high - low))
    plot = Plot(left, high, 0, max(heights) * 1.05, top=_TOP + 14 * len(marks))
    step = (high - low) / len(heights)
    shapes = [
        f'<rect class="fill s1" x="{plot.x(low + i * step):.2f}" y="{plot.y(bar):.2f}"'
        f' width="{max(0.5, plot.x(step) - plot.x(0) - 0.6):.2f}"'
        f' height="{plot.y(0) - plot.y(bar):.2f}"/>'
        for i, bar in enumerate(heights)
        if bar > 0
    ]
    drawn = [
        _mark(plot, name, value, row)
        for row, (name, value) in enumerate(marks.items())
        if value is not None and plot.x0 <= value <= plot.x1
    ]
    return svg(title, plot.grid() + "".join(shapes + drawn))


def beyond(bins: Sequence[Bin], marks: Mapping[str, float | None]) -> float:
    """Number of counts above the range that `histogram` draws."""
    used = [one for one in bins if one[1] > one[0] >= 0 and one[2] > 0]
    if not used:
        return 0
    high = _upper(used, marks)
    return sum(one[2] for one in used if one[0] >= high)


def lines(title: str, series: Mapping[str, Sequence[Point]], *, zero: bool = True) -> str:
    """One line for each series of (x, y), in the colours s1, s2 ...; a y of None is a gap.

    zero: y starts at 0. "" without points. A value beyond MAX is a gap too: a diverged training
    has them, and no axis could hold it beside the others.
    """
    series = {name: _drawable(points) for name, points in series.items()}
    known = [(x, y) for points in series.values() for x, y in points if y is not None]
    if not known:
        return ""
    xs, ys = [x for x, _ in known], [y for _, y in known]
    plot = Plot(min(xs), _above(min(xs), max(xs)), *padded(min(ys), max(ys), zero=zero))
    shapes = [
        shape
        for index, points in enumerate(series.values(), start=1)
        for shape in _strokes(plot, points, f"s{index}")
    ]
    return svg(title, plot.grid() + "".join(shapes))


def bars(title: str, points: Sequence[tuple[float, float]], kind: str = "bad") -> str:
    """A bar at each x. "" without points."""
    if not points:
        return ""
    xs = [x for x, _ in points]
    plot = Plot(min(xs), _above(min(xs), max(xs)), 0, max(1.0, *(y for _, y in points)) * 1.05)
    width = max(1.0, min(14.0, 0.7 * (WIDTH - _LEFT - _RIGHT) / len(points)))
    shapes = [
        f'<rect class="fill {kind}" x="{plot.x(x) - width / 2:.2f}" y="{plot.y(y):.2f}"'
        f' width="{width:.2f}" height="{plot.y(0) - plot.y(y):.2f}"/>'
        for x, y in points
        if y > 0
    ]
    return svg(title, plot.grid() + "".join(shapes))


def intervals(title: str, rows: Sequence[tuple[str, float, float, float]]) -> str:
    """A dot with its interval for each (name, value, low, high) of shares, one below the other."""
    if not rows:
        return ""
    low, high = min(row[2] for row in rows), max(row[3] for row in rows)
    pad = max(0.002, 0.15 * (high - low))
    plot = Plot(100 * max(0, low - pad), 100 * min(1, high + pad), 0, 1)
    base = 18 + 46 * len(rows)
    shapes = [
        f'<line class="rule" x1="{plot.x(v):.1f}" x2="{plot.x(v):.1f}" y1="8" y2="{base}"/>'
        f"{_under(plot.x(v), base + 16, f'{tick(v)} %')}"
        for v in ticks(plot.x0, plot.x1, about=4)
    ]
    for index, (name, value, least, most) in enumerate(rows, start=1):
        y = 46 * index - 12
        shapes.append(
            f'<text class="name" x="{plot.x(100 * least):.1f}" y="{y - 12}">{escape(name)}</text>'
            f'<line class="line s{index}" x1="{plot.x(100 * least):.1f}"'
            f' x2="{plot.x(100 * most):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="fill s{index}" cx="{plot.x(100 * value):.1f}" cy="{y}" r="5"/>'
        )
    return svg(title, "".join(shapes), height=base + 24)


def stacked(title: str, parts: Mapping[str, float]) -> str:
    """One bar cut into parts in the colours s1, s2 ...; stretches to its column."""
    total = sum(parts.values())
    if total <= 0:
        return ""
    shapes, x = [], 0.0
    for index, value in enumerate(parts.values(), start=1):
        width = 100 * value / total
        shapes.append(
            f'<rect class="fill s{index}" x="{x:.3f}" y="0" width="{width:.3f}" height="8"/>'
        )
        x += width
    return (
        f'<svg class="stack" viewBox="0 0 100 8" preserveAspectRatio="none" role="img">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )


def heat_map(title: str, labels: Sequence[str], counts: Sequence[Sequence[float]]) -> str:
    """A square of cells, rows the truth, for matrices too large to print numbers in."""
    size = len(labels)
    cell = 400 / size
    shapes = []
    for row, values in enumerate(counts):
        total = sum(values)
        for column, value in enumerate(values):
            if value <= 0:
                continue
            kind = "s1" if row == column else "bad"
            words = f"{labels[row]} answered as {labels[column]}: {value:,.0f} of {total:,.0f}"
            shapes.append(
                f'<rect class="fill {kind}" x="{column * cell:.2f}" y="{row * cell:.2f}"'
                f' width="{cell:.2f}" height="{cell:.2f}" fill-opacity="{heat(value, total):.2f}">'
                f"<title>{escape(words)}</title></rect>"
            )
    return (
        f'<svg class="map" viewBox="-1 -1 402 402" role="img"><title>{escape(title)}</title>'
        f'<rect class="edge" x="-0.5" y="-0.5" width="401" height="401"/>{"".join(shapes)}</svg>'
    )


def heat(value: float, total: float) -> float:
    """Strength of a cell's colour, 0..1: the cube root of its share; one error shows."""
    return math.cbrt(value / total) if total > 0 and value > 0 else 0.0


def _under(x: float, y: int, text: str) -> str:
    """A label centred at x, moved inwards where the canvas would cut it."""
    half = _LETTER * len(text) / 2
    x = max(half, min(x, WIDTH - half))
    return f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{text}</text>'


def svg(title: str, body: str, *, height: int = HEIGHT) -> str:
    """The canvas around a chart's shapes; its title is escaped here."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _upper(bins: Sequence[Bin], marks: Mapping[str, float | None]) -> float:
    """The right end of a histogram: the 99.5th percentile or the last mark, with some air."""
    wanted, seen, high = 0.995 * sum(one[2] for one in bins), 0.0, 0.0
    for _, end, number in sorted(bins):
        seen, high = seen + number, end
        if seen >= wanted:
            break
    high = max([high, *(value for value in marks.values() if value is not None)])
    low = min(one[0] for one in bins)
    return _above(low, high + 0.04 * (high - low))


def _gather(bins: Iterable[Bin], low: float, high: float, bars: int) -> list[float]:
    """Counts in equal steps from `low` to `high`; a bin is shared out by its overlap."""
    step, found = (high - low) / bars, [0.0] * bars
    for start, end, number in bins:
        first = max(0, int((start - low) / step))
        for index in range(first, min(bars, int((end - low) / step) + 1)):
            left, right = low + index * step, low + (index + 1) * step
            overlap = max(0.0, min(end, right) - max(start, left))
            found[index] += number * overlap / (end - start)
    return found


def _mark(plot: Plot, name: str, value: float, row: int) -> str:
    x, y = plot.x(value), 12 + 14 * row
    turned = x > WIDTH * 0.62
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{plot.y(0):.1f}"/>'
        f'<text class="name" x="{x + (-5 if turned else 5):.1f}" y="{y + 1}"'
        f' text-anchor="{"end" if turned else "start"}">{escape(name)} {significant(value)}</text>'
    )


def _strokes(plot: Plot, points: Sequence[Point], kind: str) -> list[str]:
    """Poly-lines between gaps; a point alone is a dot."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((plot.x(x), plot.y(y)))
    shapes = []
    for run in runs:
        if len(run) == 1:
            (x, y) = run[0]
            shapes.append(f'<circle class="fill {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        elif run:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            shapes.append(f'<polyline class="line {kind}" points="{path}"/>')
    return shapes


def _drawable(points: Iterable[Point]) -> list[Point]:
    """Points within reach of an axis; a y that is not becomes None."""
    return [(x, None if y is None else _reached(y)) for x, y in points if abs(x) <= MAX]


def _reached(value: float) -> float | None:
    if abs(value) > MAX:
        return None
    return value if abs(value) >= MIN else 0.0


def padded(low: float, high: float, *, zero: bool) -> tuple[float, float]:
    """The ends of an axis that holds `low` to `high` with some air; zero: it begins at 0."""
    if zero:
        return min(0.0, low), _above(0.0, high * 1.08)
    pad = 0.08 * (high - low) or 0.01 * abs(high) or 0.01
    return low - pad, high + pad


def _above(low: float, high: float) -> float:
    """`high`, or something above `low` where the two are equal."""
    return high if high > low else low + (abs(low) or 1.0)
