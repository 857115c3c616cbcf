"""For the device's tests: a clock that two threads share."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

import pytest

from waiting import PATIENCE_S, wait_until


class SharedClock:
    """Time for a camera in its thread and a consumer that alone lets it pass.

    `advance` stops at every instant that the camera sleeps for, lets it go on from there, and waits
    until it sleeps again: what happens does not depend on the machine.
    """

    def __init__(self) -> None:
        self._ns = 1_000_000_000
        self._changed = threading.Condition()
        self._wakes_ns: int | None = None
        self._over = False

    def now_ns(self) -> int:
        return self._ns

    def sleep(self, seconds: float) -> None:
        with self._changed:
            self._wakes_ns = self._ns + round(seconds * 1e9)
            self._changed.notify_all()
            while self._wakes_ns is not None and not self._over:
                self._changed.wait()
            if self._over:
                raise RuntimeError("the clock has stopped")

    def advance(self, seconds: float) -> None:
        target = self._ns + round(seconds * 1e9)
        with self._changed:
            while True:
                while self._wakes_ns is None:
                    assert self._changed.wait(PATIENCE_S), "the camera does not sleep"
                if self._wakes_ns > target:
                    break
                self._ns, self._wakes_ns = self._wakes_ns, None
                self._changed.notify_all()
            self._ns = target

    def stop(self) -> None:
        """Whoever sleeps is thrown out."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


@pytest.fixture
def shared_clock() -> SharedClock:
    """A SharedClock: `now_ns`, `sleep` (for the camera), `advance`, `stop` (for the consumer)."""
    return SharedClock()


@pytest.fixture(scope="session")
def refused() -> Callable[..., tuple[str, str]]:
    """`refused(done, status=1)`: the error and the fix of a command that ended with them, and with
    nothing on stdout.
    """

    def read(done: subprocess.CompletedProcess[str], status: int = 1) -> tuple[str, str]:
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        error, fix = done.stderr.splitlines()[-2:]
        assert error.startswith("error: ")
        assert fix.startswith("fix: ")
        return error, fix

    return read


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool], subprocess.Popen[str]], None]:
    """`wait_for(there, process)`: until `there()`, while the process lives."""

    def wait(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        def met() -> bool:
            found = there()
            assert found or process.poll() is None, process.communicate()
            return found

        wait_until(met, "what a process does")

    return wait
