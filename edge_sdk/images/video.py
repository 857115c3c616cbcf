"""Video files as frames: how many there are, and a run of them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2

from edge_sdk.errors import ImageError
from edge_sdk.files import reading
from edge_sdk.frames import Frame

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")

# Read by OpenCV when it opens its first video: -8 is FFmpeg's AV_LOG_QUIET (libavutil/log.h). What
# is wrong with a file comes as an ImageError; FFmpeg's own lines on stderr would only repeat it.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def count_frames(path: Path) -> int:
    """Frames that really decode: what a container claims is often wrong.

    Raises FileError, ImageError (not one frame decodes).
    """
    video = _open(path)
    count = 0
    while video.grab():
        count += 1
    if not count:
        raise ImageError(f"{path} has no frame that can be decoded", fix="remove or replace it")
    return count


def read_clip(path: Path, start: int, frames: int) -> tuple[Frame, ...]:
    """`frames` frames from number `start` on, decoded from the beginning: seeking lands on key
    frames only. Each is "bgr", its index its number in the file; its pixels may be shared with
    another clip and must not be changed.

    Each thread keeps the file it read last open: clips of one file, in their order, cost one pass
    over it, and the memory of one clip.
    Raises FileError, ImageError (it does not decode, or ends earlier).
    """
    with reading(path, what="video"):
        state = path.stat()
        key = (path.absolute(), state.st_mtime_ns, state.st_size)
    last: tuple[object, _Cursor] | None = getattr(_local, "last", None)
    if last is None or last[0] != key or start < last[1].first:
        _local.last = None  # closed before the next one is opened
        last = _local.last = (key, _Cursor(path))
    found = last[1].read(start, frames)
    if len(found) < frames:
        raise ImageError(
            f"{path} ends after {last[1].end} frames; {start + frames} are needed",
            fix="remove or replace it, or lower sequence.frames",
        )
    return found


class _Cursor:
    """A video read forwards, and the frames of the clip read last. end: frames decoded so far."""

    def __init__(self, path: Path) -> None:
        self._video = _open(path)
        self._source = str(path)
        self.end = 0
        self._kept: list[Frame] = []

    @property
    def first(self) -> int:
        """The earliest frame that can still be had."""
        return self._kept[0].index if self._kept else self.end

    def read(self, start: int, frames: int) -> tuple[Frame, ...]:
        """`frames` frames from `start` >= first on; fewer at the end of the video."""
        self._kept = [frame for frame in self._kept if frame.index >= start]
        while self.end < start and self._video.grab():
            self.end += 1
        while self.end < start + frames:
            decoded, pixels = self._video.read()
            if not decoded:
                break
            self._kept.append(Frame(pixels, "bgr", index=self.end, source=self._source))
            self.end += 1
        return tuple(self._kept[:frames])


_local = threading.local()


def _open(path: Path) -> cv2.VideoCapture:
    """It closes itself when nobody holds it any more."""
    with reading(path, what="video"), path.open("rb"):
        pass  # says what is wrong with the file itself
    # FFmpeg by name: other readers take a % in the name for a pattern. An absolute path: a name
    # like "a:b" would be a protocol.
    video = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise ImageError(f"{path} cannot be decoded as a video", fix="remove or replace it")
    return video
