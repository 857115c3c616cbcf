"""A live camera that fails, ends or stalls is opened again: scripted faults, on a driven clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from edge_device import Camera
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.recovery import MAX_LEFT_BEHIND, Backoff, RecoveringCamera
from edge_device.cameras.spec import CameraSpec
from edge_device.run.pipeline import Pipeline
from edge_sdk import Frame
from edge_sdk.errors import CameraError
from waiting import PATIENCE_S, wait_until

HANG = 1e6
GONE = CameraError("there is no camera", fix="plug it in")
SPEC = CameraSpec("live://eye:***@host", "rtsp", fps=30)


def image(value: int, at_s: float = 0.0) -> Frame:
    return Frame(np.full((4, 4, 3), value, np.uint8), "rgb", round(at_s * 1e9))


def values(*frames: Frame | None) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) for frame in frames if frame is not None]


class Openings:
    """Opens one scripted camera after another; an exception instead of a script is raised."""

    def __init__(self, *scripts: Iterable[Any] | Exception, **clock: Any) -> None:
        self.opened: list[FakeCamera | None] = []
        self._scripts, self._clock = iter(scripts), clock

    def __call__(self) -> Camera:
        script = next(self._scripts)
        if isinstance(script, Exception):
            self.opened.append(None)
            raise script
        camera = FakeCamera(script=script, **self._clock)
        self.opened.append(camera)
        return camera


@pytest.fixture
def recovering(driven_clock: Any) -> Iterator[Callable[..., RecoveringCamera]]:
    """`recovering(openings, **options)`: a camera on the driven clock, without chance."""
    cameras = []

    def make(openings: Callable[[], Camera], **options: Any) -> RecoveringCamera:
        defaults = {
            "backoff": Backoff(chance=lambda: 1.0),
            "now_ns": driven_clock.now_ns,
            "sleep": driven_clock.sleep,
        }
        spec = options.pop("spec", SPEC)
        cameras.append(RecoveringCamera(spec, openings, **{**defaults, **options}))
        return cameras[-1]

    yield make
    for camera in cameras:
        camera.close()


@pytest.mark.parametrize("fault", [[RuntimeError("unplugged")], []])
def test_a_camera_that_fails_or_ends_is_opened_again(
    recovering: Callable[..., RecoveringCamera],
    driven_clock: Any,
    caplog: pytest.LogCaptureFixture,
    fault: list[Exception],
) -> None:
    openings = Openings([image(1), *fault], [image(2), HANG])
    camera = recovering(openings)
    first, second = camera.read(), camera.read()
    assert values(first, second) == [1, 2]
    assert first is not None and second is not None
    assert (first.index, second.index) == (0, 1)
    assert camera.reopened == 1
    assert driven_clock.sleeps == [0.5]
    because = "unplugged" if fault else "it gives no more frames"
    (note,) = camera.notes
    assert note.startswith("the camera was lost once, in use again; the last time: ")
    assert because in note
    assert openings.opened[0] is not None and openings.opened[0].calls[-1] == "close"
    lost, back = [record.getMessage() for record in caplog.records]
    assert because in lost and "opening it again" in lost
    assert back == f"camera {SPEC.text!r} is back"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_it_waits_longer_and_longer_but_never_long(
    recovering: Callable[..., RecoveringCamera], driven_clock: Any
) -> None:
    fails = [image(1), RuntimeError("unplugged")]
    camera = recovering(Openings(fails, *(5 * [GONE]), fails, [image(3), HANG]))
    assert values(camera.read(), camera.read(), camera.read()) == [1, 1, 3]
    assert driven_clock.sleeps == [0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 0.5]
    assert camera.reopened == 2
    assert "lost 2 times" in camera.notes[0]


def test_the_wait_is_between_half_and_the_whole_by_chance() -> None:
    short, long = Backoff(chance=lambda: 0.0), Backoff(chance=lambda: 1.0)
    assert [short.next() for _ in range(4)] == [0.25, 0.5, 1.0, 1.0]
    assert [long.next() for _ in range(4)] == [0.5, 1.0, 2.0, 2.0]
    waits = {Backoff().next() for _ in range(20)}
    assert len(waits) > 1 and all(0.25 <= wait <= 0.5 for wait in waits)
    # A cap below the first wait, and more tries than a float has powers of two.
    patient = Backoff(first_s=1.0, max_s=3.0, chance=lambda: 1.0)
    assert [patient.next() for _ in range(2000)][-1] == 3.0


def steadily(read: threading.Event, period_s: float) -> Iterator[Any]:
    """Three images, each when the one before it was read, `period_s` apart; then nothing."""
    for number in range(3):
        yield image(number, 1 + number * period_s)
        read.wait()
        read.clear()
    yield HANG


@pytest.mark.parametrize(
    ("fps", "period_s", "timeout_s", "patience_s"),
    [
        (30, 0.033, None, 2.0),
        (2, 0.5, None, 5.0),
        (None, 0.033, None, 2.0),
        (None, 1.0, None, 10.0),
        (30, 4.0, None, 40.0),
        (float("inf"), 0.01, None, 2.0),
        (30, 0.033, 7.0, 7.0),
    ],
)
def test_a_camera_that_stalls_is_opened_again(
    recovering: Callable[..., RecoveringCamera],
    driven_clock: Any,
    fps: float | None,
    period_s: float,
    timeout_s: float | None,
    patience_s: float,
) -> None:
    read = threading.Event()
    openings = Openings(steadily(read, period_s), [image(9), HANG])
    spec = CameraSpec("live", "rtsp", fps=fps)
    camera = recovering(openings, spec=spec, timeout_s=timeout_s)
    for number in range(3):
        assert values(camera.read()) == [number]
        read.set()
    seen: list[Frame | None] = []
    reader = threading.Thread(target=lambda: seen.append(camera.read()))
    reader.start()
    driven_clock.advance(patience_s - 0.01)
    time.sleep(0.2)  # long enough to look at the clock
    assert len(openings.opened) == 1
    driven_clock.advance(0.02)
    reader.join(PATIENCE_S)
    assert values(*seen) == [9]
    assert camera.reopened == 1
    assert f"no image for {patience_s:.1f} s" in camera.notes[0]


def test_the_time_away_is_no_frame_period(
    recovering: Callable[..., RecoveringCamera], driven_clock: Any
) -> None:
    """100 s without an image: the next stall is noticed as soon as the first."""
    read = threading.Event()
    openings = Openings(steadily(read, 0.033), [image(8, 101.0), HANG], [image(9, 200.0), HANG])
    camera = recovering(openings, spec=CameraSpec("live", "rtsp"))
    for _ in range(3):
        camera.read()
        read.set()
    for times, value in ((1, 8), (2, 9)):
        seen: list[Frame | None] = []
        reader = threading.Thread(target=lambda seen=seen: seen.append(camera.read()))
        reader.start()
        driven_clock.advance(2.02)
        wait_until(lambda times=times: len(openings.opened) > times)
        reader.join(PATIENCE_S)
        assert values(*seen) == [value]
    assert "no image for 2.0 s" in camera.notes[0]


def test_what_hangs_in_a_driver_is_left_behind_and_closed_when_it_comes_back(
    recovering: Callable[..., RecoveringCamera], driven_clock: Any
) -> None:
    """A call that no interruption reaches: here a sleep that nothing but `released` ends."""
    released = threading.Event()
    openings = Openings([image(1), HANG], [image(2), HANG], sleep=lambda _s: released.wait())
    camera = recovering(openings)
    assert values(camera.read()) == [1]
    seen: list[Frame | None] = []
    reader = threading.Thread(target=lambda: seen.append(camera.read()))
    reader.start()
    driven_clock.advance(2.1)
    reader.join(PATIENCE_S)
    assert values(*seen) == [2]
    camera.close()
    hanging = [opened for opened in openings.opened if opened is not None]
    assert [opened.calls[-1] for opened in hanging] == ["read", "read"]
    released.set()
    wait_until(lambda: [opened.calls[-1] for opened in hanging] == ["close", "close"])


def test_only_so_many_openings_hang_at_the_same_time(
    recovering: Callable[..., RecoveringCamera], driven_clock: Any
) -> None:
    released = threading.Event()
    opened = []

    def open_one() -> Camera:
        opened.append(threading.current_thread())
        if len(opened) == 1:
            return FakeCamera(script=[image(1), RuntimeError("gone")])
        if not released.is_set():
            released.wait()
            raise GONE
        return FakeCamera(script=[image(2), HANG])

    camera = recovering(open_one, sleep=lambda _seconds: time.sleep(0.01))
    assert values(camera.read()) == [1]
    seen: list[Frame | None] = []
    reader = threading.Thread(target=lambda: seen.append(camera.read()))
    reader.start()
    for hanging in range(1, MAX_LEFT_BEHIND + 1):
        wait_until(lambda so_many=hanging: len(opened) == 1 + so_many)
        driven_clock.advance(10.1)
    time.sleep(0.2)
    assert len(opened) == 1 + MAX_LEFT_BEHIND
    released.set()
    reader.join(PATIENCE_S)
    assert values(*seen) == [2]
    assert camera.reopened == 1


def test_what_fails_at_first_is_told_at_once(recovering: Callable[..., RecoveringCamera]) -> None:
    with pytest.raises(CameraError, match="there is no camera"):
        recovering(Openings(GONE))
    with pytest.raises(CameraError, match="broken"):
        recovering(Openings([RuntimeError("broken")]))
    with pytest.raises(CameraError, match="no more frames"):
        recovering(Openings([]))


def test_a_first_image_that_does_not_come_is_an_error() -> None:
    seconds = count(0, 1_000_000_000)
    with pytest.raises(CameraError, match="gave no image in 10 s") as caught:
        RecoveringCamera(SPEC, Openings([HANG]), now_ns=lambda: next(seconds))
    assert caught.value.fix == FakeCamera.remedy


def test_an_opening_that_does_not_come_back_is_an_error() -> None:
    """Of what hangs while it is opened nothing is known but that it is a live camera."""
    seconds, over = count(0, 1_000_000_000), threading.Event()

    def hang() -> Camera:
        over.wait()
        return FakeCamera(script=[])

    with pytest.raises(CameraError, match="gave no image in 10 s") as caught:
        RecoveringCamera(SPEC, hang, now_ns=lambda: next(seconds))
    over.set()
    assert "switched on" in caught.value.fix and "another program" in caught.value.fix


def test_whoever_stops_need_not_wait_for_the_first_frame() -> None:
    seconds, over = count(0, 1_000_000_000), threading.Event()

    def hang() -> Camera:
        over.wait()
        return FakeCamera(script=[])

    with RecoveringCamera(SPEC, hang, stop=lambda: True, now_ns=lambda: next(seconds)) as camera:
        over.set()
        camera.interrupt()
        assert camera.read() is None


def test_the_newest_frame_waits_and_the_others_are_counted(
    recovering: Callable[..., RecoveringCamera],
) -> None:
    read, all_given = threading.Event(), threading.Event()

    def script() -> Iterator[Any]:
        yield image(0)
        read.wait()
        yield from (image(1), image(2), image(3))
        all_given.set()
        yield RuntimeError("gone")

    camera = recovering(Openings(script(), [image(4), HANG]))
    first = camera.read()
    read.set()
    assert all_given.wait(PATIENCE_S)
    third, fourth = camera.read(), camera.read()
    assert values(first, third, fourth) == [0, 3, 4]
    assert [frame.index for frame in (first, third, fourth) if frame] == [0, 3, 4]
    assert camera.missed == 2


def test_images_that_cannot_be_decoded_are_counted_over_all_openings(
    recovering: Callable[..., RecoveringCamera],
) -> None:
    def open_one() -> Camera:
        camera = FakeCamera(script=[image(1), RuntimeError("gone")])
        camera.unreadable = 3
        return camera

    camera = recovering(open_one)
    for opening in range(1, 4):
        assert camera.read() is not None
        assert camera.unreadable == 3 * opening


def test_what_belongs_to_a_frame_stays_with_it(
    recovering: Callable[..., RecoveringCamera],
) -> None:
    large = Frame(np.zeros((8, 8, 3), np.uint8), "bgr")
    small = Frame(np.zeros((6, 4), np.uint8), "yuv420p", 12345, image=large, exposure_ns=99)
    camera = recovering(Openings([small, HANG], now_ns=lambda: 0))
    frame = camera.read()
    assert frame is not None
    assert (frame.pixels.shape, frame.color, frame.sensor_ns) == ((6, 4), "yuv420p", 12345)
    assert (frame.image, frame.exposure_ns) == (large, 99)


def test_closing_ends_a_reader_that_waits_for_the_next_try() -> None:
    openings = Openings([image(1), RuntimeError("gone")])
    camera = RecoveringCamera(SPEC, openings, backoff=Backoff(1000, 1000))
    assert values(camera.read()) == [1]
    seen: list[Frame | None] = []
    reader = threading.Thread(target=lambda: seen.append(camera.read()))
    reader.start()
    wait_until(lambda: camera.notes)
    assert "still offline" in camera.notes[0]
    camera.close()
    reader.join(PATIENCE_S)
    assert seen == [None]
    assert camera.reopened == 0


@pytest.mark.parametrize("policy", ["all", "block"])
def test_where_capture_waits_a_live_camera_loses_no_frame(
    recovering: Callable[..., RecoveringCamera], policy: Any
) -> None:
    """Frames come as fast as they are read; each answer takes longer than that."""
    begun = threading.Event()

    def script() -> Iterator[Any]:
        yield image(0)
        begun.wait()
        yield from (image(number) for number in range(1, 200))
        yield HANG

    camera = recovering(Openings(script()))
    seen = []
    with Pipeline(camera, policy) as pipeline:
        begun.set()
        for captured in pipeline:
            seen.append(captured.frame.index)
            time.sleep(0.001)
            if len(seen) == 200:
                break
        assert seen == list(range(200))
        assert (pipeline.drops, camera.missed) == (0, 0)


def test_a_camera_that_waits_can_be_closed(recovering: Callable[..., RecoveringCamera]) -> None:
    begun = threading.Event()

    def script() -> Iterator[Any]:
        yield image(0)
        begun.wait()
        yield from (image(1), image(2), image(3))

    openings = Openings(script())
    camera = recovering(openings)
    camera.waits = True
    begun.set()
    assert values(camera.read()) == [0]
    camera.close()
    (opened,) = openings.opened
    wait_until(lambda: opened is not None and opened.calls[-1] == "close")
