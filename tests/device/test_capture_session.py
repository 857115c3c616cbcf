"""When an image is taken, and what is seen meanwhile: frames with instants of their own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_device.capture.label_folder import ClassFolder
from edge_device.capture.quality import Quality, quality, viewable
from edge_device.capture.session import STILL, ImageBatch, Operator, Session
from edge_device.capture.settings import Settings
from edge_sdk import Frame, read_image
from edge_sdk.events import Event

START_NS = 5_000_000_000


def frames(instants: Iterable[float], levels: Callable[[int], int] = lambda n: n) -> Any:
    """A frame of 8 x 8 pixels at each of these seconds; too small to be like another."""

    def make() -> Generator[Frame, None, None]:
        for index, seconds in enumerate(instants):
            pixels = np.full((8, 8, 3), levels(index) % 256, np.uint8)
            yield Frame(pixels, "rgb", START_NS + round(seconds * 1e9), index)

    return make()


@pytest.fixture
def batch(tmp_path: Path) -> ImageBatch:
    return ImageBatch(ClassFolder(tmp_path / "images", "x"))


def taken(batch: ImageBatch) -> list[int]:
    """The numbers of the frames that were kept, by their grey level."""
    return [round(read_image(path).pixels.mean()) for path in batch.files]


def test_one_every_interval_without_drift(batch: ImageBatch) -> None:
    settings = Settings(count=5, interval_s=0.25, delay_s=1.0)
    Session(frames(n / 30 for n in range(200)), settings, Operator()).fill(batch)
    assert taken(batch) == [30, 38, 45, 53, 60]  # the first at or after 1, 1.25, 1.5, 1.75, 2 s


def test_a_stall_is_not_made_up_for(batch: ImageBatch) -> None:
    instants = [0.0, 0.5, 1.0, 3.7, 3.8, 4.0, 4.4, 4.5]
    Session(frames(instants), Settings(interval_s=0.5, delay_s=0.0), Operator()).fill(batch)
    assert taken(batch) == [0, 1, 2, 3, 5, 7]


def test_the_next_label_begins_with_its_own_delay(tmp_path: Path) -> None:
    session = Session(
        frames(n / 10 for n in range(60)), Settings(2, interval_s=0.5, delay_s=1.0), Operator()
    )
    first, second = (ImageBatch(ClassFolder(tmp_path, label)) for label in ("a", "b"))
    session.fill(first)
    session.fill(second)
    assert (taken(first), taken(second)) == ([10, 15], [26, 31])


def test_enter_that_was_pressed_too_early_does_not_begin(batch: ImageBatch) -> None:
    pressed = iter([True, True, False, False, False, True])
    shown: list[str] = []
    operator = Operator(entered=lambda: next(pressed), listen=lambda e: shown.append(e.text))
    session = Session(frames(n / 10 for n in range(20)), Settings(1, delay_s=0.0), operator)
    session.ask("x")
    assert shown == ["x: press Enter to begin"] * 3
    session.fill(batch)
    assert taken(batch) == [3]


def test_a_image_that_never_changes_is_told_once(batch: ImageBatch) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    pixels = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    same = (Frame(pixels, "rgb", START_NS + n * 10**8) for n in range(3 * STILL))
    told: list[Event] = []
    session = Session(same, Settings(interval_s=0.1), Operator(listen=told.append))
    session.fill(batch)
    assert (len(batch.files), batch.skipped) == (1, 3 * STILL - 1)
    (warning,) = (event for event in told if event.kind == "warning")
    assert "move the subject" in warning.text and "--keep-similar" in warning.text


def test_progress_counts_down_and_then_up(batch: ImageBatch) -> None:
    shown: list[str] = []
    settings = Settings(2, interval_s=0.5, delay_s=2.0)
    operator = Operator(listen=lambda e: shown.append(e.text))
    Session(frames(n / 2 for n in range(20)), settings, operator).fill(batch)
    assert [line.removeprefix("x: ") for line in shown] == [
        *("starts in 2 s", "starts in 2 s", "starts in 1 s", "starts in 1 s"),
        *("1 of 2", "2 of 2"),
    ]


@pytest.mark.parametrize("color", ["yuv420p", "yuvj420p"])
def test_people_see_planes_in_their_colours(color: Any) -> None:
    rgb = np.zeros((32, 64, 3), np.uint8)
    rgb[:, :32], rgb[:, 32:] = (200, 30, 40), (20, 60, 220)
    y, cr, cb = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb).astype(float))
    if color == "yuv420p":
        y, cr, cb = 16 + y * 219 / 255, 16 + cr * 224 / 255, 16 + cb * 224 / 255
    planes = [y.ravel(), cb[::2, ::2].ravel(), cr[::2, ::2].ravel()]
    pixels = np.rint(np.concatenate(planes)).astype(np.uint8).reshape(48, 64)
    seen = viewable(Frame(pixels, color))
    assert seen.color == "bgr"
    assert np.abs(seen.pixels[:, :28, ::-1].astype(int) - (200, 30, 40)).max() < 5
    assert np.abs(seen.pixels[:, 36:, ::-1].astype(int) - (20, 60, 220)).max() < 5


def test_people_see_the_larger_image() -> None:
    large = Frame(np.zeros((20, 20, 3), np.uint8), "rgb")
    assert viewable(Frame(np.zeros((15, 10), np.uint8), "yuv420p", image=large)) is large


def test_faults_of_photos(shared_data: Path) -> None:
    for path in sorted((shared_data / "images").glob("*.*")):
        photo = read_image(path)
        assert quality(photo).fault == "", path
        side = min(photo.height, photo.width)
        soft = cv2.GaussianBlur(photo.pixels, (0, 0), 0.02 * side)
        assert quality(Frame(soft, "bgr")).fault == "blurred", path
        assert quality(Frame(photo.pixels // 8, "bgr")).fault == "dark", path


def test_quality_is_that_of_the_grey_image() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 5:] = (255, 0, 0)
    red, blue = quality(Frame(pixels, "rgb")), quality(Frame(pixels, "bgr"))
    assert red.level == pytest.approx(38, abs=1)  # 0.299 of 255, half the pixels
    assert blue.level == pytest.approx(14.5, abs=1)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    assert quality(Frame(gray, "gray")) == red
    assert Quality(39.9, 500.0).fault == "dark"
    assert Quality(40.0, 99.9).fault == "blurred"
    assert Quality(40.0, 100.0).fault == ""


def test_enter_counts_from_when_it_is_asked_for(batch: ImageBatch) -> None:
    """Pressed twice while the label before was taken; once more after the third image."""
    pressed = iter([True, True, False, *(False, False, True)])
    session = Session(
        frames(n / 10 for n in range(9)),
        Settings(1, delay_s=0.0),
        Operator(entered=lambda: next(pressed)),
    )
    session.ask("x")
    session.fill(batch)
    assert taken(batch) == [3]
