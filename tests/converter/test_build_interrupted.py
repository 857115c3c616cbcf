"""A build that is ended at any moment leaves the old bundle or the new one, and runs again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_converter import Recipe, build
from edge_sdk import Bundle
from waiting import PATIENCE_S

pytestmark = pytest.mark.slow

BUNDLE = "stripes-1.0.0.edge"


@dataclass(frozen=True)
class Whole:
    """A build that nobody interrupted: its folder, how long it took (s), and its bundle."""

    folder: Path
    seconds: float
    bundle: bytes


@pytest.fixture(scope="module")
def whole(
    project: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    unmeasured: dict[str, str],
) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    project(folder)
    started = time.monotonic()
    process = start(folder, unmeasured)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    return Whole(folder, time.monotonic() - started, (folder / BUNDLE).read_bytes())


def start(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """`edge-sdk build` in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("edge-sdk"), "build"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.campaign
def test_ended_anywhere_in_a_whole_build(
    whole: Whole,
    project: Callable[..., Path],
    ended: Callable[..., None],
    campaign: Callable[[str, int, int], int],
    tmp_path: Path,
) -> None:
    count = campaign("interrupted builds", 1, 20)
    moments = random.Random(2)
    for number in range(count):
        project(tmp_path / str(number))
        moment = whole.seconds * (number + moments.random()) / count
        ended(tmp_path / str(number), moment, number)


@pytest.mark.campaign
def test_ended_while_it_packs(
    whole: Whole,
    ended: Callable[..., None],
    campaign: Callable[[str, int, int], int],
    unmeasured: dict[str, str],
    tmp_path: Path,
) -> None:
    """With every stage there already, what is left is short, and can be hit more often."""
    shutil.copytree(whole.folder, tmp_path / "timed")
    started = time.monotonic()
    start(tmp_path / "timed", unmeasured).communicate(timeout=PATIENCE_S)
    seconds = time.monotonic() - started
    count = campaign("interrupted packings", 4, 40)
    moments = random.Random(3)
    for number in range(count):
        shutil.copytree(whole.folder, tmp_path / str(number))
        moment = seconds * (0.3 + 0.7 * (number + moments.random()) / count)
        ended(tmp_path / str(number), moment, number)


@pytest.fixture
def ended(
    whole: Whole, tiny_bundle: Callable[..., Path], unmeasured: dict[str, str]
) -> Callable[[Path, float, int], None]:
    """`ended(folder, moment, number)`: builds in `folder`, over an old bundle, and ends it after
    `moment` s: by SIGINT to the group, as Ctrl-C does, where `number` is even, else by SIGKILL.
    What is left must be the old bundle or the new one, and the next run must make the new one.
    """
    old = tiny_bundle().read_bytes()

    def end(folder: Path, moment: float, number: int) -> None:
        bundle = folder / BUNDLE
        bundle.write_bytes(old)
        how = signal.SIGKILL if number % 2 else signal.SIGINT
        told = interrupt(start(folder, unmeasured), moment, how)
        assert bundle.read_bytes() in (old, whole.bundle), told
        assert bundle.read_bytes() == whole.bundle or not told.answered, told
        hidden = {path.name for path in folder.rglob(".*")} - {".lock"}
        assert how == signal.SIGKILL or not hidden, told
        assert children_in(folder) == []
        report = build(Recipe.load(folder / "recipe.toml"))
        assert report.bundle.read_bytes() == whole.bundle
        with Bundle.open(report.bundle) as opened:
            assert opened.manifest.name == "stripes"

    return end


@dataclass(frozen=True)
class Told:
    """How an interrupted process ended, and whether it had answered before."""

    status: int
    stderr: str
    answered: bool


def interrupt(process: subprocess.Popen[str], moment: float, how: signal.Signals) -> Told:
    """End a build after `moment` seconds and check what it says about that."""
    time.sleep(moment)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.kill()
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    told = Told(process.returncode, stderr, answered=bool(stdout))
    if how == signal.SIGINT and not told.answered:
        assert told.status in (1, -signal.SIGINT), told  # the latter before Python had started
    if told.status == 1:
        assert stderr.splitlines()[-2:] == [
            "error: interrupted",
            "fix: run the same command again",
        ], told
    return told


def children_in(folder: Path) -> list[str]:
    """Processes that still work on `folder`: a child must not outlive the build for long."""
    deadline = time.monotonic() + PATIENCE_S
    found: list[str] = []
    while time.monotonic() < deadline:
        found = [line for line in command_lines() if str(folder) in line]
        if not found:
            break
        time.sleep(0.05)
    return found


def command_lines() -> list[str]:
    lines: list[Any] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue  # it has just ended
    return lines
