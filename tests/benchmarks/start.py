"""Start-up: help, the first result of `edge-sdk run`, and its memory, in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edge_sdk.cli import TABLE
from edge_sdk.statistics import median

ROUNDS = 7
_CHILD = """
import json, sys
from edge_sdk.cli import main
status = main(sys.argv[1:])
# VmHWM, not ru_maxrss: that one starts from the memory of whoever started the process.
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(lines["VmHWM"].split()[0])
print(json.dumps({"status": status, "rss_mb": peak / 1024}), file=sys.stderr)
"""


def measure_help() -> list[dict[str, Any]]:
    """Seconds of `edge-sdk --help` and of every COMMAND --help: median and slowest."""
    commands = [["--help"], *([row.name, "--help"] for row in TABLE)]
    return [
        {"command": " ".join(("edge-sdk", *arguments)), **_spread(_seconds(arguments))}
        for arguments in commands
    ]


def measure_first_result(bundle: Path, picture: Path) -> dict[str, Any]:
    """`edge-sdk run` for one frame in a fresh process: seconds from start to exit, peak memory.

    The bundle was accepted before (a second start); its golden check is included.
    """
    arguments = ["run", str(bundle), "--camera", f"folder:{picture}?fps=max", "--frames", "1"]
    seconds, memory = [], []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, *arguments, "--json"], capture_output=True, check=True
        )
        seconds.append(time.perf_counter() - started)
        memory.append(json.loads(child.stderr.splitlines()[-1])["rss_mb"])
    return {"bundle": bundle.name, **_spread(seconds[1:]), "rss_mb": max(memory[1:])}


def _seconds(arguments: list[str]) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "edge_sdk.cli", *arguments],
            stdout=subprocess.DEVNULL,
            check=True,
            env={**os.environ, "COLUMNS": "80"},
        )
        times.append(time.perf_counter() - started)
    return times


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median_s": median(seconds), "min_s": min(seconds), "max_s": max(seconds)}
