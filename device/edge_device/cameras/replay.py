"""Replayed cameras: images taken at another time, handed out by a schedule.

A replayed camera takes its image at the scheduled instant, whoever is late after that: a reader
that stalls finds frames that have grown old, and the stall shows in their age. Decoding a file is
no part of a camera. It is done ahead, while the instant has not come yet; a source that cannot be
decoded fast enough is a slower camera, not an older image.
"""

from __future__ import annotations

import math
import time

from edge_device.cameras.base import Camera, Clock, Sleep
from edge_device.cameras.spec import CameraSpec
from edge_sdk.frames import Frame

DEFAULT_FPS = 30.0

_SLOW_SHARE = 0.01
"""Share of frames whose decoding may be late before the camera says so."""


class Schedule:
    """Instants `start + n / fps`: without drift, whatever happens between them.

    slips: how often the source was not ready in time, and the rest of the schedule moved.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.count = 0
        self.slips = 0
        self._start = 0

    def next(self, asked_ns: int, ready_ns: int) -> int:
        """The instant of the next image, asked for at `asked_ns` and decoded at `ready_ns`."""
        if self.count == 0:
            self._start = ready_ns
        due = self._start + int(self.count * 1_000_000_000 / self.fps)
        if asked_ns <= due < ready_ns:
            self._start += ready_ns - due
            self.slips += 1
            due = ready_ns
        self.count += 1
        return due


class ReplayedCamera(Camera):
    """A camera with a schedule. fps: the rate where the SPEC names none."""

    replayed = True
    remedy = "check that the files are whole and readable"

    def __init__(
        self,
        spec: CameraSpec,
        *,
        fps: float = DEFAULT_FPS,
        now_ns: Clock = time.monotonic_ns,
        sleep: Sleep | None = None,
    ) -> None:
        super().__init__(spec, now_ns=now_ns, sleep=sleep)
        self.schedule = Schedule(spec.fps or fps)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the report; here also that decoding could not keep up."""
        schedule = self.schedule
        if schedule.slips <= max(1, _SLOW_SHARE * schedule.count):  # once may be chance
            return super().notes
        slow = (
            f"slower than {schedule.fps:g} frames a second: {schedule.slips} of "
            f"{schedule.count} images took longer than that to decode"
        )
        return (*super().notes, slow)

    def _taken_ns(self, frame: Frame, asked_ns: int) -> int | None:
        if math.isinf(self.schedule.fps):
            return frame.sensor_ns or self._now_ns()
        due = self.schedule.next(asked_ns, self._now_ns())
        while (left := due - self._now_ns()) > 0:
            if self._closing.is_set():
                return None
            self._sleep(left / 1e9)
        return frame.sensor_ns or due
