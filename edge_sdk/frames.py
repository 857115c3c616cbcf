"""A frame: pixels, their colour order, and when the sensor saw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

Color = Literal["rgb", "bgr", "gray"]
"""The colours of a model's input."""

PixelFormat = Literal["rgb", "bgr", "gray", "yuv420p", "yuvj420p"]
"""The formats of cameras. yuv420p: BT.601 video range (Y 16 to 235); yuvj420p: full range, as in
JPEG; FFmpeg's names.
"""

YUV: tuple[PixelFormat, ...] = ("yuv420p", "yuvj420p")
"""The formats of three planes: a whole Y, then U and V at half the width and height (even both)."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image.

    pixels: uint8; (height, width, 3) for "rgb" and "bgr", (height, width) for "gray"; for YUV
    (height * 3 / 2, width), the planes one behind another without padding.
    sensor_ns: when it was taken, on time.monotonic_ns(); for a file, when it was handed out.
    index: counts the frames a camera produced, from 0, dropped ones included.
    source: what a person would call it (a file's path); "" for a live camera.
    image: the same instant as people should see it, where a camera delivers a larger stream
    beside the one for the model; both show the same part of the scene. Answers with boxes are in
    its pixels.
    exposure_ns: how long the sensor gathered light, None where that is not known.
    """

    pixels: NDArray[Any]
    color: PixelFormat
    sensor_ns: int = 0
    index: int = 0
    source: str = ""
    image: Frame | None = None
    exposure_ns: int | None = None

    @property
    def height(self) -> int:
        """Rows of the image in `pixels`."""
        rows = int(self.pixels.shape[0])
        return rows * 2 // 3 if self.color in YUV else rows

    @property
    def width(self) -> int:
        """Columns of the image in `pixels`."""
        return int(self.pixels.shape[1])

    @property
    def shown(self) -> Frame:
        """The frame as people see it: `image`, or itself."""
        return self.image or self
