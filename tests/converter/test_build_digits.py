"""A data set without files: the build leaves some of its test images to try the bundle on."""

from __future__ import annotations

import numpy as np
import pytest

from edge_converter import BuildReport, Recipe, build
from edge_sdk import read_image
from edge_sdk.data.sources import open_source
from edge_sdk.images.image_files import list_classes

pytestmark = pytest.mark.slow

SMALL = {
    "input.width": 10,
    "input.height": 10,
    "train.epochs": 1,
    "train.batch_size": 250,
    "budget.accuracy_loss": 1.0,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    folder = tmp_path_factory.mktemp("digits")
    return build(Recipe.load("recipe:digits_seed", SMALL), out=folder / "digits.edge")


def samples(report: BuildReport) -> dict[str, list[str]]:
    """{class: names of its images}."""
    found = list_classes(report.folder / "samples")
    return {label: [path.name for path in paths] for label, paths in found.items()}


def test_the_first_test_images_of_each_class_are_left(built: BuildReport) -> None:
    source = open_source("digits")
    found = list_classes(built.folder / "samples")
    assert list(found) == list(source.labels)
    for label, paths in found.items():
        wanted = {p.name: p for p in source.images if source.labels[p.label] == label}
        assert len(paths) == 10
        for path in paths:
            pixels = read_image(path).pixels
            np.testing.assert_array_equal(pixels[:, :, 0], wanted[path.stem].read().pixels)


def test_the_next_build_puts_them_back(built: BuildReport) -> None:
    """Also where another source of the same recipe's name had left its own."""
    before = samples(built)
    (built.folder / "samples" / "3").rename(built.folder / "samples" / "shirt")
    again = build(Recipe.load("recipe:digits_seed", SMALL), out=built.bundle)
    assert all(stage["cached"] for stage in again.document["stages"])
    assert samples(again) == before
