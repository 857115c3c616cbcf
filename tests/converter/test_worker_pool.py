"""Children that do jobs: the same process while it answers, another after one that ended."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_converter.quantize.worker_pool import MAX_JOBS, run_child
from edge_sdk.errors import ConfigError, FileError, TrainingError
from waiting import gone, wait_until

JOBS = """
import os, signal, sys
from edge_converter.quantize.worker_loop import main
from edge_sdk.errors import ConfigError

def work(folder):
    print("working in", folder.name)
    (folder / "pid").write_text(str(os.getpid()))
    told = (folder / "job").read_text()
    if told == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if told == "refuse":
        raise ConfigError("the job is wrong", fix="write another")
    if told == "full":
        raise OSError(28, "No space left on device")
    if told == "leave":
        sys.exit(3)
    if told == "raise":
        raise ValueError("nobody expected this")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
"""

Job = Callable[..., int]


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """`do(name, what)`: the process that did the job. Its module is a file of the test's own."""
    module = f"jobs_{os.getpid()}_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(JOBS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def one(name: str, what: str = "", *, reusable: bool = True) -> int:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "job").write_text(what)
        run_child(folder, tmp_path / f"{name}.log", module, reusable=reusable)
        return int((folder / "pid").read_text())

    return one


def test_one_process_does_job_after_job_and_ends_at_last(do: Job, tmp_path: Path) -> None:
    pids = [do(f"job{number}") for number in range(MAX_JOBS + 1)]
    assert len(set(pids[:MAX_JOBS])) == 1
    assert pids[-1] != pids[0]
    assert (tmp_path / "job0.log").read_text() == "working in job0\n"
    assert (tmp_path / "job1.log").read_text() == "working in job1\n"


@pytest.mark.parametrize(
    ("what", "kind", "says", "goes_on"),
    [
        ("crash", TrainingError, r"the conversion failed \(SIGSEGV\)", False),
        ("refuse", ConfigError, "the job is wrong", True),
        ("full", FileError, "cannot write in", True),
        ("leave", TrainingError, "exit status 3", False),
        ("raise", TrainingError, "exit status 1", False),
    ],
)
def test_a_process_goes_on_after_a_refusal_another_after_a_failure(
    do: Job, what: str, kind: type[Exception], says: str, goes_on: bool
) -> None:
    before = do("before")
    with pytest.raises(kind, match=says):
        do("failing", what)
    assert (do("after") == before) is goes_on


def test_a_job_may_have_a_process_of_its_own(do: Job) -> None:
    pids = [do("a"), do("b", reusable=False), do("c"), do("d")]
    assert pids[1] != pids[0]
    assert pids[0] == pids[2] == pids[3]


def test_a_process_that_was_killed_meanwhile_is_replaced(do: Job) -> None:
    before = do("before")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: gone(before))
    assert do("after") != before


def test_other_threads_have_their_own(do: Job) -> None:
    """A child ends with the thread that started it."""
    found = [do("before")]
    for name in ("one", "two"):
        thread = threading.Thread(target=lambda name=name: found.append(do(name)))
        thread.start()
        thread.join()
    assert len(set(found)) == 3
    assert do("after") == found[0]
