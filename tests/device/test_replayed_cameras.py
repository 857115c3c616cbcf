"""Folder and video: what is in the files, in which order, and what happens when they are bad."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device import open_camera
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.geometry import delivered
from edge_device.cameras.spec import CameraSpec
from edge_sdk import Frame, read_image
from edge_sdk.errors import CameraError, FileError
from edge_sdk.images.image_files import write_image

Writer = Callable[..., Any]


def test_a_folder_gives_its_images_in_the_order_of_names(tmp_path: Path) -> None:
    names = ["b/2.png", "a/10.png", "a/9.png", "c.png", "猫 und Hund/1.png"]
    for value, name in enumerate(names):
        write_image(tmp_path / name, Frame(np.full((4, 4, 3), value, np.uint8), "bgr"))
    with open_camera(f"folder:{tmp_path}?fps=max") as camera:
        sources = [frame.source for frame in camera]
    assert sources == [str(tmp_path / name) for name in sorted(names)]


def test_a_folder_gives_what_the_one_decoder_gives(tmp_path: Path, write_images: Writer) -> None:
    paths = write_images(tmp_path, 3, suffix=".jpg")
    with open_camera(f"folder:{tmp_path}?fps=max") as camera:
        for path, frame in zip(paths, camera, strict=True):
            assert np.array_equal(frame.pixels, read_image(path).pixels)


def test_loop_goes_round(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, 3)
    with open_camera(f"folder:{tmp_path}?fps=max&loop=1") as camera:
        names = [Path(frame.source).stem for frame, _ in zip(camera, range(7), strict=False)]
    assert names == ["000", "001", "002", "000", "001", "002", "000"]


def test_unreadable_images_are_skipped_and_counted_once(
    tmp_path: Path, write_images: Writer
) -> None:
    paths = write_images(tmp_path, 4, suffix=".jpg")
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    paths[2].write_bytes(b"no image")
    with open_camera(f"folder:{tmp_path}?fps=max&loop=1") as camera:
        names = [Path(frame.source).stem for frame, _ in zip(camera, range(6), strict=False)]
        assert camera.unreadable == 2
    assert names == ["000", "003"] * 3


@pytest.mark.parametrize("loop", [0, 1])
def test_a_folder_where_nothing_can_be_read(tmp_path: Path, loop: int) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with (
        open_camera(f"folder:{tmp_path}?fps=max&loop={loop}") as camera,
        pytest.raises(CameraError, match=r"none of the 1 images .*: .*a\.png cannot") as caught,
    ):
        camera.read()
    assert caught.value.fix


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="holds no images") as empty:
        open_camera(f"folder:{tmp_path}")
    assert ".jpg" in empty.value.fix
    with pytest.raises(FileError, match="does not exist"):
        open_camera(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="is not a folder"):
        open_camera(f"folder:{tmp_path / 'file'}")


def test_a_video_gives_every_frame_at_its_own_rate(
    tmp_path: Path, write_video: Writer, driven_clock: Any
) -> None:
    path = write_video(tmp_path / "片 1.mp4", frames=9, fps=25)
    clock = {"now_ns": driven_clock.now_ns, "sleep": driven_clock.sleep}
    with open_camera(f"video:{path}", **clock) as camera:
        frames = list(camera)
    assert [f.sensor_ns - frames[0].sensor_ns for f in frames] == [n * 40_000_000 for n in range(9)]
    greys = [float(frame.pixels.mean()) for frame in frames]
    assert np.allclose(greys, [8 * n for n in range(9)], atol=4)
    assert {frame.source for frame in frames} == {str(path)}


def test_a_video_can_go_round(tmp_path: Path, write_video: Writer) -> None:
    path = write_video(tmp_path / "film.mp4", frames=3)
    with open_camera(f"video:{path}?fps=max&loop=1") as camera:
        greys = [frame.pixels.mean() for frame, _ in zip(camera, range(7), strict=False)]
    assert np.allclose(greys, [0, 8, 16, 0, 8, 16, 0], atol=4)


@pytest.mark.parametrize(
    ("suffix", "codec", "kept", "notes"),
    [
        # AVI with its index cut off: the decoder meets half a packet.
        (".avi", "mjpeg", 0.6, ["damaged"]),
        # Matroska written whole says how many seconds it lasts.
        (".mkv", "mpeg4", 0.6, ["damaged"]),
    ],
)
def test_a_truncated_video_ends_with_a_note(
    tmp_path: Path, write_video: Writer, suffix: str, codec: str, kept: float, notes: list[str]
) -> None:
    path = write_video(tmp_path / f"film{suffix}", frames=40, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with open_camera(f"video:{path}?fps=max") as camera:
        count = sum(1 for _ in camera)
        found = camera.notes
    assert 0 < count < 40
    assert len(found) == len(notes)
    for note, word in zip(found, notes, strict=True):
        assert f"ended after {count} of" in note
        assert word in note


def test_files_that_are_no_video(tmp_path: Path, write_video: Writer) -> None:
    with pytest.raises(FileError, match="does not exist"):
        open_camera(f"video:{tmp_path / 'nothing.mp4'}")
    with pytest.raises(FileError, match="is a folder"):
        open_camera(f"video:{tmp_path}")
    film = write_video(tmp_path / "film.mp4")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with pytest.raises(CameraError, match="cannot be read as a video") as caught:
        open_camera(f"video:{film}")
    assert "ffmpeg" in caught.value.fix


@pytest.mark.parametrize(
    ("data", "because"),
    [(b"", "it is empty"), (b"no video " * 99, "it is damaged, cut off, or no video")],
)
def test_why_a_file_is_no_video_is_said_in_words(data: bytes, because: str, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    (tmp_path / "film.mp4").write_bytes(data)
    with pytest.raises(CameraError) as caught:
        open_camera(f"video:{tmp_path}/film.mp4")
    assert str(caught.value) == f"{tmp_path}/film.mp4 cannot be read as a video: {because}"


def test_a_video_without_images(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(CameraError, match="no video track"):
        open_camera(f"video:{path}")


def test_a_video_filmed_upright_is_turned(tmp_path: Path, write_video: Writer) -> None:
    path = write_video(tmp_path / "film.mp4", frames=2, size=(64, 48))
    data = bytearray(path.read_bytes())
    # The display matrix of a telephone held upright: 90 degrees clockwise (ISO 14496-12, 8.3.2).
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(
        ">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000
    )
    path.write_bytes(data)
    with open_camera(f"video:{path}?fps=max") as camera:
        frame = camera.read()
    assert frame is not None
    assert (frame.width, frame.height) == (48, 64)


def test_decoding_that_is_too_slow_is_a_slower_camera_not_an_older_image(
    driven_clock: Any,
) -> None:
    image = Frame(np.zeros((4, 4, 3), np.uint8), "rgb")
    spec = CameraSpec("fake?fps=20", "fake", fps=20)
    script = [image, 0.08, image, 0.08, image, 0.01, image]
    clock = {"now_ns": driven_clock.now_ns, "sleep": driven_clock.sleep}
    start = driven_clock.now_ns()
    with FakeCamera(spec, script, **clock) as camera:
        taken = [(f.sensor_ns - start, driven_clock.now_ns() - start) for f in camera]
        assert camera.notes == (
            "slower than 20 frames a second: 2 of 4 images took longer than that to decode",
        )
    milliseconds = [(0, 0), (80, 80), (160, 160), (210, 210)]
    assert taken == [(a * 1_000_000, b * 1_000_000) for a, b in milliseconds]


def test_decoding_within_the_period_is_no_part_of_the_age(driven_clock: Any) -> None:
    image = Frame(np.zeros((4, 4, 3), np.uint8), "rgb")
    spec = CameraSpec("fake?fps=20", "fake", fps=20)
    clock = {"now_ns": driven_clock.now_ns, "sleep": driven_clock.sleep}
    with FakeCamera(spec, [image, 0.04, image, 0.04, image], **clock) as camera:
        ages = [driven_clock.now_ns() - frame.sensor_ns for frame in camera]
        assert camera.notes == ()
    assert ages == [0, 0, 0]


def test_a_sensor_time_of_its_own_is_kept() -> None:
    image = Frame(np.zeros((4, 4), np.uint8), "gray", sensor_ns=12345)
    with FakeCamera(script=[image]) as camera:
        frame = camera.read()
    assert frame is not None
    assert frame.sensor_ns == 12345


def test_the_fake_records_and_is_strict() -> None:
    image = Frame(np.zeros((4, 4, 3), np.uint8), "rgb")
    camera = FakeCamera(script=[image, "nonsense"])  # type: ignore[list-item]
    assert camera.read() is not None
    with pytest.raises(CameraError, match="nonsense"):
        camera.read()
    camera.close()
    assert camera.calls == ["read", "read", "close"]


@pytest.mark.parametrize(
    ("pixels", "color"),
    [
        (np.zeros((4, 4, 3), np.float32), "rgb"),
        (np.zeros((4, 4), np.uint8), "rgb"),
        (np.zeros((4, 4, 3), np.uint8), "gray"),
        (np.zeros((0, 4, 3), np.uint8), "bgr"),
    ],
)
def test_what_is_no_image_is_an_error(pixels: Any, color: Any) -> None:
    with (
        FakeCamera(script=[Frame(pixels, color)]) as camera,
        pytest.raises(CameraError, match="gave"),
    ):
        camera.read()


def test_sizes_are_cropped_as_a_sensor_does_never_stretched() -> None:
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (100, 200))
    square = delivered(ramp, CameraSpec("", "", width=50, height=50))
    assert square.shape == (50, 50)
    # The middle 100 of 200 columns remain: the values 50 to 149, the mean of two in each column.
    assert np.abs(square[0] - np.arange(50.5, 150, 2)).max() <= 0.5
    assert delivered(ramp, CameraSpec("", "", width=50)).shape == (25, 50)
    assert delivered(ramp, CameraSpec("", "", height=200)).shape == (200, 400)
    assert delivered(ramp, CameraSpec("", "", width=200, height=100)) is not None
