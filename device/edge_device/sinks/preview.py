"""An image file of what a camera sees, replaced again and again: for a Pi without a screen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.images.contact_sheet import thumbnail
from edge_sdk.images.drawing import annotated
from edge_sdk.images.files import SUFFIXES, write_image
from edge_sdk.results import Result

PREVIEW_S = 0.5
"""How often it is renewed."""

PREVIEW_SIDE = 640
"""Pixels of its longer side."""

CLOSE_TIMEOUT_S = 5.0


class Preview:
    """The newest answer, drawn on its frame, in `path`.

    Drawn and written in a thread of its own, one at a time: no answer waits for it.
    Raises as `check_preview` does.
    """

    def __init__(self, path: Path, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        check_preview(path)
        self._path = path
        self._now_ns = now_ns
        self._due_ns = 0
        self._writing: threading.Thread | None = None
        self._error: Exception | None = None

    def show(self, frame: Frame, result: Result) -> None:
        """Renew it where it is time to. Raises FileError where it could not be written before."""
        self._raise()
        now = self._now_ns()
        if now < self._due_ns or (self._writing is not None and self._writing.is_alive()):
            return
        self._due_ns = now + round(PREVIEW_S * 1e9)
        self._writing = threading.Thread(target=self._write, args=(frame, result), daemon=True)
        self._writing.start()

    def close(self) -> None:
        """Wait for what is being written, but not for a disk that hangs. Raises as `show` does."""
        if self._writing is not None:
            self._writing.join(CLOSE_TIMEOUT_S)
        self._raise()

    def _write(self, frame: Frame, result: Result) -> None:
        try:
            write_preview(self._path, annotated(frame, result))
        except Exception as error:  # for the thread that shows: here nobody would see it
            self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def check_preview(path: Path) -> None:
    """Raises ConfigError where its name is no image's."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"preview {path} is no image file", fix="end it in .jpg or .png")


def write_preview(path: Path, image: Frame) -> None:
    """Replace it, in a way that wears no card more than need be. Raises FileError."""
    write_image(path, thumbnail(image, PREVIEW_SIDE), durable=False)
