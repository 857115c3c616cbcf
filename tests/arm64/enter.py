"""Running a program in a root: with mounts and processes of its own, and a Pi 4's /proc/cpuinfo.

Without /proc and /sys LiteRT drops XNNPACK without a word; with this machine's cpuinfo it crashes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "roots"))

from isolation import isolated

REPOSITORY = Path(__file__).resolve().parent.parent.parent

_MOUNTS = """
set -e
mount -t proc proc "$ROOT/proc"
mount --bind "$ROOT/edge/cpuinfo" "$ROOT/proc/cpuinfo"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmp "$ROOT/tmp"
mount --bind "$REPOSITORY" "$ROOT/edge/main"
mount -o remount,bind,ro "$ROOT/edge/main"
mount --bind "$WORK" "$ROOT/edge/case"
if [ -d "$REPOSITORY/../shared" ]; then mount --bind "$REPOSITORY/../shared" "$ROOT/edge/shared"; fi
exec chroot "$ROOT" "$@"
"""


def enter(
    root: Path, work: Path, line: list[str], *, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `line` (paths as in the root), its stderr in its stdout; what it starts ends with it.

    work: the folder that it sees as /edge/case, its `site` on Python's path.
    Raises subprocess.TimeoutExpired.
    """
    environment = {
        "ROOT": str(root),
        "WORK": str(work),
        "REPOSITORY": str(REPOSITORY),
        "PATH": os.environ["PATH"],
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/edge/case/site:/edge/site",
        "PYTHONHASHSEED": "0",
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
        "LIBCAMERA_LOG_LEVELS": "*:ERROR",
    }
    return subprocess.run(
        isolated(_MOUNTS, line),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
