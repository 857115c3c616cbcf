"""Camera `video:PATH`: every frame of a video file, at its own rate by default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_device.cameras.geometry import rotated
from edge_device.cameras.pyav import load_av
from edge_device.cameras.replay import DEFAULT_FPS, ReplayedCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError, FileError
from edge_sdk.frames import Frame

_SHORT = 0.95
"""Share of the expected frames below which a file that only says its seconds ended early."""


class VideoCamera(ReplayedCamera):
    """`av` is PyAV, imported. Raises CameraError where the file is not a video.

    A file that is damaged or truncated ends the stream where it can no longer be decoded, with a
    note that says after how many frames.
    """

    def __init__(self, spec: CameraSpec, av: Any, **clock: Any) -> None:
        self._av = av
        self._path = spec.address
        self._container, stream = self._open()
        rate = stream.average_rate or stream.guessed_rate
        super().__init__(spec, fps=float(rate) if rate else DEFAULT_FPS, **clock)
        self._expected, self._least = _expected_frames(self._container, stream)
        self._images = self._in_order()

    def _read(self) -> Frame | None:
        return next(self._images, None)

    def _close(self) -> None:
        self._images.close()
        self._container.close()

    def _open(self) -> tuple[Any, Any]:
        try:
            container = self._av.open(self._path)
        except (self._av.error.FFmpegError, ValueError) as error:
            raise self._unusable(_in_words(error, self._path)) from error
        if not container.streams.video:
            container.close()
            raise self._unusable("it has no video track")
        return container, container.streams.video[0]

    def _in_order(self) -> Any:
        while True:
            given = 0
            for frame in self._decoded():
                given += 1
                yield Frame(_upright(frame), "bgr", source=self._path)
            if not given:
                raise self._unusable("no frame of it can be decoded")
            self._note_early_end(given)
            if not self.spec.loop:
                return
            self._container.close()
            self._container, _ = self._open()

    def _decoded(self) -> Iterator[Any]:
        try:
            yield from (f for f in self._container.decode(video=0) if not f.is_corrupt)
        except self._av.error.FFmpegError:
            # Where a file is cut off the decoder gets half a packet: that is the stream's end.
            return

    def _note_early_end(self, given: int) -> None:
        note = f"the video ended after {given} of {self._expected} frames: the file is damaged"
        if given < self._least and note not in self._notes:
            self._notes.append(note)

    def _unusable(self, because: str) -> CameraError:
        return CameraError(
            f"{self._path} cannot be read as a video: {because}",
            fix="copy it again, or convert it with ffmpeg to H.264 in MP4",
        )


def _in_words(error: Exception, path: str) -> str:
    """FFmpeg's reason to refuse a file, without its error numbers."""
    if type(error).__name__ != "InvalidDataError":
        return getattr(error, "strerror", None) or str(error)
    return "it is damaged, cut off, or no video" if Path(path).stat().st_size else "it is empty"


def _expected_frames(container: Any, stream: Any) -> tuple[int, float]:
    """The number of frames that the file should have, and the fewest that are no early end; 0 where
    it does not say.
    """
    if stream.frames:
        return stream.frames, stream.frames
    seconds = (container.duration or 0) / 1_000_000
    frames = round(seconds * float(stream.average_rate or 0))
    return frames, _SHORT * frames


def _upright(frame: Any) -> Any:
    """BGR pixels, turned as the file's display matrix asks (telephones film lying down)."""
    quarters = round(-frame.rotation / 90) % 4
    return rotated(frame.to_ndarray(format="bgr24"), 90 * quarters)


def open_backend(spec: CameraSpec, **clock: Any) -> VideoCamera:
    """Open the video file at `spec.address`.

    Raises MissingPackage without PyAV, FileError where there is no such file, CameraError.
    """
    av = load_av("video files need")
    path = Path(spec.address)
    if not path.is_file():
        what = "is a folder, not a video" if path.is_dir() else "does not exist"
        raise FileError(f"{spec.address or 'the video'} {what}", fix="name a video file")
    return VideoCamera(spec, av, **clock)
