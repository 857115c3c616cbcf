"""What every live camera must do: real servers on loopback, and what is attached to the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_device import Camera, open_camera
from edge_device.cameras.backends import BACKENDS
from edge_device.cameras.listing import list_cameras
from edge_sdk.errors import CameraError
from edge_sdk.frames import YUV
from waiting import PATIENCE_S

Opener = Callable[..., Camera]

NETWORK = ("http", "rtsp", "gstreamer")
ATTACHED = ("picamera2", "v4l2")


@pytest.fixture(params=[*NETWORK, *ATTACHED])
def live(request: pytest.FixtureRequest, steady_camera: Callable[[str], str]) -> Opener:
    """`live("width=20")`: a live camera, one opener for each kind."""
    kind = request.param
    if kind in NETWORK:
        head, mark = steady_camera(kind), "#"
    else:
        usable = [found.spec for found in list_cameras() if found.kind == kind and found.usable]
        if not usable:
            pytest.skip(f"NOT TESTED: no {kind} camera is attached")
        head, mark = usable[0], "?"
    return lambda parameters="": open_camera(f"{head}{mark}{parameters}" if parameters else head)


def test_every_live_kind_is_here() -> None:
    kinds = {kind for kind, backend in BACKENDS.items() if backend.live}
    assert kinds == {"http", "https", "rtsp", *ATTACHED}


def test_frames_are_checked_counted_and_stamped(live: Opener) -> None:
    began = time.monotonic_ns()
    with live() as camera:
        frames = [camera.read() for _ in range(5)]
        ended = time.monotonic_ns()
        assert not camera.replayed
        assert (camera.notes, camera.unreadable, camera.reopened) == ((), 0, 0)
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert camera.missed == indices[-1] - 4
    times = [frame.sensor_ns for frame in frames]
    assert times == sorted(set(times))
    assert began <= times[0] and times[-1] <= ended
    for frame in frames:
        assert frame.pixels.dtype == np.uint8
        rows = frame.height * 3 // 2 if frame.color in YUV else frame.height
        assert frame.pixels.shape[:2] == (rows, frame.width)
        assert frame.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ("width=20&height=10", (20, 10)),
        ("width=20&height=10&rotate=180&hflip=1", (20, 10)),
        ("width=10&height=20&rotate=270", (10, 20)),
    ],
)
def test_frames_have_the_size_that_was_asked_for(
    live: Opener, asked: str, size: tuple[int, int]
) -> None:
    with live(asked) as camera:
        for _ in range(3):
            frame = camera.read()
            assert frame is not None
            assert (frame.shown.width, frame.shown.height) == size


def test_the_rate_that_was_asked_for_is_not_exceeded(live: Opener) -> None:
    with live("fps=10") as camera:
        frames = [camera.read() for _ in range(4)]
    spent = (frames[-1].sensor_ns - frames[0].sensor_ns) / (frames[-1].index - frames[0].index)
    assert spent >= 0.8 * 1e9 / 10


def test_closing_twice_is_fine_and_ends_the_stream(live: Opener) -> None:
    camera = live()
    assert camera.read() is not None
    camera.close()
    camera.close()
    assert camera.read() is None


def test_closing_ends_a_reader_in_another_thread(live: Opener) -> None:
    camera = live()
    reader = threading.Thread(target=lambda: sum(1 for _ in camera))
    reader.start()
    camera.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()


def test_closing_wakes_a_read_that_waits(camera_server: Callable[[str], Any]) -> None:
    server = camera_server("http")
    with open_camera(server.url) as camera:
        assert camera.read() is not None
        server.say("stall")
        reader = threading.Thread(target=lambda: sum(1 for _ in camera))
        reader.start()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_camera_that_is_not_there(camera_server: Callable[[str], Any], kind: str) -> None:
    server = camera_server(kind)
    server.kill()
    with pytest.raises(CameraError, match="refuses the connection") as caught:
        open_camera(server.url)
    assert "address and port" in caught.value.fix
