"""Processes: how one ended, one that ends with its parent, and silence for C++ libraries.

`worker` starts a child process that answers requests; `service` is the child's side of it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_SILENCE = threading.RLock()  # two threads at once would end with the silence put back


def die_with_parent(parent: int) -> None:
    """Called in a child: end this process when process `parent` ends, whatever ends it."""
    import ctypes  # only a child needs it

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it had already gone when we asked


def how_it_ended(status: int) -> str:
    """ "SIGSEGV" for a return code of -11, "exit status 1" for 1."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


@contextmanager
def stderr_closed() -> Iterator[None]:
    """Inside, whatever this process prints on standard error is discarded, C++ code included."""
    with _SILENCE:
        kept = _copy_of_stderr()
        if kept is None:
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)


def _copy_of_stderr() -> int | None:
    """A second descriptor of standard error; None where it was closed from the start (`2>&-`)."""
    try:
        return os.dup(2)
    except OSError:
        return None
