"""The side of a child process that does jobs for `worker_pool.run_child`."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from edge_converter.tf.setup import leave_out_extras
from edge_sdk.errors import ConfigError, EdgeError, ModelError
from edge_sdk.processes.service import serve

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: list[str], work: Callable[[Path], None]) -> int:
    """Let `work` do one job after another, in the folders that the requests name, and answer each
    with 0, or the exit status that says why it was refused. What else goes wrong ends the process.
    """
    leave_out_extras()

    def do(job: list[str]) -> int:
        folder, log = map(Path, job)
        _print_into(log)
        return _attempt(work, folder)

    return serve(arguments, do)


def _print_into(log: Path) -> None:
    """From now on, whatever this process prints, C++ code included."""
    with log.open("ab") as output:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def _attempt(work: Callable[[Path], None], folder: Path) -> int:
    try:
        work(folder)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(error, file=sys.stderr)
        return os.EX_IOERR
    except (ConfigError, ModelError) as error:
        tell(folder, error)
        print(error, file=sys.stderr)
        return os.EX_DATAERR
    return 0


def tell(folder: Path, error: EdgeError) -> None:
    """Leave `error` for the parent, in error.json."""
    told = {"kind": type(error).__name__, "message": str(error), "fix": error.fix}
    (folder / "error.json").write_text(json.dumps(told))
