"""Video files as frames: how many there are, and a run of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import cv2

from edge_sdk.errors import ImageError
from edge_sdk.files import reading
from edge_sdk.frames import Frame

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def count_frames(path: Path) -> int:
    """Frames that really decode: what a container claims is often wrong.

    Raises FileError, ImageError (not one frame decodes).
    """
    with _opened(path) as video:
        count = 0
        while video.grab():
            count += 1
    if not count:
        raise ImageError(f"{path} holds no frame that decodes", fix="remove or replace it")
    return count


def read_clip(path: Path, start: int, frames: int) -> tuple[Frame, ...]:
    """`frames` frames from number `start` on, decoded from the beginning: seeking lands on key
    frames only. Each is "bgr", its index its number in the file.

    Raises FileError, ImageError (it does not decode, or ends earlier).
    """
    with _opened(path) as video:
        for _ in range(start):
            video.grab()
        found = tuple(islice(_frames(video, path, start), frames))
    if len(found) < frames:
        raise ImageError(
            f"{path} ends after {start + len(found)} frames, {start + frames} are needed",
            fix="remove or replace it, or lower sequence.frames",
        )
    return found


def _frames(video: cv2.VideoCapture, path: Path, first: int) -> Iterator[Frame]:
    index = first
    while True:
        decoded, pixels = video.read()
        if not decoded:
            return
        yield Frame(pixels, "bgr", index=index, source=str(path))
        index += 1


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    with reading(path, what="video"), path.open("rb"):
        pass  # says what is wrong with the file itself
    # FFmpeg by name: other readers take a % in the name for a pattern. An absolute path: a name
    # like "a:b" would be a protocol.
    video = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise ImageError(f"{path} is no video that can be decoded", fix="remove or replace it")
        yield video
    finally:
        video.release()
