"""The thread of a sampler: it makes every call of the backend, so that none can hold up a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future


class SamplingThread:
    """Runs the calls it is handed, in their order, and `poll` every `every_s` between them.

    poll: must not raise; called only after `begin_polling`. name: of the thread.
    """

    def __init__(self, poll: Callable[[], object], every_s: float, name: str) -> None:
        self._poll, self._every_s = poll, every_s
        self._polling = False
        self._calls: queue.SimpleQueue[tuple[Callable[[], object], Future[None]] | None]
        self._calls = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def begin_polling(self) -> None:
        """Poll from now on; to be called in the thread itself."""
        self._polling = True

    def submit(self, call: Callable[[], object]) -> Future[None]:
        """Run `call` after those before it."""
        future: Future[None] = Future()
        self._calls.put((call, future))
        return future

    def close(self, timeout_s: float) -> None:
        """End the thread after its calls; one that hangs is left behind."""
        self._calls.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            try:
                item = self._calls.get(timeout=self._every_s if self._polling else None)
            except queue.Empty:
                self._poll()
                continue
            if item is None:
                return
            _run(*item)


def _run(call: Callable[[], object], future: Future[None]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)
