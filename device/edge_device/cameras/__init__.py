"""Cameras: frames one after another, behind one small interface.

    with open_camera("folder:images?fps=30") as camera:
        while (frame := camera.read()) is not None:
            ...

Backends are opened by name; each imports what it needs when it is opened, not before.
"""

from __future__ import annotations

import importlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_device.cameras.geometry import delivered
from edge_device.cameras.spec import CameraSpec, parse_spec
from edge_sdk.configuration import nearest
from edge_sdk.errors import CameraError, ConfigError, EdgeError, NotAvailableYet
from edge_sdk.frames import Frame

CLOSE_TIMEOUT_S = 1.0
"""How long `close` waits for a read that does not come back."""

Clock = Callable[[], int]
Sleep = Callable[[float], object]


class Camera(ABC):
    """A source of frames, open from its construction on.

    `read` checks and stamps what a backend's `_read` gives and turns whatever it raises into
    CameraError. Any thread may read and any may close; reads take turns.

    spec: what it was asked for. replayed: the pictures were taken at another time. unreadable:
    pictures skipped because they could not be decoded.
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
                    f"camera {self.spec.text!r} failed: {_one_line(error)}", fix=self.remedy
                ) from error
            self._ended = frame is None
            return frame

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame

    def close(self) -> None:
        """Let the camera go. Closing twice is fine.

        Always returns: a read that hangs keeps what it holds until the process ends.
        """
        self._closing.set()
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
        backend does not know when it was taken.
        """

    def _close(self) -> None:  # noqa: B027 (a camera that holds nothing has nothing to do)
        """Release what was opened."""

    def _taken_ns(self, frame: Frame, asked_ns: int) -> int | None:
        """When `frame` was taken; None where the camera was closed meanwhile."""
        return frame.sensor_ns or self._now_ns()

    def _stamped(self, frame: Frame | None, asked_ns: int) -> Frame | None:
        if frame is None:
            return None
        pixels = frame.pixels
        wanted = 2 if frame.color == "gray" else 3
        if pixels.dtype != np.uint8 or pixels.ndim != wanted or 0 in pixels.shape:
            raise CameraError(
                f"camera {self.spec.text!r} gave {pixels.dtype}{list(pixels.shape)} for "
                f"{frame.color!r}",
                fix="report this with the camera's name",
            )
        pixels = delivered(pixels, self.spec)
        taken_ns = self._taken_ns(frame, asked_ns)
        if taken_ns is None:
            return None
        index, self._index = self._index, self._index + 1
        return Frame(pixels, frame.color, taken_ns, index, frame.source)


@dataclass(frozen=True)
class Backend:
    """One row of the table of cameras. parameters: which ones its SPEC takes. address: what follows
    the colon, "" for nothing.
    """

    module: str
    parameters: tuple[str, ...]
    help: str
    address: str = ""


_COMMON = ("fps", "width", "height", "rotate", "hflip")

BACKENDS: dict[str, Backend] = {
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

_PLANNED = ("picamera2", "v4l2", "rtsp", "http", "https")


def check_spec(text: str) -> CameraSpec:
    """What a SPEC says, without opening anything.

    Raises ConfigError for an unknown kind or parameter, NotAvailableYet for a kind not built yet.
    """
    kind = text.partition("?")[0].partition(":")[0]
    if kind in BACKENDS:
        spec = parse_spec(text, BACKENDS[kind].parameters)
        _check_address(spec, BACKENDS[kind].address)
        return spec
    if kind in _PLANNED:
        raise NotAvailableYet(
            f"camera kind {kind!r} is not available yet",
            fix="use folder:PATH or video:PATH, for example folder:images?fps=30",
        )
    if text and _exists(Path(text)):
        kind = "folder" if Path(text).is_dir() else "video"
        raise ConfigError(f"camera {text!r} does not say its kind", fix=f"write {kind}:{text}")
    known = (*BACKENDS, *_PLANNED)
    raise ConfigError(f"unknown camera {text!r}", fix=f"write KIND:ADDRESS; {nearest(kind, known)}")


def open_camera(
    spec: str, *, now_ns: Clock = time.monotonic_ns, sleep: Sleep | None = None
) -> Camera:
    """Open the camera that a SPEC names, for example "folder:images?fps=30&loop=1".

    Raises ConfigError for a SPEC that cannot be read, NotAvailableYet, MissingPackage, FileError
    for a path that is not there, CameraError for a camera that cannot be opened.
    """
    asked = check_spec(spec)
    module = importlib.import_module(BACKENDS[asked.kind].module)
    try:
        camera: Camera = module.open_backend(asked, now_ns=now_ns, sleep=sleep)
    except EdgeError:
        raise
    except Exception as error:
        raise CameraError(
            f"camera {spec!r} cannot be opened: {_one_line(error)}", fix=Camera.remedy
        ) from error
    return camera


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for any file
        return False


def _check_address(spec: CameraSpec, wanted: str) -> None:
    if wanted and not spec.address:
        raise ConfigError(
            f"camera {spec.text!r} does not say which {spec.kind}",
            fix=f"write {spec.kind}:{wanted}",
        )
    if spec.address and not wanted:
        raise ConfigError(
            f"camera {spec.text!r}: {spec.kind} has no address", fix=f"write {spec.kind}"
        )


def _one_line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:297] + "..."
