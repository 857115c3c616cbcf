"""PyAV, for the cameras that need it: imported when one of them is opened."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import MissingPackage
from edge_sdk.frames import Frame, PixelFormat

_FULL_RANGE = 2
"""av.video.reformatter.ColorRange.JPEG."""

_BT601 = (2, 4, 5, 6)
"""AVColorSpace: not said, FCC, BT.470BG, SMPTE 170M; but for rounding they mean what the frames'
formats do. Others (BT.709) are converted to RGB by what they say of themselves.
"""


def load_av(what: str) -> Any:
    """The module `av`. what: "video files need". Raises MissingPackage."""
    try:
        import av
    except ImportError as error:
        raise MissingPackage(
            f"{what} PyAV, which is not usable here: {error}",
            fix='pip install "edge-sdk-device[video]"',
        ) from error
    return av


def to_frame(image: Any, spec: CameraSpec, sensor_ns: int) -> Frame:
    """A decoded image (av.VideoFrame) as a frame of our own memory: its planes where the decoder
    gives YUV 4:2:0 and the SPEC asks for nothing else, RGB otherwise.
    """
    color = _planes_color(image)
    if color is None or not spec.keeps(image.width, image.height):
        return Frame(image.to_ndarray(format="rgb24"), "rgb", sensor_ns)
    return Frame(_copied_planes(image), color, sensor_ns)


def _planes_color(image: Any) -> PixelFormat | None:
    name = image.format.name
    even = image.width % 2 == 0 and image.height % 2 == 0
    if name not in ("yuv420p", "yuvj420p") or not even or image.colorspace not in _BT601:
        return None
    full = name == "yuvj420p" or image.color_range == _FULL_RANGE
    return "yuvj420p" if full else "yuv420p"


def _copied_planes(image: Any) -> NDArray[np.uint8]:
    """Y, U and V one behind another, uint8 (height * 3 / 2, width), without the padding."""
    width, height = image.width, image.height
    pixels = np.empty((height * 3 // 2, width), np.uint8)
    chroma = pixels[height:].reshape(2, height // 2, width // 2)
    for plane, wanted in zip(image.planes, (pixels[:height], *chroma), strict=True):
        rows, columns = wanted.shape
        padded = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        wanted[:] = padded[:rows, :columns]
    return pixels
