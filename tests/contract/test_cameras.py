"""What every camera must do whose images are replayed, real and fake alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device import Camera, open_camera
from edge_device.cameras.backends import BACKENDS
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk import Frame
from edge_sdk.errors import CameraError, EdgeError
from waiting import PATIENCE_S

Opener = Callable[..., Camera]


@pytest.fixture(params=sorted(kind for kind, backend in BACKENDS.items() if not backend.live))
def opener(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    write_images: Callable[..., list[Path]],
    write_video: Callable[..., Path],
) -> Opener:
    """`opener("fps=25", **clock)`: a camera of 5 frames, one opener for each backend."""
    kind = request.param
    head, tail = kind, ["frames=5"]
    if kind == "folder":
        write_images(tmp_path / "images", 5, size=(32, 24))
        head, tail = f"folder:{tmp_path / 'images'}", []
    elif kind == "video":
        head, tail = f"video:{write_video(tmp_path / 'film.mp4', frames=5)}", []

    def open_one(parameters: str = "fps=max", **clock: Any) -> Camera:
        asked = "&".join([*tail, *([parameters] if parameters else [])])
        return open_camera(f"{head}?{asked}", **clock)

    return open_one


def test_frames_are_checked_and_counted_and_then_it_ends(opener: Opener) -> None:
    with opener() as camera:
        frames = list(camera)
        assert camera.read() is None
        assert camera.read() is None
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    for frame in frames:
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.shape == (frame.height, frame.width, 3)
        assert frame.color in ("rgb", "bgr")


def test_the_same_spec_gives_the_same_images(opener: Opener) -> None:
    with opener() as first, opener() as second:
        for one, other in zip(first, second, strict=True):
            assert np.array_equal(one.pixels, other.pixels)


def test_the_images_differ_from_each_other(opener: Opener) -> None:
    with opener() as camera:
        assert len({frame.pixels.tobytes() for frame in camera}) == 5


def test_paced_frames_are_taken_at_their_instants_exactly(
    opener: Opener, driven_clock: Any
) -> None:
    start = driven_clock.now_ns()
    with opener("fps=30", now_ns=driven_clock.now_ns, sleep=driven_clock.sleep) as camera:
        handed_out = [(frame.sensor_ns - start, driven_clock.now_ns() - start) for frame in camera]
    scheduled = [n * 1_000_000_000 // 30 for n in range(5)]
    assert handed_out == [(instant, instant) for instant in scheduled]


def test_a_reader_that_stalls_finds_frames_that_have_grown_old(
    opener: Opener, driven_clock: Any
) -> None:
    with opener("fps=10", now_ns=driven_clock.now_ns, sleep=driven_clock.sleep) as camera:
        first = camera.read()
        driven_clock.advance(2.0)
        late = camera.read()
        assert first is not None
        assert late is not None
    assert late.sensor_ns - first.sensor_ns == 100_000_000
    assert driven_clock.now_ns() - late.sensor_ns == 1_900_000_000
    assert driven_clock.sleeps == []


def test_unpaced_frames_are_stamped_when_handed_out(opener: Opener, driven_clock: Any) -> None:
    with opener("fps=max", now_ns=driven_clock.now_ns, sleep=driven_clock.sleep) as camera:
        assert camera.unpaced
        for frame in camera:
            assert frame.sensor_ns == driven_clock.now_ns()
            driven_clock.advance(0.5)
    assert driven_clock.sleeps == []


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ("width=20&height=10", (20, 10)),
        ("width=20&height=10&rotate=180&hflip=1", (20, 10)),
        ("width=20&height=10&rotate=90", (20, 10)),
        ("width=10&height=20&rotate=270", (10, 20)),
    ],
)
def test_frames_have_the_size_that_was_asked_for(
    opener: Opener, asked: str, size: tuple[int, int]
) -> None:
    with opener(f"fps=max&{asked}") as camera:
        for frame in camera:
            assert (frame.width, frame.height) == size


def test_rotating_and_mirroring_do_what_they_say(opener: Opener) -> None:
    with opener() as plain, opener("fps=max&rotate=180") as turned:
        for one, other in zip(plain, turned, strict=True):
            assert np.array_equal(one.pixels[::-1, ::-1], other.pixels)
    with opener() as plain, opener("fps=max&hflip=1") as mirrored:
        for one, other in zip(plain, mirrored, strict=True):
            assert np.array_equal(one.pixels[:, ::-1], other.pixels)


def test_closing_twice_is_fine_and_ends_the_stream(opener: Opener) -> None:
    camera = opener()
    assert camera.read() is not None
    camera.close()
    camera.close()
    assert camera.read() is None


def test_closing_wakes_a_read_that_waits(opener: Opener) -> None:
    camera = opener("fps=0.01")
    assert camera.read() is not None
    answers: list[object] = []
    reader = threading.Thread(target=lambda: answers.append(camera.read()))
    reader.start()
    camera.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert answers == [None]


def test_a_stream_says_what_it_is(opener: Opener) -> None:
    with opener("fps=30") as camera:
        assert camera.replayed
        assert not camera.unpaced
        assert camera.notes == ()
        assert camera.unreadable == 0
        assert "fps=30" in camera.spec.text


@pytest.mark.parametrize(
    "raised",
    [RuntimeError("vendor"), ValueError("vendor"), KeyError("vendor"), OSError(5, "vendor")],
)
def test_no_error_of_a_vendor_gets_out(raised: Exception) -> None:
    with FakeCamera(script=[raised]) as camera, pytest.raises(CameraError) as caught:
        camera.read()
    assert "vendor" in str(caught.value)
    assert caught.value.fix


def test_a_live_camera_that_knows_no_time_is_stamped_when_it_answers(driven_clock: Any) -> None:
    class Live(Camera):
        def _read(self) -> Frame | None:
            driven_clock.advance(0.1)
            return Frame(np.zeros((4, 4, 3), np.uint8), "bgr")

    start = driven_clock.now_ns()
    with Live(CameraSpec("live", "live"), now_ns=driven_clock.now_ns) as camera:
        times = [frame.sensor_ns - start for frame, _ in zip(camera, range(3), strict=False)]
        assert not camera.replayed
    assert times[:3] == [100_000_000, 200_000_000, 300_000_000]


def test_no_error_of_the_system_gets_out_of_opening() -> None:
    with pytest.raises(CameraError, match="cannot be opened") as caught:
        open_camera("video:" + 5000 * "x")
    assert caught.value.fix


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_video_ends_or_is_a_camera_error(
    seed: int, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    path = write_video(tmp_path / "film.mp4", frames=12)
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(0, len(data), 40):
        data[place] = random.integers(0, 256)
    path.write_bytes(bytes(data[: random.integers(len(data) // 2, len(data) + 1)]))
    try:
        with open_camera(f"video:{path}?fps=max") as camera:
            assert sum(1 for _ in camera) <= 12
    except EdgeError as error:
        assert isinstance(error, CameraError)
        assert error.fix
