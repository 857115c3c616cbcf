"""A build whose process is killed while it trains goes on where it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_converter import Recipe, build

pytestmark = pytest.mark.slow

EPOCHS = 12
BUNDLE = "stripes-1.0.0.edge"
PARTS = {"low": 240, "mid": 240, "top": 240}
"""Enough pictures for an epoch to be longer than it takes to see its checkpoint."""


def killed(folder: Path, environment: dict[str, str]) -> int:
    """Build in a process of its own, killed after a few epochs. Returns what is left of them."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name("edge-sdk"), "build", "--set", f"train.epochs={EPOCHS}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoint = folder / "stripes-1.0.0.build" / "checkpoints" / "train.checkpoint"
    stamps: set[int] = set()
    deadline = time.monotonic() + 200
    while len(stamps) < 3 and process.poll() is None and time.monotonic() < deadline:
        if checkpoint.exists():
            stamps.add(checkpoint.stat().st_mtime_ns)
    process.kill()
    process.wait()
    assert len(stamps) == 3, "it ended before it could be killed"
    return EPOCHS - len(stamps)


def test_killed_while_it_trains(
    project: Callable[..., Path], unmeasured: dict[str, str], tmp_path: Path
) -> None:
    """To the same bytes as a build that nobody killed, without training those epochs again."""
    recipe = project(tmp_path / "killed", counts=PARTS)
    shutil.copytree(recipe.parent, tmp_path / "whole")
    left = killed(recipe.parent, unmeasured)
    assert not (recipe.parent / BUNDLE).exists()
    epochs: dict[int, None] = {}

    def progress(line: str) -> None:
        if line.startswith("train: epoch "):
            epochs[int(line.split()[2])] = None

    settings = {"train.epochs": EPOCHS}
    build(Recipe.load(recipe, settings), progress=progress)
    assert len(epochs) <= left and max(epochs) == EPOCHS
    build(Recipe.load(tmp_path / "whole" / "recipe.toml", settings))
    bundles = [(tmp_path / name / BUNDLE).read_bytes() for name in ("killed", "whole")]
    assert bundles[0] == bundles[1]
    assert not (recipe.parent / "stripes-1.0.0.build" / "checkpoints").exists()
