"""The port of cameras: the public methods of all, and the private ones that a backend writes."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from edge_device.cameras.geometry import delivered
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError, EdgeError
from edge_sdk.frames import YUV, Frame

CLOSE_TIMEOUT_S = 1.0
"""Seconds that `close` waits for a read that does not return."""

Clock = Callable[[], int]
Sleep = Callable[[float], object]


class Camera(ABC):
    """A source of frames, open as soon as it is constructed.

    `read` checks and stamps what a backend's `_read` gives and turns whatever it raises into
    CameraError. Any thread may read and any may close; reads take turns.

    spec: what it was asked for. replayed: the images were taken at another time. unreadable:
    images skipped because they could not be decoded. reopened: how often a live camera was lost
    and came back. missed: frames that a newer one replaced before anybody read them. waits: set it
    where every frame is wanted: a live camera then waits for its reader instead of replacing what
    was not read yet.
    now_ns, sleep: the clock, time.monotonic_ns() and a sleep that `close` ends.
    """

    replayed = False
    remedy = "check that the camera is connected and that no other program uses it"

    def __init__(
        self,
        spec: CameraSpec,
        *,
        now_ns: Clock = time.monotonic_ns,
        sleep: Sleep | None = None,
    ) -> None:
        self.spec = spec
        self.unreadable = 0
        self.reopened = 0
        self.missed = 0
        self.waits = False
        self._notes: list[str] = []
        self._now_ns = now_ns
        self._closing = threading.Event()
        self._sleep = sleep or self._closing.wait
        self._turn = threading.Lock()
        self._index = 0
        self._ended = False
        self._released = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the report about the stream so far: it ended early, it is too slow."""
        return tuple(self._notes)

    @property
    def unpaced(self) -> bool:
        """True with fps=max: every read gives the next image at once."""
        return self.spec.fps == float("inf")

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None when the stream has ended or the camera was closed.

        frame.index counts from 0, frame.sensor_ns is when the image was taken (on `now_ns`).
        Raises CameraError.
        """
        with self._turn:
            if self._ended or self._closing.is_set():
                return None
            asked_ns = self._now_ns()
            try:
                frame = self._stamped(self._read(), asked_ns)
            except EdgeError:
                raise
            except Exception as error:
                raise CameraError(
                    f"camera {self.spec.text!r} failed: {one_line(error, self.spec)}",
                    fix=self.remedy,
                ) from (None if self.spec.secret else error)
            self._ended = frame is None
            return frame

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame

    def interrupt(self) -> None:
        """Ask a read that waits to come back with None, without waiting for it; what `close` does
        first.
        """
        self._closing.set()

    def close(self) -> None:
        """Release the camera. Closing twice is fine.

        Always returns: a read that hangs keeps what it holds until the process ends.
        """
        self.interrupt()
        if self._turn.acquire(timeout=CLOSE_TIMEOUT_S):
            try:
                if not self._released:
                    self._released = True
                    self._close()
            finally:
                self._turn.release()

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _read(self) -> Frame | None:
        """The next image, None at the end. `index` is not looked at; sensor_ns 0 means that the
        backend does not know when it was taken. Planes, and a frame with an `image` beside it,
        have the size and orientation that the SPEC asks for; of others it is seen to here.
        """

    def _close(self) -> None:  # noqa: B027 (a camera that holds nothing has nothing to do)
        """Release what was opened."""

    def _taken_ns(self, frame: Frame, asked_ns: int) -> int | None:
        """When `frame` was taken; None where the camera was closed meanwhile."""
        return frame.sensor_ns or self._now_ns()

    def _stamped(self, frame: Frame | None, asked_ns: int) -> Frame | None:
        if frame is None:
            return None
        self._check(frame)
        ready = frame.color in YUV or frame.image is not None
        pixels = frame.pixels if ready else delivered(frame.pixels, self.spec)
        taken_ns = self._taken_ns(frame, asked_ns)
        if taken_ns is None:
            return None
        index, self._index = self._index, self._index + 1
        return Frame(
            *(pixels, frame.color, taken_ns, index, frame.source),
            image=frame.image,
            exposure_ns=frame.exposure_ns,
        )

    def _check(self, frame: Frame) -> None:
        pixels = frame.pixels
        flat = frame.color == "gray" or frame.color in YUV
        whole = frame.color not in YUV or (pixels.shape[0] % 3 == 0 and pixels.shape[-1] % 2 == 0)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 - flat or 0 in pixels.shape or not whole:
            raise CameraError(
                f"camera {self.spec.text!r} gave {pixels.dtype}{list(pixels.shape)} for "
                f"{frame.color!r}",
                fix="report this with the camera's name",
            )


def one_line(error: BaseException, spec: CameraSpec) -> str:
    """The error as one line; only its type where the camera's address has a password, for its text
    may repeat any part of it.
    """
    name = type(error).__name__
    if spec.secret:
        return name
    text = " ".join(f"{name}: {error}".split())
    return text if len(text) <= 300 else text[:297] + "..."
