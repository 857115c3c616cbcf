"""A worker: a child process that answers requests, for code that may crash, hang or fill memory.

It is started by `subprocess` (never forked: threads), with the arguments PARENT_PID REPLIES_FD. A
request is one line of JSON on its standard input, an answer one line of JSON on the pipe
REPLIES_FD; so whatever a library prints never ends up among the answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from edge_sdk.processes import how_it_ended


class WorkerEnded(Exception):
    """The worker ended without an answer. status: the return code, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(how_it_ended(status))
        self.status = status


class Worker:
    """A child process that runs `program`, arguments of a Python interpreter (["-m", MODULE]).

    It ends with this process, and with the thread that started it (PR_SET_PDEATHSIG).
    fds: descriptors that it inherits under their numbers. output: takes what it prints; None leaves
    standard output and standard error as they are here. python, env, cwd: of the child.
    """

    def __init__(
        self,
        program: Sequence[str],
        *,
        fds: Sequence[int] = (),
        output: IO[bytes] | int | None = None,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        replies, theirs = os.pipe()
        self._replies = os.fdopen(replies, "rb")
        try:
            with _interrupts_held():
                self._process = subprocess.Popen(
                    # -P: the current folder may hold anybody's modules.
                    [python, "-P", *program, str(os.getpid()), str(theirs)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs, *fds),
                    env=env,
                    cwd=cwd,
                )
        except BaseException:
            self._replies.close()
            raise
        finally:
            os.close(theirs)

    @property
    def status(self) -> int | None:
        """The return code; None while the process runs."""
        return self._process.poll()

    def call(self, request: Any, timeout_s: float | None = None) -> Any:
        """`ask`, then `answer`. Raises TimeoutError, WorkerEnded."""
        self.ask(request)
        return self.answer(timeout_s)

    def ask(self, request: Any) -> None:
        """Send a request. Only one may be open, so that no pipe ever fills up. If the worker has
        ended, `answer` raises WorkerEnded.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, timeout_s: float | None = None) -> Any:
        """Wait for the answer to the open request.

        Raises TimeoutError after `timeout_s` seconds, WorkerEnded when the process ends instead.
        """
        ready = select.poll()  # select() takes no descriptor above 1023
        ready.register(self._replies, select.POLLIN)
        if not ready.poll(None if timeout_s is None else timeout_s * 1000):
            raise TimeoutError
        line = self._replies.readline()
        if not line.endswith(b"\n"):
            raise WorkerEnded(self._process.wait())
        return json.loads(line)

    def close(self, patience_s: float = 0.0) -> None:
        """End the process. An idle one ends by itself if given `patience_s` seconds, else it is
        killed. Closing twice is fine.
        """
        assert self._process.stdin is not None
        if not patience_s:  # before its input is closed: it may not read what is on its way
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):  # a request that it has not read
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self._process.kill()
        self._process.wait()
        self._replies.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """While inside, this thread takes no SIGINT, and a process that is started never does: Ctrl-C
    is for the parent, which ends its workers; one that still imports would print a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
