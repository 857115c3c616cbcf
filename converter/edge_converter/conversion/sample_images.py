"""The images of --data: some calibrate, some prove the conversion, some measure accuracy.

No image that calibrated is among those that measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_converter.builder.packing import patches
from edge_sdk.bundle.manifest import MIN_SAMPLES
from edge_sdk.data.samples import Image, LabelledImages
from edge_sdk.data.sources import part_folders
from edge_sdk.errors import DataError, ImageError
from edge_sdk.events import Event, Listener
from edge_sdk.images.image_files import class_folders, list_images, read_image
from edge_sdk.preprocess import PreprocessSpec

CALIBRATION = 200
"""Images that calibrate, as `quantize.calibration_samples` of a recipe."""
FEW_CALIBRATION = 100
"""Below this a warning: the ranges of activations rest on few images."""
MAX_TESTED = 2000
"""Images that accuracy is measured on; a larger folder is drawn from."""
MAX_READ = 100
"""Images looked at where none calibrates."""
SYNTHETIC = 16
"""Images made up where there are none."""


@dataclass(frozen=True)
class Images:
    """Of a folder. labelled: those in class folders that did not calibrate, labelled by the names
    of the folders; None where there are no class folders.
    """

    calibration: Sequence[Image] = ()
    others: Sequence[Image] = ()
    labelled: LabelledImages | None = None

    @property
    def all(self) -> list[Image]:
        """Those that were looked at, in the order of their names."""
        return sorted((*self.calibration, *self.others), key=lambda image: image.name)


def read_images(folder: Path, listen: Listener, *, calibrate: bool) -> Images:
    """The images below `folder`, in any folders. With train/ and test/ in it the first calibrate
    and the others measure; of other class folders a half each. Unreadable ones are skipped and
    named. calibrate: whether any shall.

    Raises FileError, DataError where there are none.
    """
    parts = part_folders(folder)
    paths = list_images(folder, recursive=True)
    if not paths:
        raise DataError(f"{folder} holds no images", fix="name a folder with images in it")
    places = class_folders(parts.get("test", folder))
    classes = {name: found for name, found in places.items() if found}
    calibration: list[Image] = []
    if not calibrate:
        others = _readable(paths, MAX_READ, listen)
    elif parts:
        calibration = _readable(_shuffled(_below(parts["train"])), CALIBRATION, listen)
        others = _readable(_shuffled(_below(parts["test"])), CALIBRATION, listen)
    else:
        chosen = _readable(_shuffled(paths), 2 * CALIBRATION, listen)
        count = max(1, len(chosen) // 2) if len(classes) > 1 else CALIBRATION
        calibration, others = chosen[:count], chosen[count:]
    _warn(calibration, others, listen, calibrate=calibrate)
    used = {image.path for image in calibration}
    return Images(calibration, others, _labelled(classes, used) if len(classes) > 1 else None)


def synthetic(preprocess: PreprocessSpec, height: int, width: int) -> list[Image]:
    """Made-up images, to hold two models against each other where there are no real ones."""
    frames = patches(np.random.default_rng(0), preprocess, height, width, SYNTHETIC)
    return [
        Image(0, f"synthetic {index}", pixels=frame.pixels, color=preprocess.color)
        for index, frame in enumerate(frames)
    ]


def _below(folder: Path) -> list[Path]:
    return list_images(folder, recursive=True)


def _shuffled(paths: Sequence[Path]) -> list[Path]:
    """The same order in every run."""
    return [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]


def _readable(paths: Sequence[Path], most: int, listen: Listener) -> list[Image]:
    """Those of the first `most` that can be read."""
    images = []
    for path in paths[:most]:
        try:
            read_image(path)
        except ImageError as error:
            listen(Event("warning", message=f"skipped: {error}"))
            continue
        images.append(Image(0, str(path), path=path))
    return images


def _warn(
    calibration: Sequence[Image], others: Sequence[Image], listen: Listener, *, calibrate: bool
) -> None:
    count = len(calibration) + len(others)
    if count < MIN_SAMPLES:
        listen(
            Event(
                "warning",
                message=f"{count} readable images, {MIN_SAMPLES} needed: "
                "golden samples are synthetic",
            )
        )
    if calibrate and not calibration:
        raise DataError(
            "none of the images for calibration can be read",
            fix="name a folder with readable images",
        )
    if calibrate and len(calibration) < FEW_CALIBRATION:
        listen(
            Event(
                "warning",
                message=(
                    f"calibrated on {len(calibration)} images; {FEW_CALIBRATION} to "
                    f"{CALIBRATION} are usual, of every class and in every light"
                ),
            )
        )


def _labelled(classes: dict[str, list[Path]], used: set[Path | None]) -> LabelledImages:
    images = [
        Image(index, str(path), path=path)
        for index, paths in enumerate(classes.values())
        for path in paths
        if path not in used
    ]
    order = np.random.default_rng(0).permutation(len(images))[:MAX_TESTED]
    return LabelledImages(tuple(classes), [images[i] for i in sorted(order)], "all")
