"""Start-up: help, the first result of `edge-sdk run`, and its memory, in fresh processes.

Python finds its modules compiled, as pip leaves them, whatever the environment says; an uncounted
first round sees to that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
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
    with tempfile.TemporaryDirectory() as cache:
        return [
            {"command": " ".join(("edge-sdk", *command)), **_spread(_seconds(command, cache))}
            for command in commands
        ]


def measure_first_result(bundle: Path, picture: Path) -> dict[str, Any]:
    """`edge-sdk run` for one frame in a fresh process: seconds from its start to the first result
    (`first`) and to its exit (`exit`), peak memory.

    The bundle was accepted before (a second start); its golden check is included.
    """
    arguments = ["run", str(bundle), "--camera", f"folder:{picture}?fps=max", "--frames", "1"]
    with tempfile.TemporaryDirectory() as cache:
        rounds = [_run(arguments, cache) for _ in range(ROUNDS + 1)][1:]
    first, ended, memory = zip(*rounds, strict=True)
    return {
        "bundle": bundle.name,
        "first": _spread(list(first)),
        "exit": _spread(list(ended)),
        "rss_mb": max(memory),
    }


def _run(arguments: list[str], cache: str) -> tuple[float, float, float]:
    """Seconds to the first result and to the exit, and MB; the results come through a pipe."""
    results, end = os.pipe()
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, *arguments, "--json", "--jsonl", f"/dev/fd/{end}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_environment(cache),
        pass_fds=[end],
    )
    os.close(end)
    with open(results, "rb") as lines:
        line = lines.readline()
        first = time.perf_counter() - started
    notes = child.communicate()[1]
    ended = time.perf_counter() - started
    if child.returncode or not line:
        raise RuntimeError(notes.decode())
    return first, ended, json.loads(notes.splitlines()[-1])["rss_mb"]


def _seconds(arguments: list[str], cache: str) -> list[float]:
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "edge_sdk.cli", *arguments],
            stdout=subprocess.DEVNULL,
            check=True,
            env={**_environment(cache), "COLUMNS": "80"},
        )
        times.append(time.perf_counter() - started)
    return times[1:]


def _environment(cache: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": cache}


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median_s": median(seconds), "min_s": min(seconds), "max_s": max(seconds)}
