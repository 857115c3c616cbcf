"""Silence on standard error, words for how a process ended, and workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_sdk.processes import how_it_ended, stderr_closed
from edge_sdk.processes.worker import Worker


def test_nothing_is_seen_inside_and_all_is_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    with stderr_closed():
        os.write(2, b"from C++\n")
        subprocess.run(["sh", "-c", "echo from a child >&2"], check=True)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_it_is_put_back_after_an_error_and_when_nested(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), stderr_closed(), stderr_closed():
        raise ZeroDivisionError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_threads_that_overlap_do_not_leave_the_silence_behind(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The first to enter leaves while the second is still inside."""
    inside, over = threading.Event(), threading.Event()

    def first() -> None:
        with stderr_closed():
            inside.set()
            over.wait(0.2)

    def second() -> None:
        inside.wait()
        with stderr_closed():
            over.set()
            threads[0].join()

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_how_it_ended() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; os.abort()"], check=False)
    assert how_it_ended(ended.returncode) == "SIGABRT"
    assert how_it_ended(1) == "exit status 1"


CLOSED = """
import os
from edge_sdk.processes import stderr_closed
with stderr_closed():
    print("inside")
"""


def test_without_a_standard_error_there_is_nothing_to_silence() -> None:
    line = [f"'{sys.executable}' -c '{CLOSED}' 2>&-"]
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "inside\n"


def test_a_worker_takes_no_ctrl_c_not_even_while_it_starts(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its parent ends it; a traceback of a process that nobody asked for helps nobody."""
    worker = Worker(["-m", "edge_sdk.images.scan_worker"])
    try:
        thread = f"/proc/self/task/{threading.get_native_id()}/children"
        for child in Path(thread).read_text().split():
            os.kill(int(child), signal.SIGINT)
        (answer,) = worker.call([str(tmp_path / "none.jpg")])
        assert "none.jpg" in str(answer)
    finally:
        worker.close()
    assert capfd.readouterr().err == ""


def test_a_worker_answers_where_many_files_are_open(tmp_path: Path) -> None:
    """Its descriptors may be above the 1,023 that select() can wait for."""
    script = (
        "import os, sys; from edge_sdk.processes.worker import Worker\n"
        "held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1030)]\n"
        "worker = Worker(['-m', 'edge_sdk.images.scan_worker'])\n"
        "print(len(worker.call(['/none.jpg'], 600))); worker.close()"
    )
    line = ["sh", "-c", 'ulimit -n 2048 && exec "$0" -c "$1"', sys.executable, script]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
