"""Is a captured image worth learning from? Two simple measures, told to whoever holds the camera.

Both are hints: such images are kept, for a model may have to know dark or blurred ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2

from edge_sdk.frames import YUV, Frame
from edge_sdk.images.color import to_bgr, to_gray

MIN_LEVEL = 40.0
"""Mean grey level (0 to 255) below which an image is dark. Ours: of 141 photos taken for other
models' tests the darkest has 56.
"""

MIN_SHARPNESS = 100.0
"""Variance of the Laplacian (J. Pech-Pacheco et al., "Diatom autofocusing in brightfield
microscopy", 2000) below which an image is blurred, or shows nothing with an edge.

100 is the value in common use (A. Rosebrock, "Blur detection with OpenCV", 2015); it says little
without the size of the image, which is SIDE here. So measured, 141 sharp photos have 136 or more;
blurred by a Gaussian of 1 % of their shorter side, 112 of them have less than 100.
"""

SIDE = 224
"""Pixels of the shorter side at which sharpness is measured: about what models see. Smaller
images are measured as they are.
"""

Fault = Literal["", "dark", "blurred"]


@dataclass(frozen=True)
class Quality:
    """level: mean grey level, 0 to 255. sharpness: variance of the Laplacian at SIDE pixels."""

    level: float
    sharpness: float

    @property
    def fault(self) -> Fault:
        """The defect that a person should look at; a dark image has no edges to judge."""
        if self.level < MIN_LEVEL:
            return "dark"
        return "blurred" if self.sharpness < MIN_SHARPNESS else ""


def quality(image: Frame) -> Quality:
    """The measures of an "rgb", "bgr" or "gray" image."""
    pixels = image.pixels
    scale = SIDE / min(image.height, image.width)
    if scale < 1:
        size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    pixels = to_gray(Frame(pixels, image.color))
    spread = cv2.meanStdDev(cv2.Laplacian(pixels, cv2.CV_64F))[1].item()
    return Quality(cv2.mean(pixels)[0], spread**2)


def viewable(frame: Frame) -> Frame:
    """The image of a camera's frame as people see it: "rgb", "bgr" or "gray"."""
    shown = frame.shown
    if shown.color not in YUV:
        return shown
    return replace(shown, pixels=to_bgr(shown), color="bgr")
