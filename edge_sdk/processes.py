"""Child processes: ending with their parent, and saying how they ended."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(parent: int) -> None:
    """Called in a child: end this process when process `parent` ends, whatever ends it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it had already gone when we asked


def how_it_ended(status: int) -> str:
    """ "SIGSEGV" for a return code of -11, "exit status 1" for 1."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
