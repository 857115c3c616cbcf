"""Pictures for build.html: what the data looks like, what augmentation makes of it, and where the
model errs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_converter.augmentation import augmentation_sheet
from edge_converter.datasets import Dataset
from edge_converter.packing import in_turns
from edge_converter.recipe import Recipe
from edge_sdk.contact_sheet import contact_sheet
from edge_sdk.frames import Frame
from edge_sdk.report.gallery import Exhibit, Gallery
from edge_sdk.sources import Sample

_COLUMNS, _ROWS = 10, 3


def galleries(
    recipe: Recipe, data: Dataset, mistakes: Sequence[Mapping[str, Any]]
) -> list[Gallery]:
    """Sheets of the training data and its augmentation, and the wrong answers. mistakes: of the
    build document. Features have no pictures. Raises FileError, ImageError.
    """
    if recipe.preprocess is None:
        return []
    found = [
        Gallery(
            "samples",
            "Training pictures",
            "Of each class in turn; of a clip the frame in the middle.",
            [Exhibit(_sheet(in_turns(data.train)[: _COLUMNS * _ROWS]))],
        )
    ]
    if changed := augmentation_sheet(recipe, data):
        found.append(
            Gallery(
                "augmentation",
                "Augmentation",
                "Training pictures as they are in the first row, as [augment] changes them below. "
                "Validation, test and calibration see none of it.",
                [Exhibit(changed)],
            )
        )
    return [*found, _mistakes(data, mistakes)]


def _mistakes(data: Dataset, mistakes: Sequence[Mapping[str, Any]]) -> Gallery:
    tested = {sample.sha256: sample for sample in data.test}
    return Gallery(
        "mistakes",
        "Surest mistakes",
        "Test pictures on which the converted model is furthest from the truth. Look for wrong "
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
