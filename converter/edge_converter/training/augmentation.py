"""[augment]: training images and clips changed at random, on their way into the model.

Turning, cropping, zooming, shifting and flipping are one affine map an image: it is resampled
once, by OpenCV. Keras' own layers do the same in a pass each, and took 20 times as long for a flip
and a crop, more than some training steps; hence none of them.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_converter.datasets import Dataset
from edge_converter.recipe.loading import Recipe
from edge_converter.recipe.schema import Augment
from edge_converter.training.batches import Reader
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.images.contact_sheet import contact_sheet

TOP = 255.0
"""Pixels are 0..TOP, before normalisation."""

FILL = TOP / 2
"""The value that cutout leaves (T. DeVries, G. Taylor, "Improved Regularization of Convolutional
Neural Networks with Cutout", 2017, fill with the data's mean).
"""


def augmentation(settings: Augment, shape: tuple[int, ...], seed: int) -> Augmentation | None:
    """The function that changes batches of samples of `shape`: (height, width, channels) or
    (frames, height, width, channels). None where everything is off.

    The same seed gives the same changes to the same batches in the same order: make one for each
    epoch.
    Raises ConfigError for features.
    """
    if settings == Augment():
        return None
    if len(shape) not in (3, 4):
        raise ConfigError("[augment] applies only to images, not to features", fix="remove it")
    return Augmentation(settings, shape, seed)


class Augmentation:
    """Changes batches at random: each sample in its own way, all frames of a clip in one way."""

    def __init__(self, settings: Augment, shape: tuple[int, ...], seed: int) -> None:
        self._settings = settings
        self._height, self._width, self._channels = shape[-3:]
        self._random = np.random.default_rng(seed)
        self._moves = any(
            (
                settings.flip != "none",
                settings.rotate_degrees,
                settings.crop,
                settings.zoom,
                settings.shift,
            )
        )

    def apply(
        self, pixels: NDArray[Any], one_hot: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A batch changed: new pixels, and the labels, mixed where mixup is on.

        pixels: (batch, *shape), uint8 or float32, 0..255. one_hot: (batch, classes).
        """
        # An image is a clip of one frame.
        clips = pixels.reshape(len(pixels), -1, self._height, self._width, self._channels)
        changed = np.empty(clips.shape, np.float32)
        for clip, target in zip(clips, changed, strict=True):
            self._move(clip, target)
            self._light(target)
            self._cut_out(target)
        np.clip(changed, 0, TOP, out=changed)
        if self._settings.mixup:
            changed, one_hot = self._mix(changed, one_hot)
        return changed.reshape(pixels.shape), one_hot

    def _move(self, clip: NDArray[Any], target: NDArray[np.float32]) -> None:
        if not self._moves:
            target[:] = clip
            return
        matrix = self._matrix()
        for frame, place in zip(clip, target, strict=True):
            place[:] = cv2.warpAffine(
                frame,
                matrix,
                (self._width, self._height),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            ).reshape(place.shape)

    def _matrix(self) -> NDArray[np.float64]:
        """2 x 3: from a pixel of the changed image to where it comes from."""
        settings, random = self._settings, self._random
        size = np.array([self._width, self._height])
        center = (size - 1) / 2
        side = (1 - settings.crop) * (1 + random.uniform(-1, 1) * settings.zoom)
        scale = np.full(2, max(side, 1 / size.max()))
        scale *= np.where(random.random(2) < 0.5, self._flips(), 1)
        # The window of a crop stays inside the image; a shift leaves it.
        offset = random.uniform(-0.5, 0.5, 2) * settings.crop * size
        offset += random.uniform(-1, 1, 2) * settings.shift * size
        angle = math.radians(random.uniform(-1, 1) * settings.rotate_degrees)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        linear = turn * scale
        return np.column_stack([linear, center + offset - linear @ center])

    def _flips(self) -> NDArray[np.float64]:
        """-1 for x and y where they may be flipped."""
        kind = self._settings.flip
        return np.where([kind in ("horizontal", "both"), kind in ("vertical", "both")], -1.0, 1.0)

    def _light(self, clip: NDArray[np.float32]) -> None:
        settings, random = self._settings, self._random
        if settings.contrast:
            mean = clip.mean()
            clip -= mean
            clip *= np.float32(1 + random.uniform(-1, 1) * settings.contrast)
            clip += mean
        if settings.brightness:
            clip += np.float32(random.uniform(-1, 1) * settings.brightness * TOP)
        if settings.noise:
            noise = random.standard_normal(clip.shape, np.float32)
            clip += noise * np.float32(settings.noise * TOP)

    def _cut_out(self, clip: NDArray[np.float32]) -> None:
        """One rectangle of the image's form, with `cutout` of its area."""
        if not self._settings.cutout:
            return
        side = math.sqrt(self._settings.cutout)
        height, width = round(side * self._height), round(side * self._width)
        top = self._random.integers(0, self._height - height, endpoint=True)
        left = self._random.integers(0, self._width - width, endpoint=True)
        clip[:, top : top + height, left : left + width] = FILL

    def _mix(
        self, pixels: NDArray[np.float32], one_hot: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Each sample with another of the batch, labels too (H. Zhang et al., "mixup: Beyond
        Empirical Risk Minimization", 2018), the share of the first from Beta(alpha, alpha).
        """
        alpha, count = self._settings.mixup, len(pixels)
        share = self._random.beta(alpha, alpha, count).astype(np.float32)
        order = self._random.permutation(count)

        def mixed(values: NDArray[np.float32]) -> NDArray[np.float32]:
            weight = share.reshape(-1, *[1] * (values.ndim - 1))
            return weight * values + (1 - weight) * values[order]

        # Rounding may end a little above TOP.
        return np.minimum(mixed(pixels), TOP, dtype=np.float32), mixed(one_hot)


def augmentation_sheet(
    recipe: Recipe, data: Dataset, *, columns: int = 8, rows: int = 4
) -> bytes | None:
    """A PNG file: training images as they are fed in the first row, changed in the others; of a
    clip its frame in the middle. None where nothing is changed. Raises FileError, ImageError.
    """
    reader = Reader(data.train, recipe)
    changes = augmentation(recipe.augment, reader.shape, recipe.seed)
    if changes is None:
        return None
    chosen = np.linspace(0, len(data.train) - 1, min(columns, len(data.train))).astype(int)
    batch = np.stack([reader(index) for index in chosen])
    one_hot = np.zeros((len(batch), len(data.labels)), np.float32)
    shown = [batch, *(changes.apply(batch, one_hot)[0] for _ in range(rows - 1))]
    images = [
        _frame(sample if sample.ndim == 3 else sample[len(sample) // 2], recipe)
        for row in shown
        for sample in row
    ]
    return contact_sheet(images, len(batch))


def _frame(pixels: NDArray[Any], recipe: Recipe) -> Frame:
    color = recipe.input.color
    plain = np.rint(pixels).astype(np.uint8)
    return Frame(plain[:, :, 0] if color == "gray" else plain, color)
