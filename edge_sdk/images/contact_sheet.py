"""Many images on one: a first look at a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from edge_sdk.frames import YUV, Frame
from edge_sdk.images.color import to_bgr

TILE = 96
"""Side of an image on the sheet, in pixels."""

_GAP = 4
_PAPER = 232
"""Grey level between the images: neither black nor white ones melt into it."""


def contact_sheet(images: Iterable[Frame], columns: int, *, tile: int = TILE) -> bytes:
    """A PNG file with the images in rows of `columns`, each whole, fitted into tile x tile.

    Images that come one by one are shrunk one by one: no two large ones are in memory.
    """
    small = [thumbnail(image, tile).pixels for image in images]
    rows = -(-len(small) // columns)
    step = tile + _GAP
    sheet = np.full((rows * step + _GAP, columns * step + _GAP, 3), _PAPER, np.uint8)
    for number, pixels in enumerate(small):
        height, width = pixels.shape[:2]
        top = _GAP + number // columns * step + (tile - height) // 2
        left = _GAP + number % columns * step + (tile - width) // 2
        sheet[top : top + height, left : left + width] = pixels
    done, encoded = cv2.imencode(".png", sheet)
    assert done
    return bytes(encoded.tobytes())


def thumbnail(image: Frame, tile: int = TILE) -> Frame:
    """The image with a longer side of `tile` pixels; tiny ones are enlarged pixel by pixel."""
    scale = tile / max(image.height, image.width)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    if image.color in YUV:  # planes cannot be resized together
        image = replace(image, pixels=to_bgr(image), color="bgr")
    small = cv2.resize(image.pixels, size, interpolation=method)
    return Frame(to_bgr(Frame(small, image.color)), "bgr", source=image.source)
