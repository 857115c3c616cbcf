"""Sink `preview:FILE.jpg`: the latest answer as an image file, replaced again and again: for a Pi
without a screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_device.sinks.base import Sink, Stop
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.privacy.gate import PublicImage, publish
from edge_sdk.results import Result

PREVIEW_S = 0.5
"""Seconds from one image to the next."""

PREVIEW_SIDE = 640
"""Pixels of its longer side."""


class PreviewSink(Sink):
    """The newest answer, drawn on its frame, in `path`; replaced twice a second at most, and not
    before the last one is written: no answer waits for it. Raises as `check_preview` does.
    """

    required = True
    capacity = 1

    def __init__(
        self, path: Path, *, now_ns: Callable[[], int] = time.monotonic_ns, **options: Any
    ) -> None:
        check_preview(path)
        super().__init__(**options)
        self.name = str(path)
        self._path = path
        self._now_ns = now_ns
        self._due_ns = 0

    def _due(self, _result: Result) -> bool:
        now = self._now_ns()
        if now < self._due_ns or self.busy:
            return False
        self._due_ns = now + round(PREVIEW_S * 1e9)
        return True

    def _write(self, frame: Frame, result: Result) -> None:
        publish(frame, result, side=PREVIEW_SIDE).save(self._path)


def check_preview(path: Path) -> None:
    """Raises ConfigError where `path` does not end like an image file."""
    if path.suffix.lower() not in PublicImage.SUFFIXES:
        raise ConfigError(f"preview {path} is not an image file", fix="end it in .jpg or .png")


def open_backend(address: str, _stop: Stop, **options: Any) -> PreviewSink:
    """The preview in the file at `address`. Raises ConfigError."""
    return PreviewSink(Path(address), **options)
