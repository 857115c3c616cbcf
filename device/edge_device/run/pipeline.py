"""From the camera to the consumer: a capture thread, and what waits between the two.

latest   one frame waits; a newer one takes its place and the older is dropped and counted
all      up to 64 frames wait; then capture waits
block    one frame waits; then capture waits

The capture thread also makes frames ready for the model, while the consumer's thread invokes: where
there is a core to spare, preprocessing takes no time of an answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from edge_device.cameras.base import Camera
from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.inference.prefetch import Prepared, Preparer

Policy = Literal["latest", "all", "block"]

DEPTH: dict[Policy, int] = {"latest": 1, "all": 64, "block": 1}
"""Frames that wait at most."""

CLOSE_TIMEOUT_S = 1.0
"""Seconds that `close` waits for the capture thread; a camera that hangs is left behind."""

_LOOK_S = 0.05
"""Seconds between two checks of a waiting consumer whether to stop: a signal handler may only set a
flag.
"""

_MAX_DROPPED, _FORGETTING = 0.5, 32
"""Share of dropped frames above which none is prepared; the share is of about the last 32."""


class QueuedFrame(NamedTuple):
    """A frame, the ns from the sensor's instant until it was in hand, and what was prepared of it;
    that is used again after the next frame was asked for.
    """

    frame: Frame
    capture_ns: int
    prepared: Prepared | None = None


class Pipeline:
    """Iterate over it for the frames to answer; the capture thread runs from the construction on.

    policy: None is "latest", or "block" where the camera is unpaced. preparer: makes frames ready,
    as long as at least half of the last were answered: where most are dropped, none are. stop:
    asked now and then, from the consumer's thread; True ends the iteration. drops: frames that gave
    way to newer ones.
    What the camera or the preparer raises is raised to the consumer, after the frames before it.
    One consumer. Raises ConfigError for an unknown policy.
    """

    def __init__(
        self,
        camera: Camera,
        policy: Policy | None = None,
        *,
        preparer: Preparer | None = None,
        stop: Callable[[], bool] = lambda: False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.policy = check_policy(policy) or ("block" if camera.unpaced else "latest")
        self.drops = 0
        self._camera = camera
        camera.waits = self.policy != "latest"
        self._preparer = preparer
        self._dropped_share = 0.0
        self._stop = stop
        self._now_ns = now_ns
        self._waiting: deque[QueuedFrame] = deque()
        self._arrived, self._room = _Signal(), _Signal()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._capture, name="edge-capture", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Frames that wait right now."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[QueuedFrame]:
        while (queued := self._take()) is not None:
            yield queued
            self._release(queued)

    def close(self) -> None:
        """End the capture thread. Always returns, whatever the camera does. Twice is fine."""
        if not self._closed:
            self._closed = True
            self._arrived.set()
            self._room.set()
            self._thread.join(CLOSE_TIMEOUT_S)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _take(self) -> QueuedFrame | None:
        while not (self._closed or self._stop()):
            ended = self._ended  # asked before looking: what came before the end is still seen
            if (queued := self._pop()) is not None:
                self._room.set()
                return queued
            if ended:
                if self._error is not None:
                    raise self._error
                break
            self._arrived.wait(_LOOK_S)
        return None

    def _pop(self) -> QueuedFrame | None:
        """The oldest that waits. Either thread may be faster than the other."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _capture(self) -> None:
        try:
            while not self._closed and (frame := self._camera.read()) is not None:
                capture_ns = self._now_ns() - frame.sensor_ns
                self._put(QueuedFrame(frame, capture_ns, self._prepared(frame)))
        except BaseException as error:
            self._error = error
        self._ended = True
        self._arrived.set()

    def _prepared(self, frame: Frame) -> Prepared | None:
        if self._preparer is None or self._dropped_share > _MAX_DROPPED:
            return None
        return self._preparer(frame)

    def _release(self, queued: QueuedFrame) -> None:
        if self._preparer is not None and queued.prepared is not None:
            self._preparer.release(queued.prepared)

    def _put(self, queued: QueuedFrame) -> None:
        depth = DEPTH[self.policy]
        full = self.policy == "latest" and len(self._waiting) == depth
        older = self._pop() if full else None
        if older is not None:
            self.drops += 1
            self._release(older)
        self._dropped_share += ((older is not None) - self._dropped_share) / _FORGETTING
        while len(self._waiting) >= depth and not self._closed:
            self._room.wait(-1)
        self._waiting.append(queued)
        self._arrived.set()


class _Signal:
    """Wakes the one thread that waits for it, now or at its next wait. A condition variable does
    the same and costs several times as much a frame.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # it is set already
            return

    def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=seconds)


def check_policy(policy: Policy | None) -> Policy | None:
    """`policy`, where it is one. Raises ConfigError."""
    if policy is not None and policy not in DEPTH:
        raise ConfigError(f"unknown policy {policy!r}", fix=nearest(str(policy), DEPTH))
    return policy
