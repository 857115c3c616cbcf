"""Child processes for foreign code that may crash, hang or fill the memory.

A child that did its job, or said what is wrong with it, does the next one too: importing TensorFlow
takes seconds. One that failed in any other way has ended.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import threading
from pathlib import Path

from edge_sdk.errors import ConfigError, EdgeError, FileError, TrainingError
from edge_sdk.processes import how_it_ended
from edge_sdk.processes.worker import Worker, WorkerEnded

CHILD_TIMEOUT_S = 1800
MAX_JOBS = 20
"""After so many a child ends: TensorFlow does not give back all that it took."""

_OUT_OF_MEMORY = (
    *("MemoryError", "bad_alloc", "OOM when allocating", "ResourceExhausted"),
    *("failed to map segment", "Cannot allocate memory", "pthread_create"),
)
"""Messages of Python, C++, TensorFlow and the loader of libraries, often not at the end: a stack
trace follows. Linux itself kills with SIGKILL and prints nothing.
"""
_TAIL_BYTES = 64 * 1024


class Child:
    """A process that runs `module`, whose main does jobs with `worker_loop.main`. It ends with its
    parent, and with the thread that started it.
    """

    def __init__(self, module: str, log: Path) -> None:
        self.jobs = 0
        with log.open("wb") as output:
            # What goes wrong while it imports has to be in the log too.
            self._worker = Worker(
                ["-m", module], output=output, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            )

    @property
    def alive(self) -> bool:
        """True while it can take another job."""
        return self.jobs < MAX_JOBS and self._worker.status is None

    def run(self, folder: Path, log: Path, timeout_s: float) -> int:
        """Let it do the job in `folder` and print into `log`; 0, or the status that it refused the
        job with. Raises TimeoutError where it takes longer, WorkerEnded.
        """
        self.jobs += 1
        job = [str(folder.absolute()), str(log.absolute())]
        status: int = self._worker.call(job, timeout_s)
        return status

    def close(self, patience_s: float = 0.0) -> None:
        """End it; one that waits for a job ends by itself, if it is given the time."""
        self._worker.close(patience_s)


_idle: dict[str, Child] = {}
"""By module. Those of the main thread alone: the others' end with their threads."""


def run_child(
    folder: Path,
    log: Path,
    module: str,
    *,
    timeout_s: float = CHILD_TIMEOUT_S,
    reusable: bool = True,
) -> None:
    """Let `module` do the job in `folder` in a process of its own; `log` takes what it prints.
    reusable: whether one process may do this job and others.

    Raises TrainingError or ConfigError, with what the child wrote into error.json where it did, and
    FileError. A child that may crash in foreign code writes error.json before it goes there.
    """
    reusable = reusable and threading.current_thread() is threading.main_thread()
    child = _idle.pop(module, None) if reusable else None
    if child is not None and not child.alive:
        child.close(patience_s=5.0)
        child = None
    log.write_bytes(b"")
    child = child or Child(module, log)
    kept = False
    try:
        status = child.run(folder, log, timeout_s)
        kept = reusable
    except WorkerEnded as ended:
        status = ended.status
    except TimeoutError as error:
        raise TrainingError(
            f"the conversion did not end within {timeout_s:g} s",
            fix="use a smaller model, or fewer quantize.calibration_samples",
        ) from error
    finally:
        if kept:
            _idle[module] = child
        else:
            child.close()
    if status != 0:
        raise _failure(status, folder, log)


@atexit.register
def _close_all() -> None:
    while _idle:
        _idle.popitem()[1].close(patience_s=5.0)


def _failure(status: int, folder: Path, log: Path) -> EdgeError:
    """The error of a child, from its exit status, its error.json and its output."""
    printed = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
    last = printed.splitlines()[-1] if printed else "no output"
    told = folder / "error.json"
    ended = how_it_ended(status)
    if status == os.EX_IOERR:
        return FileError(
            f"the conversion cannot write in {folder.parent}: {last}",
            fix="free some space, or build into another folder with --out",
        )
    if status == os.EX_DATAERR:
        return _told(told, "the conversion failed")
    if status == -signal.SIGKILL or any(word in printed for word in _OUT_OF_MEMORY):
        return TrainingError(
            f"the conversion ran out of memory ({ended})",
            fix="close other programs, or use a smaller model or [input], or fewer "
            "quantize.calibration_samples",
        )
    if status < 0 and told.exists():
        return _told(told, f"the conversion failed ({ended})")
    # After a signal the last line is of a stack trace, or has nothing to do with it.
    quoted = "" if status < 0 else f": {last}"
    return TrainingError(
        f"the conversion failed ({ended}){quoted}",
        fix=f"read {log}, then try another quantize.mode (convert: --quantize)",
    )


def _told(path: Path, what: str) -> EdgeError:
    """The error that a child left."""
    told = json.loads(path.read_text())
    kind = ConfigError if told["kind"] == "ConfigError" else TrainingError
    return kind(f"{what}: {told['message']}", fix=told["fix"])
