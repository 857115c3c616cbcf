"""A frame: pixels, their colour order, and when the sensor saw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

Color = Literal["rgb", "bgr", "gray"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture.

    pixels: (height, width, 3) for "rgb" and "bgr", (height, width) for "gray"; uint8.
    sensor_ns: when it was taken, on time.monotonic_ns(); for a file, when it was handed out.
    index: counts the frames a camera produced, from 0, dropped ones included.
    source: what a person would call it (a file's path); "" for a live camera.
    """

    pixels: NDArray[Any]
    color: Color
    sensor_ns: int = 0
    index: int = 0
    source: str = ""

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])
