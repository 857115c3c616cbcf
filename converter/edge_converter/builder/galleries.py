"""The images of a build: galleries for build.html (what the data looks like, what
augmentation makes of it, where the model errs), and samples to try the bundle on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_converter.builder.packing import in_turns
from edge_converter.datasets import Dataset
from edge_converter.recipe.loading import Recipe
from edge_converter.training.augmentation import augmentation_sheet
from edge_sdk.data.samples import Image, Sample
from edge_sdk.frames import Frame
from edge_sdk.images.contact_sheet import contact_sheet
from edge_sdk.images.image_files import write_image
from edge_sdk.report.gallery import Exhibit, Gallery
from edge_sdk.tasks import task_of

_COLUMNS, _ROWS = 10, 3
SAMPLES_PER_CLASS = 10
"""Test images of each class copied into the build folder when the source is not a folder."""


def galleries(
    recipe: Recipe, data: Dataset, mistakes: Sequence[Mapping[str, Any]]
) -> list[Gallery]:
    """Sheets of the training data and its augmentation, and the wrong answers. mistakes: of the
    build document. Features have no images. Raises FileError, ImageError.
    """
    if recipe.preprocess is None:
        return []
    middle = ", by their middle frame" if task_of(recipe).sequential else ""
    found = [
        Gallery(
            "samples",
            "Training images",
            f"A few of each class{middle}.",
            [Exhibit(_sheet(in_turns(data.train)[: _COLUMNS * _ROWS]))],
        )
    ]
    if changed := augmentation_sheet(recipe, data):
        found.append(
            Gallery(
                "augmentation",
                "Augmentation",
                "Training images as they are in the first row, as [augment] changes them below. "
                "Validation, test and calibration see none of it.",
                [Exhibit(changed)],
            )
        )
    return [*found, _mistakes(data, mistakes)]


def _mistakes(data: Dataset, mistakes: Sequence[Mapping[str, Any]]) -> Gallery:
    tested = {sample.sha256: sample for sample in data.test}
    return Gallery(
        "mistakes",
        "Most confident mistakes",
        "Test images on which the converted model is furthest from the truth. Look for wrong "
        "labels first.",
        [
            Exhibit(
                contact_sheet([_frame(tested[one["sha256"]])], 1),
                f"{one['truth']}, taken for {one['answer']} ({one['score']:.2f})",
            )
            for one in mistakes
        ],
        pixelated=True,
    )


def _sheet(samples: Sequence[Sample]) -> bytes:
    return contact_sheet((_frame(sample) for sample in samples), min(_COLUMNS, len(samples)))


def _frame(sample: Sample) -> Frame:
    value = sample.read()
    if isinstance(value, tuple):
        return value[len(value) // 2]
    assert isinstance(value, Frame)
    return value


def write_samples(data: Dataset, folder: Path) -> None:
    """Test images as files, CLASS/NAME.png, where the user has no folder of them: something to
    try `predict` and `run` on. Raises FileError.
    """
    samples, working = folder / "samples", folder / ".samples"
    wanted = {
        f"{data.labels[image.label]}/{image.name}.png": image for image in _first_of_each(data)
    }
    if wanted.keys() == {path.relative_to(samples).as_posix() for path in samples.rglob("*.png")}:
        return
    for old in (working, samples):
        shutil.rmtree(old, ignore_errors=True)
    for name, image in wanted.items():
        write_image(working / name, image.read())
    if wanted:
        working.rename(samples)


def _first_of_each(data: Dataset) -> list[Image]:
    """The first test images of each class that are in memory only."""
    found: list[Image] = []
    for index in range(len(data.labels)):
        own = [p for p in data.test if p.label == index and isinstance(p, Image) and not p.path]
        found += own[:SAMPLES_PER_CLASS]
    return found
