"""`make device`: where it is not a 64-bit Raspberry Pi OS it says so, and makes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("architecture", "error", "fix"),
    [
        ("armhf", "32-bit Raspberry Pi OS (armhf), which LiteRT", "Raspberry Pi OS (64-bit)"),
        ("amd64", "this is amd64, not a Raspberry Pi", "make dev"),
    ],
)
def test_another_machine_is_refused_with_the_fix(
    architecture: str, error: str, fix: str, repository: Path, tmp_path: Path
) -> None:
    """The kernel does not matter: a 64-bit one may run 32-bit programs. dpkg is a stand-in."""
    clone = tmp_path / "clone"
    (clone / "hardware").mkdir(parents=True)
    script = Path(shutil.copy(repository / "hardware" / "device.sh", clone / "hardware"))
    (tmp_path / "dpkg").write_text(
        f'#!/bin/sh\n[ "$1" = --print-architecture ] && echo {architecture}\n'
    )
    (tmp_path / "dpkg").chmod(0o755)
    done = subprocess.run(
        ["sh", str(script)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ") and error in first
    assert second.startswith("fix: ") and fix in second
    assert [path.name for path in clone.iterdir()] == ["hardware"]
