"""A bounded queue of answers, and the thread that writes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edge_sdk.frames import Frame
from edge_sdk.results import Result


class Worker:
    """Hands each answer to `take`, in order, and calls `release` at the end, in a thread of its own
    that begins with the first answer. Neither may raise.
    """

    def __init__(
        self, capacity: int, take: Callable[[Frame, Result], None], release: Callable[[], None]
    ) -> None:
        self._capacity = capacity
        self._take, self._release = take, release
        self._waiting: deque[tuple[Frame, Result]] = deque()
        self._changed = threading.Condition()
        self._taking = self._ending = False
        self._thread = threading.Thread(target=self._run, name="edge-sink", daemon=True)

    @property
    def alive(self) -> bool:
        """True while its thread runs."""
        return self._thread.is_alive()

    @property
    def pending(self) -> int:
        """Answers that wait or are being taken."""
        return len(self._waiting) + self._taking

    def put(self, frame: Frame, result: Result, seconds: float) -> bool:
        """Queue an answer, waiting up to `seconds` for room. False: there was none, and the oldest
        answer was dropped.
        """
        if self._thread.ident is None:
            self._thread.start()
        with self._changed:
            room = self._changed.wait_for(self._has_room, seconds)
            if not room:
                self._waiting.popleft()
            self._waiting.append((frame, result))
            self._changed.notify_all()
        return room

    def flush(self, seconds: float) -> bool:
        """Wait until nothing is pending, but not longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.pending, seconds)

    def end(self, seconds: float) -> int:
        """Take what waits, then release, but not for longer; how many answers were lost."""
        if self._thread.ident is None:
            self._release()
            return 0
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(seconds)
        with self._changed:
            lost = self.pending
            self._waiting.clear()
        return lost

    def _has_room(self) -> bool:
        return len(self._waiting) < self._capacity

    def _run(self) -> None:
        while self._step():
            pass
        self._release()

    def _step(self) -> bool:
        """Take one answer; False at the end. No frame is held while the next one is awaited."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            if not self._waiting:
                return False
            frame, result = self._waiting.popleft()
            self._taking = True
            self._changed.notify_all()
        self._take(frame, result)
        with self._changed:
            self._taking = False
            self._changed.notify_all()
        return True
