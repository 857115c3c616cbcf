"""A network that plain int8 ruins, and what a build makes of it: the real steps, end to end."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from document_types import check_document
from edge_converter import BuildReport, Recipe, build
from edge_converter.builder.build_report import describe
from edge_sdk import Frame
from edge_sdk.errors import GateFailed
from edge_sdk.images.image_files import write_image
from listeners import Lines

pytestmark = pytest.mark.slow

RECIPE = """
name = "broken"
[data]
source = "folder:images"
[input]
width = 96
height = 12
color = "gray"
mean = [0.0]
std = [1.0]
[model]
name = "python:edge_converter.recipes.broken_int8:network"
[train]
epochs = 12
learning_rate = 0.003
patience = 0
[quantize]
repair = ["float_layers"]
[budget]
accuracy_loss = 0.05
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upright stripes: what the rows add up to, which is all that is left in int8, tells nothing
    of them.
    """
    folder, random = tmp_path_factory.mktemp("broken"), np.random.default_rng(0)
    for column, label in ((8, "left"), (40, "middle"), (72, "right")):
        for index in range(40):
            pixels = random.integers(0, 100, (12, 96), np.uint8)
            pixels[:, column : column + 12] = 200
            write_image(folder / "images" / label / f"{index}.png", Frame(pixels, "gray"))
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def repaired(recipe_file: Path) -> tuple[BuildReport, list[str]]:
    said = Lines("note", "warning")
    return build(Recipe.load(recipe_file), listen=said), said


def test_it_is_repaired_and_the_record_says_what_from_and_how(
    repaired: tuple[BuildReport, list[str]],
) -> None:
    report, said = repaired
    document = report.document
    check_document(document)
    before, passed = document["unrepaired"], document["tries"][-1]
    assert document["float"]["accuracy"] >= 0.95
    assert before["accuracy_loss"] >= 0.2
    assert (report.passed, passed["passed"], passed["name"]) == (True, True, "float_layers")
    assert report.accuracy_loss is not None and report.accuracy_loss <= 0.05
    worst = [one["name"] for one in document["worst_layers"]]
    assert set(passed["float_layers"]) & set(worst)
    (line,) = [line for line in said if line.startswith("repair: int8 loses")]
    assert f"worst layers: {worst[0]} (" in line and "5.00 points allowed" in line


def test_it_is_not_called_int8(repaired: tuple[BuildReport, list[str]]) -> None:
    report = repaired[0]
    assert report.document["converted"]["quantization"] == "mixed"
    left = report.document["left_in_float"]
    assert "FULLY_CONNECTED" in left
    shown = describe(report)
    passed = report.document["tries"][-1]["name"]
    assert re.search(rf"^repair +{passed}\s*$", shown, re.MULTILINE), shown
    assert ", ".join(left) in shown and "mixed accuracy" in shown


def test_where_nothing_helps_the_gate_holds(
    repaired: tuple[BuildReport, list[str]], recipe_file: Path, tmp_path: Path
) -> None:
    """Other ranges do not give the small numbers a scale of their own."""
    folder = repaired[0].folder
    shutil.copytree(folder, tmp_path / folder.name)  # what it learned is there already
    recipe = Recipe.load(recipe_file, {"quantize.repair": ["calibration"]})
    with pytest.raises(GateFailed, match="accuracy loss") as caught:
        build(recipe, tmp_path / "new.edge")
    document = caught.value.document
    check_document(document)
    assert [one["name"] for one in document["tries"]] == ["calibration"]
    assert document["converted"]["accuracy"] == document["unrepaired"]["accuracy"]
    assert not (tmp_path / "new.edge").exists()
