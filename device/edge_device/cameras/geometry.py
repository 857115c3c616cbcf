"""The image as the camera was asked to deliver it: size, rotation, mirror."""

from __future__ import annotations

from typing import Any

import cv2
from numpy.typing import NDArray

from edge_device.cameras.spec import CameraSpec

_ROTATIONS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def delivered(pixels: NDArray[Any], spec: CameraSpec) -> NDArray[Any]:
    """`pixels` (height, width[, 3]; uint8) as `spec` asks for them.

    With both width and height the middle of the image is used, as a sensor's crop does: nothing
    is stretched. With one of them the aspect ratio stays.
    """
    width, height = spec.width, spec.height
    if spec.rotate in (90, 270):
        width, height = height, width
    pixels = _resized(pixels, width, height)
    pixels = rotated(pixels, spec.rotate)
    return cv2.flip(pixels, 1) if spec.hflip else pixels


def rotated(pixels: NDArray[Any], degrees: int) -> NDArray[Any]:
    """`pixels` turned clockwise by 0, 90, 180 or 270 degrees."""
    if not degrees:
        return pixels
    turned: NDArray[Any] = cv2.rotate(pixels, _ROTATIONS[degrees])
    return turned


def _resized(pixels: NDArray[Any], width: int | None, height: int | None) -> NDArray[Any]:
    rows, columns = pixels.shape[:2]
    if width is None and height is None:
        return pixels
    if width is None:
        assert height is not None
        width = max(1, round(columns * height / rows))
    elif height is None:
        height = max(1, round(rows * width / columns))
    else:
        pixels = _cropped(pixels, width / height)
    if pixels.shape[:2] == (height, width):
        return pixels
    method = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
    resized: NDArray[Any] = cv2.resize(pixels, (width, height), interpolation=method)
    return resized


def _cropped(pixels: NDArray[Any], aspect: float) -> NDArray[Any]:
    rows, columns = pixels.shape[:2]
    used_w = min(columns, max(1, round(rows * aspect)))
    used_h = min(rows, max(1, round(columns / aspect)))
    left, top = (columns - used_w) // 2, (rows - used_h) // 2
    return pixels[top : top + used_h, left : left + used_w]
