"""Camera `synthetic`: a moving pattern, the same in every run, for when there is nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_device.cameras.replay import ReplayedCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk.frames import Frame

DEFAULT_SIZE = (640, 480)
_STEP = 4
"""Pixels that the pattern moves from one frame to the next."""


class Pattern:
    """Images of `width` x `height` RGB pixels: colour ramps that wander, a white square on them.

    pattern(n) is the same for the same n, everywhere.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        x = np.arange(2 * width) % width
        y = np.arange(height)[:, None]
        # Twice as wide as an image: moving it is taking another window.
        self._wide = np.empty((height, 2 * width, 3), np.uint8)
        self._wide[..., 0] = x * 255 // width
        self._wide[..., 1] = y * 255 // height
        # Modulo 256, as sums of bytes are.
        np.add(x.astype(np.uint8), y.astype(np.uint8), out=self._wide[..., 2])

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Image `index`: shape (height, width, 3), uint8, RGB."""
        shift = index * _STEP % self.width
        pixels = self._wide[:, shift : shift + self.width].copy()
        side = max(1, min(self.width, self.height) // 4)
        left = index * _STEP % (self.width - side + 1)
        top = index * _STEP % (self.height - side + 1)
        pixels[top : top + side, left : left + side] = 255
        return pixels


class SyntheticCamera(ReplayedCamera):
    """The pattern at the size that the SPEC names (640 x 480), endless by default."""

    remedy = "report this: a generated image cannot fail"

    def __init__(self, spec: CameraSpec, **clock: Any) -> None:
        super().__init__(spec, **clock)
        width, height = spec.width or DEFAULT_SIZE[0], spec.height or DEFAULT_SIZE[1]
        turned = spec.rotate in (90, 270)
        self._pattern = Pattern(height, width) if turned else Pattern(width, height)

    def _read(self) -> Frame | None:
        if self._index == self.spec.frames:
            return None
        return Frame(self._pattern(self._index), "rgb")


def open_backend(spec: CameraSpec, **clock: Any) -> SyntheticCamera:
    """The synthetic camera of `spec`."""
    return SyntheticCamera(spec, **clock)
