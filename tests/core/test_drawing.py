"""Answers on images: where they are drawn, on frames of every format."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge_sdk import BBox, Classification, Detection, Frame, Result
from edge_sdk.images.color import to_bgr
from edge_sdk.images.drawing import annotated
from edge_sdk.results import StageTimes

GREY = 90


def result(
    *found: Detection, classes: tuple[Classification, ...] = (), detects: bool = True
) -> Result:
    return Result(classes, 0, 0, 0, StageTimes(), detections=found if detects else None)


def changed(image: Frame, before: int = GREY) -> tuple[int, int, int, int]:
    """The smallest box around what was drawn."""
    rows, columns = np.nonzero((image.pixels != before).any(axis=2))
    return (
        *(int(columns.min()), int(rows.min())),
        *(int(columns.max()) + 1, int(rows.max()) + 1),
    )


def flat(width: int = 640, height: int = 400) -> Frame:
    return Frame(np.full((height, width, 3), GREY, np.uint8), "bgr")


def test_a_box_is_drawn_where_it_is() -> None:
    frame = flat()
    image = annotated(frame, result(Detection("cat", 3, 0.9, BBox(200, 150, 400, 300))))
    left, top, right, bottom = changed(image)
    assert (left, right, bottom) == pytest.approx((200, 400, 300), abs=3)
    assert 120 < top < 150  # words stand above it
    assert (image.pixels[200:250, 250:350] == GREY).all()  # what is in it can be seen
    assert (frame.pixels == GREY).all()  # on a copy


@pytest.mark.parametrize(
    "box", [BBox(0, 0, 640, 400), BBox(0, 0, 3, 3), BBox(636, 397, 640, 400), BBox(600, 5, 640, 60)]
)
def test_words_stay_in_the_image(box: BBox) -> None:
    image = annotated(flat(), result(Detection("a long name of a thing", 0, 1.0, box)))
    rows, columns = np.nonzero((image.pixels > 200).all(axis=2))
    assert len(rows) > 100 and columns.min() > 0 and columns.max() < 639
    assert columns.max() - columns.min() > 100
    assert image.pixels.shape == (400, 640, 3)


def test_nothing_found_leaves_the_image_as_it_is() -> None:
    assert (annotated(flat(), result()).pixels == GREY).all()


def test_colours_follow_the_class_or_the_track() -> None:
    def color(**keys: Any) -> tuple[int, ...]:
        one = Detection("x", keys.pop("index", 0), 0.5, BBox(100, 200, 300, 350), **keys)
        return tuple(annotated(flat(), result(one)).pixels[300, 100].tolist())

    assert color(index=1) == color(index=9) != color(index=2)
    assert color(index=1, track=4) == color(index=2, track=4) != color(index=1, track=5)


def test_the_number_of_a_track_is_written() -> None:
    one = Detection("x", 0, 0.5, BBox(100, 200, 300, 350))
    plain = annotated(flat(), result(one))
    numbered = annotated(flat(), result(Detection("x", 0, 0.5, one.box, track=8)))
    assert not np.array_equal(plain.pixels[150:200], numbered.pixels[150:200])


def test_tiny_images_are_enlarged_with_their_boxes() -> None:
    image = annotated(flat(40, 30), result(Detection("x", 0, 1.0, BBox(10, 20, 30, 28))))
    assert image.pixels.shape == (180, 240, 3)
    left, _, right, bottom = changed(image)
    assert (left, right, bottom) == pytest.approx((60, 180, 168), abs=3)


def test_the_best_class_stands_below() -> None:
    best = Classification("cat", 0, 0.75)
    image = annotated(flat(), result(classes=(best,), detects=False))
    assert image.pixels.shape == (428, 640, 3)
    assert (image.pixels[:400] == GREY).all() and (image.pixels[400:] == 255).any()
    unknown = annotated(flat(), result(detects=False))
    assert not np.array_equal(image.pixels, unknown.pixels)


def test_what_people_see_is_drawn_on() -> None:
    """The larger stream of a camera that has two."""
    frame = Frame(np.zeros((48, 64), np.uint8), "gray", image=flat())
    image = annotated(frame, result(Detection("cat", 3, 0.9, BBox(200, 150, 400, 300))))
    assert image.pixels.shape == (400, 640, 3) and image.color == "bgr"


@pytest.mark.parametrize("color", ["rgb", "bgr", "gray", "yuv420p", "yuvj420p"])
def test_every_format_becomes_bgr(color: Any) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (4, 6, 3), np.uint8)
    bgr = cv2.resize(coarse, (96, 64), interpolation=cv2.INTER_CUBIC)
    if color == "gray":
        pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        bgr = np.repeat(pixels[:, :, None], 3, axis=2)
    elif color == "yuv420p":
        pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    elif color == "yuvj420p":
        y, cr, cb = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
        halves = [cv2.resize(plane, (48, 32), interpolation=cv2.INTER_AREA) for plane in (cb, cr)]
        pixels = np.concatenate([y, *(half.reshape(-1, 96) for half in halves)])
    else:
        pixels = bgr[:, :, ::-1].copy() if color == "rgb" else bgr
    made = to_bgr(Frame(pixels, color))
    assert made.shape == (64, 96, 3) and made.dtype == np.uint8
    assert not np.shares_memory(made, pixels)
    gap = np.abs(made.astype(int) - bgr.astype(int))
    assert gap.mean() < 3 and np.percentile(gap, 99) < 25
