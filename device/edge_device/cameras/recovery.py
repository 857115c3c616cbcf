"""Live cameras come back: what fails, ends or stalls is closed and opened again, until it works.

Each opening lives in a thread of its own, for what hangs in a driver cannot be interrupted: it is
left behind, and the next opening gets another thread. The thread reads all the time, so that what
waits to be taken is the newest frame, whoever is slow; where every frame is wanted (Camera.waits)
it waits until the last one was taken.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from edge_device.cameras.base import CLOSE_TIMEOUT_S, Camera, Clock, Sleep
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError, EdgeError
from edge_sdk.frames import Frame

FIRST_FRAME_S = 10.0
"""Seconds that an opening may take to its first frame: a network camera begins with a key frame."""

MIN_PATIENCE_S = 2.0
PATIENCE_PERIODS = 10
"""A camera stalls that gives nothing for 10 frame periods, and for 2 s at least."""

MAX_LEFT_BEHIND = 4
"""Openings that may hang at the same time; with so many the next one waits for one to end."""

_LOOK_S = 0.05
"""Seconds between two checks of a waiting reader: the clock, and whether the camera was closed."""

_log = logging.getLogger("edge_device.cameras")


class Backoff:
    """Seconds to wait before each new try: doubling, and between half and the whole of that by
    chance, so that many readers of one camera do not come back at the same instant.

    max_s: short, because a source that is back should be in use within 5 s.
    chance: a number from 0 to 1.
    """

    def __init__(
        self,
        first_s: float = 0.5,
        max_s: float = 2.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s, self._most_s, self._chance = first_s, max_s, chance
        self._next_s = first_s

    def next(self) -> float:
        """Seconds to wait now."""
        whole, self._next_s = self._next_s, min(self._most_s, 2 * self._next_s)
        return whole * (1 + self._chance()) / 2

    def reset(self) -> None:
        """Begin again with the first."""
        self._next_s = self._first_s


class Feed:
    """One opening of a camera, read by a thread of its own; the newest frame waits to be taken.

    waits: asked for each frame: True waits until the one before it was taken, False replaces that.
    begun: set with the first frame or the error instead of it. error: how it ended. produced:
    frames so far. last_ns: when the last of them came or, where it waits for that, was taken; or
    when it was opened.
    """

    def __init__(
        self, open_one: Callable[[], Camera], waits: Callable[[], bool], now_ns: Clock
    ) -> None:
        self.begun = threading.Event()
        self.error: EdgeError | None = None
        self.camera: Camera | None = None
        self.produced = 0
        self.last_ns = now_ns()
        self._open_one, self._waits, self._now_ns = open_one, waits, now_ns
        self._room = threading.Event()
        self._found: SimpleQueue[Frame | EdgeError] = SimpleQueue()
        self._left = False
        self._thread = threading.Thread(target=self._run, name="edge-camera", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True while its thread runs."""
        return self._thread.is_alive()

    def take(self, seconds: float) -> Frame | EdgeError | None:
        """The newest frame, or the error after the last one; None after `seconds` without."""
        try:
            found = self._found.get(timeout=seconds)
        except Empty:
            return None
        if self._waits():
            self.last_ns = self._now_ns()
        self._room.set()
        return found

    def leave(self) -> None:
        """Ask the thread to close the camera and end, without waiting for it."""
        self._left = True
        self._room.set()
        if self.camera is not None:
            self.camera.interrupt()

    def join(self, seconds: float) -> None:
        """Wait for the thread, but not longer."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.camera = self._open_one()
            while not self._left and (frame := self.camera.read()) is not None:
                self._put(frame)
            error: EdgeError = CameraError("it gives no more frames", fix=Camera.remedy)
        except EdgeError as raised:
            error = raised
        self.error = error
        self._found.put(error)
        self.begun.set()
        if self.camera is not None:
            self.camera.close()

    def _put(self, frame: Frame) -> None:
        self._await_room()
        self.last_ns = self._now_ns()
        self.produced += 1
        if not self._found.empty():
            with suppress(Empty):  # taken meanwhile
                self._found.get_nowait()
        self._found.put(frame)
        self.begun.set()

    def _await_room(self) -> None:
        while self._waits() and not self._found.empty() and not self._left:
            self._room.clear()
            if not self._found.empty():  # not taken meanwhile
                self._room.wait(_LOOK_S)


class RecoveringCamera(Camera):
    """A live camera of which only the first opening can fail.

    open_one: opens the camera once; called in a thread. timeout_s: how long it may give nothing;
    None: MIN_PATIENCE_S and PATIENCE_PERIODS, by the SPEC's fps or the rate that was seen.
    stop: True ends the wait for the first frame. reopened: how often it was lost and came back.
    Raises what `open_one` raises, and CameraError where the first frame does not come.
    """

    remedy = (
        "check that the camera is switched on, connected (or reachable from here), and not used by "
        "another program"
    )

    def __init__(
        self,
        spec: CameraSpec,
        open_one: Callable[[], Camera],
        *,
        timeout_s: float | None = None,
        backoff: Backoff | None = None,
        stop: Callable[[], bool] = lambda: False,
        now_ns: Clock = time.monotonic_ns,
        sleep: Sleep | None = None,
    ) -> None:
        super().__init__(spec, now_ns=now_ns, sleep=sleep)
        self._open_one = open_one
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._gone: list[Feed] = []
        self._produced_before = self._unreadable_before = 0
        self._last: Frame | None = None
        self._period_s = 0.0
        self._lost, self._because = 0, ""
        self._away = False
        self._feed = Feed(open_one, lambda: self.waits, now_ns)
        self._await_first(stop)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the report; here also how often it was lost, and why the last time."""
        camera = self._feed.camera
        notes = (*super().notes, *(camera.notes if camera else ()))
        if not self._lost:
            return notes
        times = "once" if self._lost == 1 else f"{self._lost} times"
        state = "still offline" if self._away else "in use again"
        return (*notes, f"the camera was lost {times}, {state}; the last time: {self._because}")

    def _await_first(self, stop: Callable[[], bool]) -> None:
        feed = self._feed
        while not feed.begun.wait(_LOOK_S):
            if stop():
                return
            if self._stalled():
                feed.leave()
                raise self._never_began(feed.camera or self)
        if feed.error is not None and not feed.produced:
            raise feed.error

    def _never_began(self, camera: Camera) -> CameraError:
        skipped = f", and {camera.unreadable} that are damaged" if camera.unreadable else ""
        return CameraError(
            f"camera {self.spec.text!r} gave no image in {FIRST_FRAME_S:g} s{skipped}",
            fix=camera.remedy,
        )

    def _read(self) -> Frame | None:
        while not self._closing.is_set():
            found = self._feed.take(_LOOK_S)
            if isinstance(found, Frame):
                return self._taken(found)
            if found is not None:
                self._lose(str(found))
            elif self._stalled():
                self._lose(f"it gave no image for {self._patience_s():.1f} s")
        return None

    def _close(self) -> None:
        self._feed.leave()
        self._feed.join(CLOSE_TIMEOUT_S)

    def _stamped(self, frame: Frame | None, asked_ns: int) -> Frame | None:
        """As the feed's camera gave it: checked, shaped and stamped there."""
        return frame

    def _taken(self, frame: Frame) -> Frame:
        if self._away:
            self._away = False
            self.reopened += 1
            self._backoff.reset()
            _log.warning("camera %r is back", self.spec.text)
        self._count_unreadable()
        index = self._produced_before + frame.index
        self.missed += index - self._index
        self._index = index + 1
        frame = Frame(
            *(frame.pixels, frame.color, frame.sensor_ns, index, frame.source),
            image=frame.image,
            exposure_ns=frame.exposure_ns,
        )
        self._learn_period(frame)
        return frame

    def _learn_period(self, frame: Frame) -> None:
        """A running mean over about ten frames, without the time that the camera was away."""
        last, self._last = self._last, frame
        if last is None or last.index < self._produced_before:
            return
        period_s = (frame.sensor_ns - last.sensor_ns) / (frame.index - last.index) / 1e9
        self._period_s += (period_s - self._period_s) / (10 if self._period_s else 1)

    def _patience_s(self) -> float:
        if not self._feed.produced:
            return FIRST_FRAME_S
        if self._timeout_s is not None:
            return self._timeout_s
        fps = self.spec.fps
        asked_s = 1 / fps if fps and math.isfinite(fps) else 0.0
        period_s = max(asked_s, self._period_s)
        return max(MIN_PATIENCE_S, PATIENCE_PERIODS * period_s) if period_s else FIRST_FRAME_S

    def _stalled(self) -> bool:
        return self._now_ns() - self._feed.last_ns > self._patience_s() * 1e9

    def _count_unreadable(self) -> None:
        camera = self._feed.camera
        self.unreadable = self._unreadable_before + (camera.unreadable if camera else 0)

    def _lose(self, because: str) -> None:
        """Leave this opening and begin the next one, after a while."""
        because = because.replace(f"camera {self.spec.text!r}", "it", 1)
        self._feed.leave()
        self._count_unreadable()
        self._produced_before += self._feed.produced
        self._unreadable_before = self.unreadable
        self._because = because
        if not self._away:
            self._away = True
            self._lost += 1
            _log.warning("camera %r is lost: %s; opening it again", self.spec.text, because)
        self._gone.append(self._feed)
        self._sleep(self._backoff.next())
        while len(self._hanging()) >= MAX_LEFT_BEHIND and not self._closing.is_set():
            self._sleep(self._backoff.next())
        if not self._closing.is_set():
            self._feed = Feed(self._open_one, lambda: self.waits, self._now_ns)

    def _hanging(self) -> list[Feed]:
        self._gone = [feed for feed in self._gone if feed.alive]
        return self._gone
