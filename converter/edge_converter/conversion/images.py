"""The pictures of --data: some calibrate, some prove the conversion, some measure accuracy.

No picture that calibrated is among those that measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_converter.builder.packing import patches
from edge_sdk.bundle.manifest import LEAST_SAMPLES
from edge_sdk.data.sources import LabelledPictures, Picture, part_folders
from edge_sdk.errors import DataError, ImageError
from edge_sdk.images.files import class_folders, list_images, read_image
from edge_sdk.preprocess import PreprocessSpec

CALIBRATION = 200
"""Pictures that calibrate, as `quantize.calibration_samples` of a recipe."""
FEW_CALIBRATION = 100
"""Below this a warning: the ranges of activations rest on few pictures."""
MOST_TESTED = 2000
"""Pictures that accuracy is measured on; a larger folder is drawn from."""
MOST_READ = 100
"""Pictures looked at where none calibrates."""
SYNTHETIC = 16
"""Pictures made up where there are none."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pictures:
    """Of a folder. labelled: those in class folders that did not calibrate, labelled by the names
    of the folders; None where there are no class folders.
    """

    calibration: Sequence[Picture] = ()
    others: Sequence[Picture] = ()
    labelled: LabelledPictures | None = None

    @property
    def all(self) -> list[Picture]:
        """Those that were looked at, in the order of their names."""
        return sorted((*self.calibration, *self.others), key=lambda picture: picture.name)


def look(folder: Path, say: Say, *, calibrate: bool) -> Pictures:
    """The pictures below `folder`, in any folders. With train/ and test/ in it the first calibrate
    and the others measure; of other class folders a half each. Unreadable ones are skipped and
    named. calibrate: whether any shall.

    Raises FileError, DataError where there are none.
    """
    parts = part_folders(folder)
    paths = list_images(folder, recursive=True)
    if not paths:
        raise DataError(f"{folder} holds no pictures", fix="name a folder with pictures in it")
    places = class_folders(parts.get("test", folder))
    classes = {name: found for name, found in places.items() if found}
    calibration: list[Picture] = []
    if not calibrate:
        others = _readable(paths, MOST_READ, say)
    elif parts:
        calibration = _readable(_shuffled(_below(parts["train"])), CALIBRATION, say)
        others = _readable(_shuffled(_below(parts["test"])), CALIBRATION, say)
    else:
        chosen = _readable(_shuffled(paths), 2 * CALIBRATION, say)
        count = max(1, len(chosen) // 2) if len(classes) > 1 else CALIBRATION
        calibration, others = chosen[:count], chosen[count:]
    _warn(calibration, others, say, calibrate=calibrate)
    used = {picture.path for picture in calibration}
    return Pictures(calibration, others, _labelled(classes, used) if len(classes) > 1 else None)


def synthetic(preprocess: PreprocessSpec, height: int, width: int) -> list[Picture]:
    """Made-up pictures, to hold two models against each other where there are no real ones."""
    frames = patches(np.random.default_rng(0), preprocess, height, width, SYNTHETIC)
    return [
        Picture(0, f"synthetic {index}", pixels=frame.pixels, color=preprocess.color)
        for index, frame in enumerate(frames)
    ]


def _below(folder: Path) -> list[Path]:
    return list_images(folder, recursive=True)


def _shuffled(paths: Sequence[Path]) -> list[Path]:
    """The same order in every run."""
    return [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]


def _readable(paths: Sequence[Path], most: int, say: Say) -> list[Picture]:
    """Those of the first `most` that can be read."""
    pictures = []
    for path in paths[:most]:
        try:
            read_image(path)
        except ImageError as error:
            say(f"warning: skipped: {error}")
            continue
        pictures.append(Picture(0, str(path), path=path))
    return pictures


def _warn(
    calibration: Sequence[Picture], others: Sequence[Picture], say: Say, *, calibrate: bool
) -> None:
    count = len(calibration) + len(others)
    if count < LEAST_SAMPLES:
        say(
            f"warning: {count} readable pictures, {LEAST_SAMPLES} needed: golden samples are "
            "synthetic"
        )
    if calibrate and not calibration:
        raise DataError("no picture to calibrate with can be read", fix="name a folder of others")
    if calibrate and len(calibration) < FEW_CALIBRATION:
        say(
            f"warning: calibrated on {len(calibration)} pictures; {FEW_CALIBRATION} to "
            f"{CALIBRATION} are usual, of every class and every light"
        )


def _labelled(classes: dict[str, list[Path]], used: set[Path | None]) -> LabelledPictures:
    pictures = [
        Picture(index, str(path), path=path)
        for index, paths in enumerate(classes.values())
        for path in paths
        if path not in used
    ]
    order = np.random.default_rng(0).permutation(len(pictures))[:MOST_TESTED]
    return LabelledPictures(tuple(classes), [pictures[i] for i in sorted(order)], "all")
