"""The page of a build: accuracy, confusion, budget, training, data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.report import write_report

Make = Callable[..., Any]


def test_accuracy_float_against_converted(
    run_page: Make, build_document: Make, parse_page: Make
) -> None:
    page = run_page(build_document())
    text = parse_page(f"<section{page.section('accuracy')}</section>").text
    assert "float 97.80 % 96.7 to 98.5 % 978 of 1,000 907 kB" in text
    assert "int8 97.60 % 96.5 to 98.4 % 976 of 1,000 236 kB" in text
    assert "0.20 points (95 % interval \N{MINUS SIGN}0.28 to 0.68, paired image by image)" in text
    assert "Answers lost: 3, won: 1." in text
    assert "0 10 90.0 % not measured" in text


def test_what_was_repaired_and_how(build_page: Make, build_document: Make) -> None:
    document = build_document()
    document["unrepaired"] = {"accuracy": 0.5, "accuracy_loss": 0.478, "n": 1000, "bytes": 235_000}
    shared = {"n": 750, "bytes": 236_240, "note": ""}
    document["tries"] = [
        {"name": "qat", "accuracy": 0.6, "test_accuracy": None, "passed": False, **shared},
        {
            **{"name": "float_layers", "accuracy": 0.98, "test_accuracy": 0.976, "passed": True},
            **{**shared, "float_layers": ["learned", "mix"]},
        },
    ]
    page = build_page(document)
    for words in (
        "as it was not measured 50.00 % 235 kB",
        "qat 60.00 % not measured 236 kB",
        "float_layers 98.00 % 97.60 % 236 kB kept learned, mix",
    ):
        assert words in page.text, words


def test_a_build_page(build_page: Make, build_document: Make) -> None:
    page = build_page(build_document())
    for words in (
        "Edge SDK build report",
        "Passed.",
        "at most 1.00 points 0.20 points, kept",
        "at most 300,000 bytes 236,240 bytes, kept",
        "at most 40.00 ms checked on the device",
        "training samples 3,500",
        "1 unreadable, left out: images/broken one.jpg: truncated",
        "train reused",
        "data 0.9 s",
        "conv2d_1 CONV_2D 21.4",
        "tensorflow 2.21.0",
        "edge-sdk build RECIPE",
    ):
        assert words in page.text
    assert page.section("training").count("<polyline") == 4
    assert "deadbeef" not in page.source


def test_a_build_page_shows_what_the_build_warned_of(
    build_page: Make, build_document: Make, hostile: str
) -> None:
    page = build_page({**build_document(), "warnings": ["only 12 test images", hostile]})
    assert page.source.count('class="banner warn"') == 2
    assert "Warning: only 12 test images" in page.text and hostile in page.text
    assert 'class="banner warn"' not in build_page(build_document()).source


def test_a_failed_build_says_which_limit(build_page: Make, build_document: Make) -> None:
    document = {**build_document(), "accuracy_loss": 0.0301, "passed": False}
    text = build_page(document).text
    assert "Failed: a limit was exceeded" in text
    assert "3.01 points, exceeded" in text


def test_a_loss_that_equals_its_limit_is_kept(build_page: Make, build_document: Make) -> None:
    document = {**build_document(), "accuracy_loss": 0.99 - 0.98}
    assert "1.00 points, kept" in build_page(document).text


def test_a_packed_model_has_no_accuracy_and_no_training(build_page: Make, run_page: Make) -> None:
    document = {
        "schema": "edge-sdk/build/1",
        "name": "mobilenet",
        "version": "1.0.0",
        "recipe_sha256": None,
        "source_sha256": "ab" * 32,
        "labels": ["a", "b"],
        "dataset": None,
        "float": None,
        "converted": {"accuracy": None, "bytes": 3_577_760, "quantization": "int8"},
        "accuracy_loss": None,
        "budget": None,
        "passed": True,
        "stages": [],
        "steps": [],
    }
    for page in (build_page(document), run_page(document)):
        assert "made without labelled test samples" in page.section("accuracy")
        assert not page.section("training") and not page.section("confusion")
        assert "Model size 3.58 MB" in page.text
        assert "Every limit was kept" not in page.text
    assert "edge-sdk convert MODEL" in build_page(document).text


def test_a_build_document_makes_a_build_page(tmp_path: Path, build_document: Make) -> None:
    path = write_report(tmp_path, "build", build_document())
    assert "Edge SDK build report" in path.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "build.json").read_text(encoding="utf-8")) == build_document()


def test_a_model_estimate_of_a_build(
    build_page: Make, build_document: Make, model_estimate: dict[str, Any]
) -> None:
    assert not build_page(build_document()).section("energy")
    page = build_page({**build_document(), "energy_model": model_estimate})
    assert "MODEL</span> 4.86 mJ" in page.section("energy")


@pytest.mark.parametrize("classes", [2, 3, 20, 21, 100])
def test_a_confusion_matrix_of_any_size(
    build_page: Make, classes: int, build_document: Make, parse_page: Make
) -> None:
    labels = [f"类别 {index}" for index in range(classes)]
    section = build_page(build_document(labels)).section("confusion")
    page = parse_page(f"<section{section}</section>")
    assert "类别 0 类别 1 3 of 10" in page.text
    if classes <= 20:
        assert section.count('class="hit') == classes
        assert section.count('class="miss') == 1
        assert section.count('class="zero"') == classes * (classes - 1) - 1
    else:
        assert section.count('class="fill s1"') == classes
        assert section.count('class="fill bad"') == 1
        assert "类别 0 answered as 类别 1: 3 of 10" in page.text
