"""What holds for every report: whole pages, kept documents, and hostile or broken records."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import FileError
from edge_sdk.report import write_report
from edge_sdk.report.gallery import Exhibit, Gallery, gallery_section

Make = Callable[..., Any]


def test_the_document_is_kept_to_the_last_digit_beside_its_page(
    tmp_path: Path, run_document: Make, build_document: Make
) -> None:
    document = {**run_document(), "fps": 29.929310344827586, "camera": "folder:图片"}
    page = write_report(tmp_path / "报告 1", "run", document, build_document())
    assert page == tmp_path / "报告 1" / "report.html"
    text = (tmp_path / "报告 1" / "run.json").read_text(encoding="utf-8")
    assert json.loads(text) == document
    assert "图片" in text
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "run.json"]


def test_a_name_that_is_not_utf8_is_kept_in_json_and_shown_in_the_page(
    tmp_path: Path, run_document: Make
) -> None:
    document = {**run_document(), "camera": "folder:b\udcffd"}
    page = write_report(tmp_path, "run", document)
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == document
    assert "folder:b?d" in page.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_an_error_with_a_fix(
    tmp_path: Path, run_document: Make
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError) as caught:
        write_report(tmp_path / "file", "run", run_document())
    assert caught.value.fix


def test_a_page_needs_no_script_and_no_network(
    run_page: Make, build_document: Make, model_estimate: dict[str, Any]
) -> None:
    page = run_page(build_document(), energy_model=model_estimate)
    assert page.count("script") == page.count("link") == page.count("img") == 0
    assert "@import" not in page.source and "url(" not in page.source
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src"):
                assert value is not None and value.startswith("#")
    assert "default-src 'none'" in page.source


def test_a_page_can_be_read_by_everyone(
    run_page: Make, build_document: Make, model_estimate: dict[str, Any]
) -> None:
    page = run_page(build_document(), energy_model=model_estimate)
    anchors = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {f"#{anchor}" for anchor in anchors}
    assert page.count("h1") == 1
    assert page.count("figcaption") == page.count("figure")
    captioned = page.source.count('</figcaption><div class="scroll"><table')
    assert captioned == page.count("table") > 10
    assert page.count("title") == page.count("svg") + 1
    assert ("html", {"lang": "en"}) in page.tags
    assert "prefers-color-scheme: dark" in page.source and "@media print" in page.source


def test_hostile_labels_names_and_files_stay_text(
    run_page: Make, build_document: Make, hostile: str
) -> None:
    labels = [hostile, '"><img src=x onerror=alert(1)>', "{0}{style}", "a\x00b"]
    build = build_document(labels)
    build["dataset"]["unreadable"] = [f"{hostile}.jpg"] * 30
    build["converted"]["quantization"] = hostile
    build["versions"] = {hostile: {hostile: [hostile]}}
    build["history"] = {"loss": [hostile], "accuracy": hostile}
    page = run_page(
        build,
        bundle={"name": hostile, "version": "</title>", "path": "a b'; rm -rf ~.edge"},
        camera=f"folder:{hostile}",
        invalid_because=hostile,
        valid=False,
        stages={hostile: {"p50": 1.0}},
        machine={"cpu": hostile},
    )
    assert page.count("script") == page.count("img") == 0
    assert hostile in page.text and "{0}{style}" in page.text
    assert "and 10 more" in page.text
    assert """'a b'"'"'; rm -rf ~.edge'""" in page.text


def test_a_missing_key_never_breaks_a_page(
    run_page: Make, run_document: Make, build_document: Make
) -> None:
    for key in run_document():
        run_page(build_document(), **{key: None})
    for key in build_document():
        run_page({**build_document(), key: None})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data=st.data())
def test_a_strangers_build_record_never_breaks_a_page(
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    run_document: Make,
    build_document: Make,
    parse_page: Make,
) -> None:
    """A bundle's record is whatever its maker wrote: any value at any place of it."""
    build = deepcopy(build_document(["a", "b", "c"]))
    place: Any = build
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = place[key]
    folder = tmp_path_factory.getbasetemp() / "stranger"
    page = write_report(folder, "run", run_document(), build)
    parse_page(page.read_text(encoding="utf-8"))


def test_images_stand_in_the_page_itself() -> None:
    gallery = Gallery("worst", "Worst", "The <surest> mistakes.", [Exhibit(b"\x89PNG", "a < b")])
    section = gallery_section(gallery)
    assert 'src="data:image/png;base64,iVBORw=="' in section.body
    assert "a &lt; b" in section.body and "&lt;surest&gt;" in section.body
    assert gallery_section(Gallery("none", "None", "Nothing.", [])).body == ""
