"""Images on build.html: the training data, what augmentation makes of it, and the mistakes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_converter import BuildReport, Recipe, build
from edge_converter.datasets import Dataset, open_dataset
from edge_sdk.images.contact_sheet import TILE

pytestmark = pytest.mark.slow

GAP = 4
"""Pixels around an image on a sheet."""

GUESSING = {"train.epochs": 1, "train.learning_rate": 1e-9, "budget.accuracy_loss": 1.0}
AUGMENTED = {"augment.noise": 0.2, "augment.shift": 0.3}


@pytest.fixture(scope="module")
def guessing(project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    """A build with [augment], of a model that is wrong about two classes in three."""
    recipe = project(tmp_path_factory.mktemp("guessing"))
    return build(Recipe.load(recipe, GUESSING | AUGMENTED))


def sections(report: BuildReport) -> dict[str, tuple[str, str]]:
    """{anchor: (heading, HTML)} of build.html."""
    page = (report.folder / "build.html").read_text("utf-8")
    found = re.findall(r'<section id="(.+?)".*?><h2 id=".+?">(.+?)</h2>(.*?)</section>', page, re.S)
    return {anchor: (heading, body) for anchor, heading, body in found}


def images(body: str) -> list[NDArray[Any]]:
    """The images in a section's HTML, decoded."""
    found = re.findall(r'<img src="data:image/png;base64,(.+?)"', body)
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), cv2.IMREAD_COLOR)
        for one in found
    ]


def tiles(sheet: NDArray[Any], side: int) -> list[NDArray[Any]]:
    """The images of side x side on a contact sheet, row by row, as they were before they were
    enlarged.
    """
    step = TILE + GAP
    return [
        sheet[top : top + TILE, left : left + TILE][:: TILE // side, :: TILE // side]
        for top in range(GAP, sheet.shape[0], step)
        for left in range(GAP, sheet.shape[1], step)
    ]


def data_of(report: BuildReport) -> Dataset:
    return open_dataset(Recipe.load(report.bundle.parent / "recipe.toml"))


def test_training_images_of_each_class_in_turn(built: Any) -> None:
    heading, body = sections(built.report)["samples"]
    (sheet,) = images(body)
    shown = tiles(sheet, 16)
    train = {p.read().pixels.tobytes(): p.label for p in data_of(built.report).train}
    assert (heading, len(shown)) == ("Training images", 30)
    assert "A few of each class." in body
    assert [train[tile.tobytes()] for tile in shown] == [0, 1, 2] * 10
    assert len({tile.tobytes() for tile in shown}) == 30


def test_what_there_is_nothing_of_has_no_section(built: Any) -> None:
    """No [augment], and no mistake where the model made none."""
    shown = set(sections(built.report))
    assert "augmentation" not in shown
    assert ("mistakes" in shown) == bool(built.report.document["converted"]["mistakes"])


def test_augmentation_is_shown_below_the_images_as_they_are(guessing: BuildReport) -> None:
    heading, body = sections(guessing)["augmentation"]
    (sheet,) = images(body)
    assert (heading, sheet.shape) == ("Augmentation", (4 * 100 + GAP, 8 * 100 + GAP, 3))
    shown = [tile.tobytes() for tile in tiles(sheet, 12)]  # as the model is fed
    train = {fed(p.read().pixels).tobytes() for p in data_of(guessing).train}
    assert set(shown[:8]) <= train
    assert not set(shown[8:]) & train
    assert len(set(shown)) == 32


def fed(pixels: NDArray[Any]) -> NDArray[Any]:
    """The image (BGR) as 12 x 12 grey pixels, three channels of them, as the page's are read."""
    gray = cv2.cvtColor(cv2.resize(pixels, (12, 12)), cv2.COLOR_BGR2GRAY)
    return np.repeat(gray[:, :, None], 3, axis=2)


def test_the_most_confident_mistakes_are_shown_with_truth_and_answer(guessing: BuildReport) -> None:
    heading, body = sections(guessing)["mistakes"]
    mistakes = guessing.document["converted"]["mistakes"]
    assert heading == "Most confident mistakes" and mistakes
    captions = re.findall("<figcaption>(.+?)</figcaption>", body)
    assert captions == [
        f"{one['truth']}, taken for {one['answer']} ({one['score']:.2f})" for one in mistakes
    ]
    tested = {p.sha256: p.read().pixels for p in data_of(guessing).test}
    for one, image in zip(mistakes, images(body), strict=True):
        (tile,) = tiles(image, 16)
        np.testing.assert_array_equal(tile, tested[one["sha256"]])
