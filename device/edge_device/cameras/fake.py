"""Camera `fake`: strict, recording, scripted. It gives exactly what its script says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np

from edge_device.cameras.replay import ReplayedCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk.frames import Frame

Step = Frame | float | Exception
"""A frame to give, seconds to hang before the next step, or an error to raise."""

_UNPACED = CameraSpec("fake?fps=max", "fake", fps=math.inf)


class FakeCamera(ReplayedCamera):
    """A camera without images of its own.

    script: what happens, in order; by default `spec.frames` small grey images (no end without a
    number). A frame's own sensor_ns is kept where it has one.
    calls: the calls it received, in order ("read", "close").
    Strict: a step of any other kind is an error, and after the last one it ends.
    """

    remedy = "correct the script of the fake camera"

    def __init__(
        self, spec: CameraSpec = _UNPACED, script: Iterable[Step] | None = None, **clock: Any
    ) -> None:
        super().__init__(spec, **clock)
        self.calls: list[str] = []
        self._script = iter(_greys(spec.frames) if script is None else script)

    def _read(self) -> Frame | None:
        self.calls.append("read")
        for step in self._script:
            if isinstance(step, Frame):
                return step
            if isinstance(step, Exception):
                raise step
            self._sleep(float(step))
        return None

    def _close(self) -> None:
        self.calls.append("close")


def _greys(frames: int | None) -> Iterator[Frame]:
    for index in range(frames) if frames else count():
        yield Frame(np.full((8, 8, 3), index % 256, np.uint8), "rgb")


def open_backend(spec: CameraSpec, **clock: Any) -> FakeCamera:
    """The fake camera of `spec`, with the default script."""
    return FakeCamera(spec, **clock)
