"""Charts: well-formed SVG whose shapes stand where the values are, whatever the values."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_sdk.report import charts

values = st.floats(0, 1e6, allow_nan=False) | st.sampled_from([0.0, 1e-6])


def drawn(svg: str) -> ElementTree.Element:
    """The chart as XML, with every coordinate on or near the canvas."""
    root = ElementTree.fromstring(svg)
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for shape in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            if name in shape.attrib:
                assert -2 <= float(shape.attrib[name]) <= width + 2
        for name in ("y", "y1", "y2", "cy"):
            if name in shape.attrib:
                assert -2 <= float(shape.attrib[name]) <= height + 2
    return root


def shapes(root: ElementTree.Element, tag: str, kind: str) -> list[dict[str, str]]:
    return [one.attrib for one in root.iter(tag) if kind in one.attrib.get("class", "")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (96.5, 98.4, [97, 98])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    about = 5 if high <= 10 else 2
    assert charts.ticks(low, high, about) == pytest.approx(expected)


def test_a_histogram_puts_bars_where_the_counts_are_and_names_the_marks() -> None:
    bins = [(1.0, 2.0, 10), (2.0, 3.0, 80), (3.0, 4.0, 10)]
    root = drawn(charts.histogram("Latency", bins, {"p50": 2.5, "p90": 3.01}))
    bars = shapes(root, "rect", "s1")
    tallest = max(bars, key=lambda bar: float(bar["height"]))
    marks = shapes(root, "line", "mark")
    labels = [text.text for text in root.iter("text") if text.attrib.get("class") == "name"]
    assert labels == ["p50 2.50", "p90 3.01"]
    assert float(bars[0]["x"]) < float(tallest["x"]) < float(marks[1]["x1"])
    assert float(marks[0]["x1"]) < float(marks[1]["x1"])


def test_a_histogram_keeps_every_count_within_its_range() -> None:
    bins = [(0.9 + i / 1000, 0.9 + (i + 1) / 1000, 1 + i % 3) for i in range(200)]
    root = drawn(charts.histogram("Latency", bins, {}))
    areas = [float(bar["height"]) for bar in shapes(root, "rect", "s1")]
    assert len(areas) in (47, 48)
    assert max(areas) < 2 * min(areas[:-2])


def test_a_long_tail_is_cut_and_counted() -> None:
    bins = [(1.0, 1.1, 999.0), (500.0, 501.0, 1.0)]
    root = drawn(charts.histogram("Latency", bins, {"p50": 1.05}))
    assert charts.beyond(bins, {"p50": 1.05}) == 1
    assert len(shapes(root, "rect", "s1")) > 20
    assert charts.beyond(bins, {"p99": 502.0}) == 0


def test_lines_break_at_gaps_and_a_single_point_is_a_dot() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 1.0)]
    root = drawn(charts.lines("Age", {"p50": points, "max": [(0.0, 4.0), (3.0, 4.0)]}))
    assert len(shapes(root, "polyline", "s1")) == 1
    assert len(shapes(root, "circle", "s1")) == 1
    assert len(shapes(root, "polyline", "s2")) == 1


@pytest.mark.parametrize("high", [1.0, 0.9987])
def test_no_label_of_an_interval_is_cut(high: float) -> None:
    """A letter of a common sans-serif is up to 0.64 em wide, an em here is 11 px."""
    root = drawn(charts.intervals("Accuracy", [("float", high, high - 0.0009, high)]))
    labels = [text for text in root.iter("text") if text.attrib.get("text-anchor") == "middle"]
    assert labels
    for label in labels:
        half = 0.64 * 11 * len(label.text or "") / 2
        assert half <= float(label.attrib["x"]) <= charts.WIDTH - half + 0.5


def test_intervals_stand_in_order_with_their_dot_between_the_ends() -> None:
    root = drawn(charts.intervals("Accuracy", [("float", 0.98, 0.96, 0.99), ("int8", 0.5, 0, 1)]))
    for kind in ("s1", "s2"):
        (line,), (dot,) = shapes(root, "line", kind), shapes(root, "circle", kind)
        assert float(line["x1"]) < float(dot["cx"]) < float(line["x2"])


def test_a_stacked_bar_is_cut_by_share() -> None:
    root = ElementTree.fromstring(charts.stacked("Stages", {"a": 1.0, "b": 3.0}))
    assert [float(part["width"]) for part in shapes(root, "rect", "fill")] == [25.0, 75.0]


def test_a_heat_map_says_each_cell() -> None:
    root = drawn(charts.heat_map("Confusion", ["a<b", "c"], [[3, 1], [0, 4]]))
    titles = [title.text for title in root.iter("title")]
    assert titles[1:] == [
        "a<b answered as a<b: 3 of 4",
        "a<b answered as c: 1 of 4",
        "c answered as c: 4 of 4",
    ]


def test_nothing_to_draw_is_no_chart() -> None:
    assert charts.histogram("x", [], {}) == ""
    assert charts.histogram("x", [(1.0, 1.0, 5.0), (2.0, 3.0, 0.0)], {"p50": 1.0}) == ""
    assert charts.lines("x", {"a": [(0.0, None)]}) == ""
    assert charts.bars("x", []) == ""
    assert charts.intervals("x", []) == ""
    assert charts.stacked("x", {"a": 0.0}) == ""


@given(bins=st.lists(st.tuples(values, values, values), max_size=8), mark=values)
@example(bins=[(0.0, 1.0, 5e-324)], mark=0.0)
@example(bins=[(0.0, 5e-324, 1.0)], mark=0.0)
@example(bins=[(0.0, 5e-324, 5e-324), (1.0, 2.0, 3.0)], mark=24.0)
def test_any_histogram_is_well_formed(bins: list[charts.Bin], mark: float) -> None:
    svg = charts.histogram("any", bins, {"p50": mark})
    assert charts.beyond(bins, {"p50": mark}) >= 0
    if svg:
        drawn(svg)


@given(points=st.lists(st.tuples(values, values | st.none()), max_size=8), zero=st.booleans())
def test_any_line_is_well_formed(points: list[charts.Point], zero: bool) -> None:
    for svg in (
        charts.lines("any", {"a": points, "b": points[:1]}, zero=zero),
        charts.bars("any", [(x, y or 0.0) for x, y in points]),
    ):
        if svg:
            drawn(svg)


@given(
    ys=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), zero=st.booleans()
)
@example(ys=[1e308, -1e308], zero=False)
@example(ys=[5e-324, 0.0], zero=True)
def test_no_finite_value_is_too_much_for_a_line(ys: list[float], zero: bool) -> None:
    svg = charts.lines("any", {"a": list(enumerate(ys))}, zero=zero)
    assert bool(svg) == any(abs(y) <= charts.MAX for y in ys)
    if svg:
        drawn(svg)


def test_a_value_beyond_all_measure_is_a_gap() -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 1e308), (4.0, 0.3), (5.0, 0.2)]
    root = drawn(charts.lines("Loss", {"training": points}))
    assert len(shapes(root, "polyline", "s1")) == 2
