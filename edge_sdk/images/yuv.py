"""Frames of planes (frames.YUV): each plane is resized straight to the size that is wanted, and
colours are made of the small planes: a fifth of the work of converting a whole image first.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_sdk.frames import Frame

Area = tuple[slice, slice]
"""Rows and columns of an image."""


def planes(frame: Frame) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Y (height, width), U and V (half of both); uint8, views of the frame's pixels."""
    height, width = frame.height, frame.width
    chroma = frame.pixels[height:].reshape(2, height // 2, width // 2)
    return frame.pixels[:height], chroma[0], chroma[1]


class PlaneResizer:
    """Parts of frames at one size, in buffers of its own: what it returns is good until the next.

    size: (width, height) of what it makes; method: OpenCV's interpolation.
    """

    def __init__(self, size: tuple[int, int], method: int) -> None:
        self.size, self._method = size, method
        self._planes = np.empty((3, size[1], size[0]), np.uint8)
        self._merged = np.empty((size[1], size[0], 3), np.uint8)

    def colors(self, frame: Frame, used: Area) -> NDArray[np.uint8]:
        """The `used` part (even edges): YCrCb over the full range, as OpenCV understands it; uint8
        (height, width, 3).
        """
        luma, blue, red = planes(frame)
        half = (_halved(used[0]), _halved(used[1]))
        for part, out in zip((luma[used], red[half], blue[half]), self._planes, strict=True):
            cv2.resize(part, self.size, dst=out, interpolation=self._method)
        cv2.merge(tuple(self._planes), dst=self._merged)
        return _full_range(self._merged, frame)

    def luma(self, frame: Frame, used: Area) -> NDArray[np.uint8]:
        """The `used` part of Y alone, over the full range; uint8 (height, width)."""
        out = self._planes[0]
        cv2.resize(planes(frame)[0][used], self.size, dst=out, interpolation=self._method)
        return _full_range(out, frame)


def to_ycrcb(frame: Frame) -> NDArray[np.uint8]:
    """The whole image as full-range YCrCb: uint8 (height, width, 3)."""
    whole = (slice(0, frame.height), slice(0, frame.width))
    return PlaneResizer((frame.width, frame.height), cv2.INTER_LINEAR).colors(frame, whole)


def to_luma(frame: Frame) -> NDArray[np.uint8]:
    """The Y of the whole image as a copy over the full range: uint8 (height, width)."""
    return _full_range(planes(frame)[0].copy(), frame)


def _halved(edge: slice) -> slice:
    return slice(edge.start // 2, edge.stop // 2)


def _full_range(values: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """`values`, changed in place where the frame has video range."""
    if frame.color == "yuv420p":
        cv2.LUT(values, _LUMA if values.ndim == 2 else _YCRCB, dst=values)
    return values


def _table(low: int, high: int) -> NDArray[np.uint8]:
    """low..high of video range, mapped to 0..255."""
    values = (np.arange(256) - low) * 255 / (high - low)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_LUMA = _table(16, 235)
_YCRCB = np.stack([_LUMA, _table(16, 240), _table(16, 240)], axis=-1)[None]
"""ITU-R BT.601: Y from 16 to 235, Cr and Cb from 16 to 240."""
