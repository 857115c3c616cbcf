"""Silence on standard error, and words for how a process ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from edge_sdk.processes import how_it_ended, stderr_closed


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
