"""The thread of a sampler: it makes every call of the backend, so that none can hold up a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Call:
    """A call that a thread is to make. error: what it raised; None before it is over, and where it
    raised nothing.

    Not a Future: importing concurrent.futures takes longer than opening a small model.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._function = function
        self._cancelled = False
        self._over = threading.Event()

    def make(self) -> None:
        """Make the call, here and now, unless it was cancelled."""
        try:
            if not self._cancelled:
                self._function()
        except BaseException as error:
            self.error = error
        self._over.set()

    def wait(self, timeout_s: float) -> bool:
        """True once the call is over; False where that takes longer than `timeout_s`."""
        return self._over.wait(timeout_s)

    def cancel(self) -> None:
        """Leave the call out, if it has not begun."""
        self._cancelled = True


class SamplingThread:
    """Runs the calls it is handed, in their order, and `poll` every `every_s` between them.

    poll: must not raise; called only after `begin_polling`. name: of the thread.
    """

    def __init__(self, poll: Callable[[], object], every_s: float, name: str) -> None:
        self._poll, self._every_s = poll, every_s
        self._polling = False
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def begin_polling(self) -> None:
        """Poll from now on; to be called in the thread itself."""
        self._polling = True

    def submit(self, function: Callable[[], object]) -> Call:
        """Call `function` after those before it."""
        call = Call(function)
        self._calls.put(call)
        return call

    def close(self, timeout_s: float) -> None:
        """End the thread after its calls; one that hangs is left behind."""
        self._calls.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=self._every_s if self._polling else None)
            except queue.Empty:
                self._poll()
                continue
            if call is None:
                return
            call.make()
