"""Colour conversion: frames of any format as people, files and hashes need them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_sdk.frames import YUV, Color, Frame, PixelFormat
from edge_sdk.images import yuv

_CONVERSIONS: dict[tuple[PixelFormat, Color], int] = {
    ("rgb", "bgr"): cv2.COLOR_RGB2BGR,
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("rgb", "gray"): cv2.COLOR_RGB2GRAY,
    ("bgr", "gray"): cv2.COLOR_BGR2GRAY,
    ("gray", "rgb"): cv2.COLOR_GRAY2RGB,
    ("gray", "bgr"): cv2.COLOR_GRAY2BGR,
}
_FROM_YCRCB: dict[Color, int] = {"rgb": cv2.COLOR_YCrCb2RGB, "bgr": cv2.COLOR_YCrCb2BGR}
"""OpenCV's YCrCb is JPEG's: BT.601 over the full range."""


def convert(
    pixels: NDArray[Any], color: PixelFormat, wanted: Color, out: NDArray[Any] | None = None
) -> NDArray[np.uint8]:
    """Interleaved pixels in another colour order: uint8 (height, width, 3), or (height, width)
    for "gray". `color` is not YUV and not `wanted`. out: written to where it fits, as OpenCV does.
    """
    converted: NDArray[np.uint8] = cv2.cvtColor(pixels, _CONVERSIONS[(color, wanted)], dst=out)
    return converted


def from_ycrcb(
    pixels: NDArray[np.uint8], wanted: Color, out: NDArray[Any] | None = None
) -> NDArray[np.uint8]:
    """Full-range YCrCb, uint8 (height, width, 3), as "rgb" or "bgr" of the same shape."""
    converted: NDArray[np.uint8] = cv2.cvtColor(pixels, _FROM_YCRCB[wanted], dst=out)
    return converted


def to_bgr(frame: Frame) -> NDArray[np.uint8]:
    """The pixels of a frame of any format as a copy: uint8 (height, width, 3), blue first."""
    if frame.color in YUV:
        return from_ycrcb(yuv.to_ycrcb(frame), "bgr")
    if frame.color == "bgr":
        return frame.pixels.copy()
    return convert(frame.pixels, frame.color, "bgr")


def to_gray(frame: Frame) -> NDArray[np.uint8]:
    """The grey levels of a frame of any format, 0 to 255: uint8 (height, width). May be a view of
    the frame's pixels.
    """
    if frame.color in YUV:
        return yuv.to_luma(frame)
    if frame.color == "gray":
        return frame.pixels.reshape(frame.height, frame.width)
    return convert(frame.pixels, frame.color, "gray")
