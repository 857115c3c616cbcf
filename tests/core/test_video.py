"""Videos as frames: the right ones, in any order, for little reading."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_sdk.errors import FileError, ImageError
from edge_sdk.images.video import count_frames, read_clip

STEP = 8
"""Frame i is flat, of grey level STEP x i."""


def write_clip(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 25, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), STEP * index, np.uint8))
    writer.release()
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.avi", 30)


def levels(path: Path, start: int, frames: int) -> list[int]:
    """The numbers of the frames that came, by what they show; each knows its own too."""
    found = read_clip(path, start, frames)
    shown = [round(float(frame.pixels.mean()) / STEP) for frame in found]
    assert [frame.index for frame in found] == shown
    assert {(frame.color, frame.source) for frame in found} == {("bgr", str(path))}
    return shown


def test_frames_are_counted(video: Path) -> None:
    assert count_frames(video) == 30


@pytest.mark.parametrize(
    "starts",
    [[0], [14], [0, 4, 8, 12], [0, 16], [20, 0, 20], [8, 8, 7, 9], [0, 22, 2, 21, 22]],
    ids=str,
)
def test_clips_in_any_order_hold_the_right_frames(video: Path, starts: list[int]) -> None:
    for start in starts:
        assert levels(video, start, 8) == list(range(start, start + 8))


def test_clips_of_different_length(video: Path) -> None:
    for start, frames in ((0, 20), (2, 3), (3, 27), (29, 1)):
        assert levels(video, start, frames) == list(range(start, start + frames))


def test_two_files_in_turns(tmp_path: Path, video: Path) -> None:
    other = write_clip(tmp_path / "other.avi", 12)
    for start in (0, 4):
        assert levels(video, start + 10, 8) == list(range(start + 10, start + 18))
        assert levels(other, start, 8) == list(range(start, start + 8))


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path, video: Path) -> None:
    assert len(read_clip(video, 0, 4)) == 4
    video.unlink()
    write_clip(video, 5, size=(32, 32))
    assert read_clip(video, 1, 4)[0].pixels.shape == (32, 32, 3)
    with pytest.raises(ImageError, match="ends after 5 frames; 8 are needed"):
        read_clip(video, 0, 8)
    video.unlink()
    with pytest.raises(FileError, match="does not exist"):
        read_clip(video, 1, 4)


def test_a_clip_beyond_the_end(video: Path) -> None:
    for start in (23, 30, 99):
        with pytest.raises(ImageError, match="ends after 30 frames") as caught:
            read_clip(video, start, 8)
        assert "sequence.frames" in caught.value.fix
    assert levels(video, 22, 8) == list(range(22, 30))


def bytes_read() -> int:
    """What this process has read so far (proc(5), /proc/self/io, rchar)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_windows_in_order_cost_one_pass_over_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "noise.avi"
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240)
    )
    for _ in range(60):
        writer.write(random.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    before = bytes_read()
    clips = [read_clip(path, start, 16) for start in range(0, 45, 2)]
    assert len(clips) == 23
    assert bytes_read() - before < 2 * path.stat().st_size


def test_threads_do_not_disturb_each_other(video: Path) -> None:
    wrong: list[str] = []

    def read(first: int) -> None:
        for start in range(first, 23, 3):
            found = [round(float(f.pixels.mean()) / STEP) for f in read_clip(video, start, 8)]
            if found != list(range(start, start + 8)):
                wrong.append(f"{start}: {found}")

    threads = [threading.Thread(target=read, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("content", [b"", b"no video", b"RIFF\0\0\0\0AVI LIST"])
def test_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.avi"
    path.write_bytes(content)
    for read in (lambda: count_frames(path), lambda: read_clip(path, 0, 1)):
        with pytest.raises(ImageError, match=r"broken\.avi") as caught:
            read()
        assert "remove or replace" in caught.value.fix


READ = """
import sys
from edge_sdk.errors import ImageError
from edge_sdk.data.samples import Clip
try:
    Clip(0, "", path=__import__("pathlib").Path(sys.argv[1])).read()
except ImageError as error:
    print(error)
"""


def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    """FFmpeg and OpenCV have nothing to add on stderr."""
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42 and then nothing")
    line = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} cannot be decoded as a video\n"
    assert done.stderr == ""


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        count_frames(tmp_path / "none.avi")
    with pytest.raises(FileError, match="cannot read"):
        read_clip(tmp_path, 0, 1)
