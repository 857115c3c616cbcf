"""The Pareto plot: accuracy against a cost, with intervals, the front, and who is dominated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge_sdk.report.charts import HEIGHT, WIDTH, Plot, padded, svg, tick, ticks
from edge_sdk.report.markup import escape

LOGARITHMIC = 10
"""Costs further apart than this factor stand on a logarithmic axis."""

_AIR = 0.1
_MAX_TICKS = 7
_COLOURS = ("s1", "s2", "s3", "s4")
_RADIUS = 5
_LEGEND = 30
"""Height of the canvas that the legend takes."""

_LETTER, _LINE = 7, 11
_PLACES = ((9, -6), (-9, -6), (9, 14), (-9, 14), (0, -11), (0, 19), (16, 4), (-16, 4))
"""Places of a label, the best first: from the dot to that end or middle of its baseline."""

Range = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Dot:
    """One of the compared. label: a short name; words: what a mouse over it shows; x: its cost,
    at least 0; y: its accuracy in percent; around_x, around_y: intervals. Each group has its front.
    """

    label: str
    words: str
    x: float
    y: float
    around_x: Range | None = None
    around_y: Range | None = None
    dominated: bool = False
    group: int = 0

    @property
    def xs(self) -> Range:
        """The interval of x; x twice without one."""
        return self.around_x or (self.x, self.x)

    @property
    def ys(self) -> Range:
        """The interval of y; y twice without one."""
        return self.around_y or (self.y, self.y)


def scatter(title: str, dots: Sequence[Dot]) -> str:
    """Filled dots, hollow ones for the dominated, whiskers for intervals, a stepped line along each
    front; a colour for each group. "" without dots.
    """
    if not dots:
        return ""
    place = _Place(dots)
    shapes = [place.plot.grid(place.ticks), _legend()]
    shapes += [_whiskers(place, dot) for dot in dots]
    shapes += [_steps(place, front(dots, group)) for group in sorted({dot.group for dot in dots})]
    shapes += [_circle(place, dot) for dot in dots]
    return svg(title, "".join(shapes) + _labels(place, dots))


def front(dots: Iterable[Dot], group: int = 0) -> list[Dot]:
    """Those of a group along which its line runs, by cost: not dominated, and each more accurate
    than all cheaper ones. Dots beside the line are not significantly worse than those on it.
    """
    kept = [dot for dot in dots if dot.group == group and not dot.dominated]
    found: list[Dot] = []
    for dot in sorted(kept, key=lambda dot: (dot.x, -dot.y)):
        if not found or dot.y > found[-1].y:
            found.append(dot)
    return found


class _Place:
    """Positions of values on the canvas; the cost's axis is logarithmic where it spans much."""

    def __init__(self, dots: Sequence[Dot]) -> None:
        low, high = min(dot.xs[0] for dot in dots), max(dot.xs[1] for dot in dots)
        self._logarithmic = low > 0 and high / low >= LOGARITHMIC
        bottom, top = padded(min(d.ys[0] for d in dots), max(d.ys[1] for d in dots), zero=False)
        left, right = padded(self._scaled(low), self._scaled(high), zero=False)
        if not self._logarithmic:  # a difference of 1 % must not look like one of 100 %
            left, right = min(left, (1 - _AIR) * low), max(right, (1 + _AIR) * high)
        self.plot = Plot(left, right, max(0.0, bottom), top, top=_LEGEND)

    @property
    def ticks(self) -> dict[float, str]:
        """Round costs by where they stand."""
        left, right = self.plot.x0, self.plot.x1
        values = _decades(left, right) if self._logarithmic else ticks(left, right, about=6)
        return {self._scaled(value): tick(value) for value in values}

    def x(self, cost: float) -> float:
        """Canvas x."""
        return self.plot.x(self._scaled(cost))

    def y(self, accuracy: float) -> float:
        """Canvas y."""
        return self.plot.y(accuracy)

    def _scaled(self, cost: float) -> float:
        return math.log10(cost) if self._logarithmic else cost


def _decades(left: float, right: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between 10**left and 10**right; fewer where it is many."""
    powers = range(math.floor(left), math.ceil(right) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [
            factor * 10.0**power
            for power in powers
            for factor in factors
            if left <= math.log10(factor) + power <= right
        ]
        if len(found) <= _MAX_TICKS:
            break
    return found[:: math.ceil(len(found) / _MAX_TICKS) or 1]


def _legend() -> str:
    """The legend above the plot: filled and hollow dots, line, whiskers."""
    return (
        '<circle class="fill s1" cx="52" cy="12" r="5"/><text x="62" y="16">not dominated</text>'
        '<circle class="line s5" cx="158" cy="12" r="5"/><text x="168" y="16">dominated</text>'
        '<path class="line s1" d="M240 12h18"/><text x="264" y="16">front</text>'
        '<path class="line s5" style="stroke-width:1" d="M308 12h18"/>'
        '<text x="332" y="16">95 % interval</text>'
    )


def _colour(dot: Dot) -> str:
    return "s5" if dot.dominated else _COLOURS[dot.group % len(_COLOURS)]


def _whiskers(place: _Place, dot: Dot) -> str:
    x, y = place.x(dot.x), place.y(dot.y)
    (left, right), (low, high) = dot.xs, dot.ys
    across = f"M{place.x(left):.1f} {y:.1f}H{place.x(right):.1f}"
    upward = f"M{x:.1f} {place.y(low):.1f}V{place.y(high):.1f}"
    return f'<path class="line {_colour(dot)}" style="stroke-width:1" d="{across}{upward}"/>'


def _steps(place: _Place, dots: Sequence[Dot]) -> str:
    """From each dot of a front to the right, then up to the next."""
    if len(dots) < 2:
        return ""
    corners = [(dots[0].x, dots[0].y)]
    for before, after in pairwise(dots):
        corners += [(after.x, before.y), (after.x, after.y)]
    path = " ".join(f"{place.x(x):.1f},{place.y(y):.1f}" for x, y in corners)
    return f'<polyline class="line {_colour(dots[0])}" points="{path}"/>'


def _circle(place: _Place, dot: Dot) -> str:
    look = 'line s5" style="fill:var(--paper)' if dot.dominated else f"fill {_colour(dot)}"
    return (
        f'<circle class="{look}" cx="{place.x(dot.x):.1f}" cy="{place.y(dot.y):.1f}"'
        f' r="{_RADIUS}"><title>{escape(dot.words)}</title></circle>'
    )


def _labels(place: _Place, dots: Sequence[Dot]) -> str:
    """Each label beside its dot, where it covers no dot and no other label if there is such."""
    taken = [_around(place.x(dot.x), place.y(dot.y)) for dot in dots]
    shapes = []
    for dot in dots:
        boxes = {step: _box(place, dot, step) for step in _PLACES}
        step = min(_PLACES, key=lambda step: _trouble(boxes[step], taken))
        taken.append(boxes[step])
        left, _, right, bottom = boxes[step]
        shapes.append(
            f'<text class="name" x="{(left + right) / 2:.1f}" y="{bottom:.1f}"'
            f' text-anchor="middle">{escape(dot.label)}</text>'
        )
    return "".join(shapes)


def _around(x: float, y: float) -> Box:
    return (x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS)


def _box(place: _Place, dot: Dot, step: tuple[int, int]) -> Box:
    """Left, top, right and bottom of a label at that step from its dot."""
    width = _LETTER * len(dot.label)
    x, bottom = place.x(dot.x) + step[0], place.y(dot.y) + step[1]
    left = x - width / 2 if step[0] == 0 else x if step[0] > 0 else x - width
    return (left, bottom - _LINE, left + width, bottom)


def _trouble(box: Box, taken: Iterable[Box]) -> int:
    """Number of boxes that it overlaps; leaving the canvas counts most."""
    left, top, right, bottom = box
    outside = left < 0 or right > WIDTH or top < 0 or bottom > HEIGHT
    met = sum(
        left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
        for other in taken
    )
    return 1000 * outside + met
