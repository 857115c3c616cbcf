"""Answers on images, for people: boxes with labels, or a strip with the best class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
from numpy.typing import NDArray

from edge_sdk.frames import Frame
from edge_sdk.images.color import to_bgr
from edge_sdk.results import Detection, Result

_MIN_WIDTH = 240
"""Pixels below which an image is enlarged: there would be no room for words."""
_STRIP = 28
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_COLORS = (
    (180, 119, 31),
    (14, 127, 255),
    (44, 160, 44),
    (40, 39, 214),
    (189, 103, 148),
    (75, 86, 140),
    (194, 119, 227),
    (127, 127, 127),
)
"""BGR, in turns over tracks or classes: matplotlib's first eight ("tab10")."""


def annotated(frame: Frame, result: Result) -> Frame:
    """A BGR copy of `frame.shown`, enlarged where it is tiny, with the answer on it: each detection
    as a box with its label and score, of a classifier the best class in a strip below.
    """
    shown = frame.shown
    pixels: NDArray[Any] = to_bgr(shown)
    factor = max(1, -(-_MIN_WIDTH // shown.width))
    if factor > 1:
        pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    if result.detections is None:
        return Frame(_with_strip(pixels, result), "bgr")
    # The best last, so that it lies on top.
    for found in reversed(result.detections):
        _draw(pixels, found, factor)
    return Frame(pixels, "bgr")


def drawn(label: str, index: int) -> str:
    """A label as it can be drawn: OpenCV's built-in font knows ASCII only."""
    return label if label.isascii() else f"class {index}"


def undrawable(labels: Sequence[str]) -> str:
    """The line that goes with images on which some labels cannot stand; "" where all can."""
    other = [(index, label) for index, label in enumerate(labels) if not label.isascii()]
    if not other:
        return ""
    index, label = other[0]
    return (
        f"OpenCV draws ASCII only: the copies show {len(other)} of {len(labels)} labels by their "
        f'number ("{drawn(label, index)}" is {label}); the printed answers show them in full'
    )


def _with_strip(pixels: NDArray[Any], result: Result) -> NDArray[Any]:
    best = result.classes[0] if result.classes else None
    text = f"{drawn(best.label, best.index)} {best.score:.2f}" if best else "no answer"
    pixels = cv2.copyMakeBorder(pixels, 0, _STRIP, 0, 0, cv2.BORDER_CONSTANT, value=_BLACK)
    cv2.putText(pixels, text, (6, pixels.shape[0] - 9), _FONT, 0.55, _WHITE, 1)
    return pixels


def _draw(pixels: NDArray[Any], found: Detection, factor: int) -> None:
    """One box with its words on a plate: above it, or inside where there is no room."""
    color = _COLORS[(found.index if found.track is None else found.track) % len(_COLORS)]
    left, top, right, bottom = (round(edge * factor) for edge in found.box)
    line = max(2, round(pixels.shape[1] / 480))
    cv2.rectangle(pixels, (left, top), (right, bottom), color, line)
    text = f"{drawn(found.label, found.index)} {found.score:.2f}"
    if found.track is not None:
        text = f"#{found.track} {text}"
    scale = max(0.45, pixels.shape[1] / 1600)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    left = max(0, min(left, pixels.shape[1] - width))
    base = top - below if top > height + 2 * below else top + height + below
    plate = (left, base - height - below), (left + width, base + below)
    cv2.rectangle(pixels, *plate, color, cv2.FILLED)
    cv2.putText(pixels, text, (left, base), _FONT, scale, _WHITE, 1, cv2.LINE_AA)
