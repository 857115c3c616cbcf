"""A build whose process is killed while it trains goes on where it was."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_converter import Recipe, build
from listeners import of_progress
from waiting import PATIENCE_S

pytestmark = pytest.mark.slow

EPOCHS = 12
SETTINGS = {"train.epochs": EPOCHS}
BUNDLE = "stripes-1.0.0.edge"
PARTS = {"low": 240, "mid": 240, "top": 240}
"""Enough images for an epoch to be longer than it takes to see its checkpoint."""


@dataclass(frozen=True)
class Whole:
    """A build that nobody killed: its recipe and images, its bundle, how long an epoch took."""

    project: Path
    bundle: bytes
    epoch_s: float


@pytest.fixture
def whole(project: Callable[..., Path], tmp_path: Path) -> Whole:
    recipe = project(tmp_path / "project", counts=PARTS)
    begun: dict[int, float] = {}

    def progress(line: str) -> None:
        if line.startswith("train: epoch "):
            begun.setdefault(int(line.split()[2]), time.monotonic())

    bundle = build(
        Recipe.load(recipe, SETTINGS), tmp_path / "whole.edge", listen=of_progress(progress)
    ).bundle
    epoch_s = (begun[EPOCHS] - begun[2]) / (EPOCHS - 2)  # the first is longer: it compiles
    return Whole(recipe.parent, bundle.read_bytes(), epoch_s)


def killed(folder: Path, epochs: int, delay_s: float, environment: dict[str, str]) -> int:
    """Build in a process of its own, killed `delay_s` after it has trained so many epochs. Returns
    how many were seen to be done by then, if not all of them.
    """
    process = subprocess.Popen(
        [Path(sys.executable).with_name("edge-sdk"), "build", "--set", f"train.epochs={EPOCHS}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoint = folder / "stripes-1.0.0.build" / "checkpoints" / "train.checkpoint"
    stamps: set[int] = set()
    moment, deadline = float("inf"), time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < min(moment, deadline):
        with contextlib.suppress(FileNotFoundError):
            stamps.add(checkpoint.stat().st_mtime_ns)
        if len(stamps) == epochs:
            moment = min(moment, time.monotonic() + delay_s)
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert len(stamps) >= epochs, "it ended before it could be killed"
    return len(stamps)


@pytest.mark.campaign
def test_killed_while_it_trains(
    whole: Whole,
    campaign: Callable[[str, int, int], int],
    unmeasured: dict[str, str],
    tmp_path: Path,
) -> None:
    """To the same bytes as a build that nobody killed, without training those epochs again."""
    moments = random.Random(4)
    for number in range(campaign("killed trainings", 1, 20)):
        folder = tmp_path / str(number)
        shutil.copytree(whole.project, folder)
        epochs, share = moments.randint(1, EPOCHS - 2), moments.random()
        trained = killed(folder, epochs, share * whole.epoch_s, unmeasured)
        told = f"try {number}: killed {share:.2f} of an epoch after {epochs}, {trained} trained"
        assert not (folder / BUNDLE).exists(), told
        left = resumed(folder)
        assert len(left) <= EPOCHS - trained, told
        assert left == list(range(EPOCHS + 1 - len(left), EPOCHS + 1)), told
        assert (folder / BUNDLE).read_bytes() == whole.bundle, told
        assert not (folder / "stripes-1.0.0.build" / "checkpoints").exists(), told


def resumed(folder: Path) -> list[int]:
    """Build there to the end. Returns the epochs that it trained."""
    epochs: dict[int, None] = {}

    def progress(line: str) -> None:
        if line.startswith("train: epoch "):
            epochs[int(line.split()[2])] = None

    build(Recipe.load(folder / "recipe.toml", SETTINGS), listen=of_progress(progress))
    return list(epochs)
