"""The streams of the Pi's image signal processor (ISP): which sizes to ask it for, and frames made
of its buffers. Pure functions; picamera2.py talks to the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_device.cameras.geometry import rotated
from edge_sdk.errors import CameraError
from edge_sdk.frames import YUV, Frame, PixelFormat
from edge_sdk.images import yuv

Size = tuple[int, int]
"""Width and height in pixels."""

_PACKED: dict[str, tuple[int, PixelFormat]] = {
    "RGB888": (3, "bgr"),
    "BGR888": (3, "rgb"),
    "XRGB8888": (4, "bgr"),
    "XBGR8888": (4, "rgb"),
}
"""Bytes a pixel, and what lies in memory: libcamera names a pixel's highest byte first, as DRM
does, so that its RGB888 is what OpenCV calls BGR.
"""

_PLANES = ("YUV420", "YVU420", "NV12", "NV21")


@dataclass(frozen=True)
class Stream:
    """The configuration of a stream, as libcamera reports it.

    format: libcamera's name of it. size: width, height. stride: bytes from one row to the next (of
    the first plane; rows of U and of V in planes of their own are half as far apart). full_range:
    whether Y goes from 0 to 255, as in JPEG, or from 16 to 235.
    """

    format: str
    size: Size
    stride: int
    full_range: bool = True


def inference_size(main: Size, model: Size) -> Size | None:
    """The smallest stream that shows what `main` shows, with no side below the model's; None where
    `main` itself is not larger than that.

    The model's own size where its aspect ratio is main's: then the ISP's scaling is all there is.
    Sides are even, as colour at half the resolution demands; the aspect ratio is kept within a
    pixel of the width.
    """
    width, height = main
    if model[0] * height == model[1] * width and not (model[0] % 2 or model[1] % 2):
        return model if model[0] < width else None
    lines = 2 * max(1, -(-model[1] // 2))
    while lines < height:
        columns = 2 * round(lines * width / height / 2)
        if columns >= model[0]:
            return columns, lines
        lines += 2
    return None


def frame_of(buffer: NDArray[Any], stream: Stream) -> Frame:
    """The image in a stream's buffer (uint8, one dimension; it may be longer than the image).

    The frame is a view of the buffer where rows are not padded and planes are in order.
    Raises CameraError for an unknown format.
    """
    if stream.format in _PACKED:
        return _packed(buffer, stream)
    if stream.format not in _PLANES:
        raise CameraError(
            f"the camera gives {stream.format}, which is not supported",
            fix="for a USB camera write v4l2:/dev/video0",
        )
    color: PixelFormat = "yuvj420p" if stream.full_range else "yuv420p"
    (width, height), rows = stream.size, 3 * stream.size[1] // 2
    if stream.format == "YUV420" and stream.stride == width:
        return Frame(buffer[: rows * width].reshape(rows, width), color)
    pixels = np.empty((rows, width), np.uint8)
    pixels[:height] = _rows(buffer, height, stream.stride)[:, :width]
    chroma = pixels[height:].reshape(2, height // 2, width // 2)
    chroma[0], chroma[1] = _chroma(buffer[height * stream.stride :], stream)
    return Frame(pixels, color)


def turned(frame: Frame, degrees: int, mirrored: bool) -> Frame:
    """`frame` turned clockwise by 0, 90, 180 or 270 degrees, then mirrored left to right."""
    if not degrees and not mirrored:
        return frame
    if frame.color not in YUV:
        return Frame(_turned(frame.pixels, degrees, mirrored), frame.color)
    planes = [_turned(plane, degrees, mirrored) for plane in yuv.planes(frame)]
    width = planes[0].shape[1]
    flat = np.concatenate([plane.reshape(-1) for plane in planes])
    return Frame(flat.reshape(-1, width), frame.color)


def _turned(pixels: NDArray[Any], degrees: int, mirrored: bool) -> NDArray[Any]:
    pixels = rotated(pixels, degrees)
    return cv2.flip(pixels, 1) if mirrored else pixels


def _packed(buffer: NDArray[Any], stream: Stream) -> Frame:
    depth, color = _PACKED[stream.format]
    width, height = stream.size
    rows = _rows(buffer, height, stream.stride)[:, : width * depth]
    pixels = rows.reshape(height, width, depth)
    return Frame(np.ascontiguousarray(pixels[:, :, :3]), color)


def _chroma(buffer: NDArray[Any], stream: Stream) -> tuple[NDArray[Any], NDArray[Any]]:
    """U and V (half the height and width) of what lies behind Y."""
    width, height = stream.size[0] // 2, stream.size[1] // 2
    if stream.format in ("NV12", "NV21"):
        pairs = _rows(buffer, height, stream.stride)[:, : 2 * width].reshape(height, width, 2)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
    else:
        both = _rows(buffer, 2 * height, stream.stride // 2)[:, :width]
        first, second = both[:height], both[height:]
    return (first, second) if stream.format in ("YUV420", "NV12") else (second, first)


def _rows(buffer: NDArray[Any], count: int, stride: int) -> NDArray[Any]:
    return buffer[: count * stride].reshape(count, stride)
