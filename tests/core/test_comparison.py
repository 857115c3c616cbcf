"""compare: who is ranked against whom, what each row holds, the table, and the report's page."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import Bundle, Frame, Recognizer, read_image
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.cli.table import main
from edge_sdk.comparison.compare import compare
from edge_sdk.images.image_files import write_image
from edge_sdk.report.comparison_chart import Dot, front, scatter
from edge_sdk.report.comparison_page import write_comparison
from edge_sdk.report.comparison_text import describe, short_names
from edge_sdk.tflite.tiny import tiny_classifier

Make = Callable[..., Any]
ABC = ("a", "b", "c")


class Text(HTMLParser):
    """A page's text, and the addresses that it refers to; unbalanced tags are an error."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.feed(source)
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


@pytest.fixture(scope="module")
def models(tiny_bundle: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles by name: a small one, a larger one, and one that knows another label."""
    options: dict[str, dict[str, Any]] = {
        "small": {"shape": (8, 8, 3), "labels": ABC},
        "large": {"shape": (32, 32, 3), "labels": ABC, "seed": 1},
        "other": {"shape": (8, 8, 3), "labels": (*ABC, "d"), "classes": 4, "seed": 2},
    }
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_bundle(folder, name=name, **of) for name, of in options.items()}


@pytest.fixture(scope="module")
def images(
    models: dict[str, Path], write_images: Make, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A hundred images in the classes that the small bundle finds in them."""
    folder = tmp_path_factory.mktemp("images")
    with Bundle.open(models["small"]) as bundle, Recognizer.open(bundle) as recognizer:
        for path in write_images(tmp_path_factory.mktemp("all"), 100):
            frame: Frame = read_image(path)
            write_image(folder / recognizer(frame).classes[0].label / path.name, frame)
    return folder


@pytest.fixture(scope="module")
def document(models: dict[str, Path], images: Path) -> dict[str, Any]:
    """The three bundles compared."""
    return compare(list(models.values()), data=str(images), rounds=8)


def test_the_larger_and_less_accurate_is_dominated(
    document: dict[str, Any], models: dict[str, Path]
) -> None:
    small, large, _ = document["rows"]
    assert small["accuracy"] == 1.0 and large["accuracy"] < 0.8
    assert small["stored_bytes"] < large["stored_bytes"] and small["macs"] < large["macs"]
    for cost in ("bytes", "macs"):
        assert small["dominated_in"][cost] == []
        assert large["dominated_in"][cost] == [str(models["small"])]
    assert small["dominated_by"] == []  # nothing is as accurate


def test_other_labels_are_not_ranked_against(
    document: dict[str, Any], models: dict[str, Path]
) -> None:
    small, large, other = document["rows"]
    assert [row["group"] for row in document["rows"]] == [0, 0, 1]
    assert other["accuracy"] < 0.8 and other["macs"] > small["macs"]
    assert other["dominated_by"] == [] and all(by == [] for by in other["dominated_in"].values())
    assert other["warnings"][-1] == (
        f"not ranked against {models['small']}: its labels are not the same"
    )
    assert not any("not ranked" in line for row in (small, large) for line in row["warnings"])


def test_a_bundle_costs_preprocess_and_invoke(document: dict[str, Any]) -> None:
    for row in document["rows"]:
        for key in ("invoke_ms", "cost_ms"):
            timing = row[key]
            low, high = timing["interval"]
            assert 0 < timing["min"] <= low <= timing["median"] <= high <= timing["max"]


def test_without_images_nothing_is_ranked(models: dict[str, Path], tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny_classifier())
    document = compare([models["small"], model], rounds=1)
    for row in document["rows"]:
        assert (row["cost_ms"], row["dominated_by"], row["group"]) == (None, None, None)
        assert set(row["dominated_in"].values()) == {None}
        assert row["invoke_ms"]["interval"] is None
    assert "domina" not in describe(document)


def test_a_compressed_model_travels_in_fewer_bytes(tiny_parts: Make, tmp_path: Path) -> None:
    manifest, members = tiny_parts(shape=(32, 32, 3))
    packed, stored = tmp_path / "packed.edge", tmp_path / "stored.edge"
    write_bundle(packed, manifest, members, compressed=["model.tflite"])
    write_bundle(stored, manifest, members)
    first, second = compare([packed, stored], rounds=1)["rows"]
    size = len(members["model.tflite"])
    with zipfile.ZipFile(packed) as archive:
        assert first["stored_bytes"] == archive.getinfo("model.tflite").compress_size < size
    assert first["bytes"] == second["bytes"] == second["stored_bytes"] == size
    assert [first["bundle_bytes"], second["bundle_bytes"]] == [
        path.stat().st_size for path in (packed, stored)
    ]


def test_too_few_rounds_are_said(
    models: dict[str, Path], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", models["small"], models["large"], "--data", images, "--rounds", "7"]
    assert main([*map(str, line)]) == 0
    printed = capsys.readouterr().out
    assert "not ranked: too few rounds" in printed and "*" not in printed


def test_the_report_names_every_row(
    models: dict[str, Path], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "bare.tflite", tmp_path / "out"
    model.write_bytes(tiny_classifier())
    camera = f"folder:{images / 'a'}?fps=max"
    assert main(["run", str(models["small"]), "--camera", camera, "--report", str(tmp_path)]) == 0
    given = [*models.values(), model, tmp_path / "run.json"]
    line = ["compare", *given, "--data", images, "--rounds", "8", "--report", out]
    capsys.readouterr()
    assert main([*map(str, line), "--json"]) == 0
    document = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert document == json.loads(capsys.readouterr().out)
    source = (out / "report.html").read_text(encoding="utf-8")
    page = Text(source)
    for number, path in enumerate(given, start=1):
        assert f"{number}. {path.name}" in page.text
    assert source.count('<svg class="chart"') == 3
    assert source.count("<circle") == 3 * (2 + 3)  # two in each legend
    assert "not measured" in page.text and "not ranked against" in page.text
    assert "1 row without accuracy" in page.text
    assert all(address.startswith("#") for address in page.addresses)


def test_a_report_that_cannot_be_written_is_refused_before_the_minutes(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    line = ["compare", models["small"], models["small"], "--report", tmp_path / "file"]
    assert main([*map(str, line)]) == 1
    assert "cannot write a report" in capsys.readouterr().err


def marked(document: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The document with its second row dominated by the first, and the first row changed."""
    first, second, *rest = document["rows"]
    by = [first["path"]]
    paths = dict.fromkeys(second["dominated_in"], by)
    second = {**second, "dominated_by": by, "dominated_in": paths}
    return {**document, "rows": [{**first, **changed}, second, *rest]}


def test_the_table_marks_the_dominated_and_says_by_whom(document: dict[str, Any]) -> None:
    text = describe(marked(document))
    assert [line.split()[0] for line in text.splitlines()[2:5]] == ["1", "2*", "3"]
    assert "* 2 is dominated by 1" in text


@pytest.mark.parametrize("ms", [0.0, 0.0123, 9.9994, 9999.94])
@pytest.mark.parametrize("size", [0, 999_999, 10**12])
@pytest.mark.parametrize("name", ["a.edge", "模型" * 30, "folder/" * 30 + "digits-1.0.0.edge"])
def test_the_table_is_narrower_than_100_columns(
    document: dict[str, Any], ms: float, size: int, name: str
) -> None:
    timing = {"median": ms, "min": ms, "max": 2 * ms, "interval": None}
    changed = {"invoke_ms": timing, "cost_ms": timing, "stored_bytes": size, "macs": size}
    text = describe(marked(document, path=name, precision="float32", **changed))
    assert max(map(len, text.splitlines())) < 100


def test_the_page_says_who_is_dominated_beside_the_names(
    document: dict[str, Any], tmp_path: Path
) -> None:
    write_comparison(tmp_path, marked(document))
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = source.partition('<section id="table"')[2].partition("</table>")[0]
    assert re.findall('<th scope="col">(.*?)</th>', table)[:3] == ["", "Dominated", "Accuracy"]
    second = [re.sub("<.*?>", "", row.partition("</td>")[0]) for row in table.split("<tr>")[2:]]
    names = [Path(row["path"]).name for row in document["rows"]]
    assert [*map(html.unescape, second)] == [
        f"{number}.\N{NO-BREAK SPACE}{name}{words}"
        for number, (name, words) in enumerate(zip(names, ("no", "by 1", "no"), strict=True), 1)
    ]


def test_the_page_holds_against_names(document: dict[str, Any], tmp_path: Path) -> None:
    hostile = marked(document, path='</svg><b>&".edge', warnings=["<script>"], precision="<i>")
    write_comparison(tmp_path, hostile)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<b>&".edge' in Text(source).text
    assert "<script>" not in source and "<i>" not in source and "<b>" not in source


def test_names_are_as_long_as_they_must_be() -> None:
    assert short_names(["x/a.edge", "y/b.edge"]) == ["a.edge", "b.edge"]
    assert short_names(["x/a.edge", "y/a.edge", "a.edge"]) == ["x/a.edge", "y/a.edge", "a.edge"]
    assert short_names(["x/a.edge", "x/a.edge"]) == ["a.edge", "a.edge"]


ranges = st.tuples(st.floats(0.01, 1), st.floats(1, 2))
dots = st.lists(
    st.builds(
        lambda number, x, y, across, up, dominated, group: Dot(
            str(number),
            "words <&>",
            x,
            y,
            across and (x * across[0], x * across[1]),
            up and (y * up[0], min(100.0, y * up[1])),
            dominated,
            group,
        ),
        st.integers(1, 256),
        st.floats(0, 1e9).filter(lambda x: x == 0 or x > 1e-6),
        st.floats(0, 100),
        st.none() | ranges,
        st.none() | ranges,
        st.booleans(),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=9,
)


@given(dots)
def test_a_scatter_stays_on_its_canvas(given_dots: list[Dot]) -> None:
    root = ElementTree.fromstring(scatter("Accuracy <&>", given_dots))
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    circles = [one for one in root.iter("circle") if one.find("title") is not None]
    assert len(circles) == len(given_dots)
    for circle, dot in zip(circles, given_dots, strict=True):
        assert ("fill" in circle.attrib["class"].split()) != dot.dominated
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height


@given(dots)
def test_the_front_rises_over_everything_cheaper(given_dots: list[Dot]) -> None:
    for group in range(3):
        kept = [dot for dot in given_dots if dot.group == group and not dot.dominated]
        line = front(given_dots, group)
        assert bool(line) == bool(kept)
        assert all(a.x < b.x and a.y < b.y for a, b in pairwise(line))
        for dot in kept:
            assert any(one.x <= dot.x and one.y >= dot.y for one in line)


def test_labels_of_neighbours_stand_apart() -> None:
    root = ElementTree.fromstring(scatter("", [Dot(str(n), "", 1.0, 97.0) for n in range(1, 7)]))
    names = [one.attrib for one in root.iter("text") if one.attrib.get("class") == "name"]
    places = [(float(one["x"]), float(one["y"])) for one in names]
    for index, (x, y) in enumerate(places):
        assert all(abs(x - a) >= 7 or abs(y - b) >= 11 for a, b in places[:index])


def test_costs_far_apart_stand_on_a_logarithmic_axis() -> None:
    def gaps(*costs: float) -> list[float]:
        root = ElementTree.fromstring(scatter("", [Dot("1", "", x, 90.0) for x in costs]))
        xs = [float(c.attrib["cx"]) for c in root.iter("circle") if c.find("title") is not None]
        return [b - a for a, b in pairwise(xs)]

    first, second = gaps(1, 10, 100)
    assert first == pytest.approx(second, abs=0.2)
    first, second = gaps(1, 2, 4)
    assert second == pytest.approx(2 * first, abs=0.2)
    assert max(gaps(100, 101, 102)) < 30  # 1 % apart looks like 1 %
