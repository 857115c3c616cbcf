"""Cameras: frames one after another, behind one small interface.

    with open_camera("folder:images?fps=30") as camera:
        while (frame := camera.read()) is not None:
            ...

Backends are opened by name; each imports what it needs when it is opened, not before.
"""

from __future__ import annotations

import importlib
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edge_device.cameras.geometry import delivered
from edge_device.cameras.spec import CameraSpec, masked, parse_spec
from edge_sdk.configuration import nearest
from edge_sdk.errors import CameraError, ConfigError, EdgeError
from edge_sdk.frames import YUV, Frame

CLOSE_TIMEOUT_S = 1.0
"""How long `close` waits for a read that does not come back."""

Clock = Callable[[], int]
Sleep = Callable[[float], object]


class Camera(ABC):
    """A source of frames, open from its construction on.

    `read` checks and stamps what a backend's `_read` gives and turns whatever it raises into
    CameraError. Any thread may read and any may close; reads take turns.

    spec: what it was asked for. replayed: the pictures were taken at another time. unreadable:
    pictures skipped because they could not be decoded. reopened: how often a live camera was lost
    and came back. missed: frames that a newer one replaced before anybody read them.
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
        """What a person should know about the stream so far: it ended early, it is too slow."""
        return tuple(self._notes)

    @property
    def unpaced(self) -> bool:
        """True with fps=max: every read gives the next picture at once."""
        return self.spec.fps == float("inf")

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None when the stream has ended or the camera was closed.

        frame.index counts from 0, frame.sensor_ns is when the picture was taken (on `now_ns`).
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
                    f"camera {self.spec.text!r} failed: {_one_line(error, self.spec)}",
                    fix=self.remedy,
                ) from error
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
        """Let the camera go. Closing twice is fine.

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
        """The next picture, None at the end. `index` is not looked at; sensor_ns 0 means that the
        backend does not know when it was taken. Planes, and a frame with a `picture` beside it,
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
        ready = frame.color in YUV or frame.picture is not None
        pixels = frame.pixels if ready else delivered(frame.pixels, self.spec)
        taken_ns = self._taken_ns(frame, asked_ns)
        if taken_ns is None:
            return None
        index, self._index = self._index, self._index + 1
        return Frame(
            *(pixels, frame.color, taken_ns, index, frame.source),
            picture=frame.picture,
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


@dataclass(frozen=True)
class Backend:
    """One row of the table of cameras. parameters: which ones its SPEC takes. address: what follows
    the colon, for example; "" for nothing, in brackets where it may be left out. live: it is opened
    again when it fails (recovery.py). streams: it can deliver a second, smaller stream.
    """

    module: str
    parameters: tuple[str, ...]
    help: str
    address: str = ""
    live: bool = False
    streams: bool = False

    @property
    def url(self) -> bool:
        """Whether its SPEC is a URL, with our parameters behind a "#"."""
        return self.address.startswith("//")

    def write(self, kind: str) -> str:
        """How a SPEC of this kind is written: "folder:PATH"."""
        if self.address.startswith("["):
            return f"{kind}[:{self.address[1:]}"
        return f"{kind}:{self.address}" if self.address else kind


_COMMON = ("fps", "width", "height", "rotate", "hflip")
_NETWORK = "edge_device.cameras.network"

BACKENDS: dict[str, Backend] = {
    "picamera2": Backend(
        *("edge_device.cameras.picamera2", _COMMON, "a camera of the Pi (CSI), by its number"),
        *("[0]", True, True),
    ),
    "v4l2": Backend(
        "edge_device.cameras.v4l2", _COMMON, "a USB camera (Video4Linux)", "/dev/video0", True
    ),
    "rtsp": Backend(_NETWORK, _COMMON, "a network camera (RTSP)", "//HOST/PATH", True),
    "http": Backend(_NETWORK, _COMMON, "a network camera (Motion JPEG)", "//HOST/PATH.mjpg", True),
    "https": Backend(_NETWORK, _COMMON, "the same, encrypted", "//HOST/PATH.mjpg", True),
    "folder": Backend(
        "edge_device.cameras.folder", (*_COMMON, "loop"), "the pictures in a folder", "PATH"
    ),
    "video": Backend("edge_device.cameras.video", (*_COMMON, "loop"), "a video file", "PATH"),
    "synthetic": Backend(
        "edge_device.cameras.synthetic", (*_COMMON, "frames"), "a moving pattern, always the same"
    ),
    "fake": Backend(
        "edge_device.cameras.fake", (*_COMMON, "frames"), "scripted frames, for tests of the rest"
    ),
}


def check_spec(text: str) -> CameraSpec:
    """What a SPEC says, without opening anything.

    Raises ConfigError for an unknown kind or parameter, or an address that cannot be one.
    """
    kind = text.partition("?")[0].partition(":")[0]
    if kind in BACKENDS:
        backend = BACKENDS[kind]
        spec = parse_spec(text, backend.parameters, url=backend.url)
        _check_address(spec, backend)
        return spec
    shown = masked(text)
    if text and _exists(Path(text)):
        kind = "folder" if Path(text).is_dir() else "video"
        raise ConfigError(f"camera {shown!r} does not say its kind", fix=f"write {kind}:{shown}")
    raise ConfigError(
        f"unknown camera {shown!r}", fix=f"write KIND:ADDRESS; {nearest(kind, BACKENDS)}"
    )


def open_camera(
    spec: str,
    *,
    inference: tuple[int, int] | None = None,
    now_ns: Clock = time.monotonic_ns,
    sleep: Sleep | None = None,
) -> Camera:
    """Open the camera that a SPEC names, for example "folder:images?fps=30&loop=1".

    inference: width and height of what the model is fed. A camera that scales by itself (picamera2)
    then delivers frames about that size, with the large one as their `picture`.

    A live camera (picamera2, v4l2, rtsp, http) has given its first frame, and is opened again by
    itself when it fails after that.
    Raises ConfigError for a SPEC that cannot be read, MissingPackage, FileError for a path that is
    not there, CameraError for a camera that cannot be opened.
    """
    asked = check_spec(spec)
    backend = BACKENDS[asked.kind]
    options = {"inference": inference} if backend.streams else {}
    open_one = partial(_open_backend, asked, now_ns=now_ns, sleep=sleep, **options)
    if not backend.live:
        return open_one()
    from edge_device.cameras.recovery import RecoveringCamera

    return RecoveringCamera(asked, open_one, now_ns=now_ns, sleep=sleep)


def _open_backend(spec: CameraSpec, **options: Any) -> Camera:
    try:
        module = importlib.import_module(BACKENDS[spec.kind].module)
        camera: Camera = module.open_backend(spec, **options)
    except EdgeError:
        raise
    except Exception as error:
        raise CameraError(
            f"camera {spec.text!r} cannot be opened: {_one_line(error, spec)}", fix=Camera.remedy
        ) from error
    return camera


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for any file
        return False


def _check_address(spec: CameraSpec, backend: Backend) -> None:
    wanted, fix = backend.address, f"write {backend.write(spec.kind)}"
    given = spec.address.removeprefix(f"{spec.kind}:") if backend.url else spec.address
    if wanted and not given and not wanted.startswith("["):
        raise ConfigError(f"camera {spec.text!r} does not say which {spec.kind}", fix=fix)
    if given and not wanted:
        raise ConfigError(f"camera {spec.text!r}: {spec.kind} has no address", fix=fix)
    if wanted == "[0]" and given and not re.fullmatch("[0-9]{1,3}", given):
        raise ConfigError(f"camera {spec.text!r}: {given!r} is no camera's number", fix=fix)
    if backend.url and not _has_host(spec.address):
        escapes = "in a user or a password write %40 for @, %23 for #, %2F for /"
        raise ConfigError(f"camera {spec.text!r} is no URL", fix=f"{fix}; {escapes}")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def _one_line(error: BaseException, spec: CameraSpec) -> str:
    """What went wrong, without the passwords that a message may repeat."""
    text = f"{type(error).__name__}: {error}"
    if spec.address:
        text = text.replace(spec.address, masked(spec.address))
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "..."
