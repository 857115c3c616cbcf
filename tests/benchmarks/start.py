"""Start-up: help, the first result of `edge-sdk run`, and its memory, in fresh processes.

Python finds its modules compiled, as pip leaves them, whatever the environment says; an uncounted
first round sees to that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import networks
from builds import SHARED, table, verdict

from edge_device.run.runtime import THREADS
from edge_sdk.cli.table import TABLE
from edge_sdk.statistics import median

ROUNDS = 7
MAX_FIRST_S, MAX_MB = 0.25, 75.0
_IMPORTS = "import cv2, numpy; from ai_edge_litert.interpreter import Interpreter"
_BARE = (
    _IMPORTS
    + """
import sys
model = Interpreter(model_path=sys.argv[1], num_threads=int(sys.argv[3]))
model.allocate_tensors()
(fed,), (answer,) = model.get_input_details(), model.get_output_details()
image = cv2.cvtColor(cv2.imread(sys.argv[2]), cv2.COLOR_BGR2RGB)
model.set_tensor(fed["index"], cv2.resize(image, tuple(fed["shape"][2:0:-1]))[None])
model.invoke()
print(numpy.argsort(model.get_tensor(answer["index"])[0])[-5:])
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
)
_CHILD = """
import json, sys
from edge_sdk.cli.table import main
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
            {
                "command": " ".join(("edge-sdk", *command)),
                **_spread(_seconds(["-m", "edge_sdk.cli", *command], cache)),
            }
            for command in commands
        ]


def first_result(folder: Path) -> str:
    """The section about the first result of `edge-sdk run` in a fresh process, and its memory, in
    turns with a script that does the same without us.
    """
    title = "## First result\n\n"
    if not SHARED.is_dir():
        return title + networks.NOT_HERE
    images = folder / "images"
    images.mkdir()
    shutil.copy(networks.IMAGE, images)
    bundle = networks.bundle(networks.MOBILENET, folder)
    ours = ["run", str(bundle), "--camera", f"folder:{images}?fps=max", "--frames", "1"]
    model = SHARED / "models" / f"{networks.MOBILENET}.tflite"
    with tempfile.TemporaryDirectory() as cache:
        # Uncounted first rounds: they accept the bundle and compile the modules.
        rounds = [(_run(ours, cache), _bare(model, cache)) for _ in range(ROUNDS + 1)][1:]
        modules = _seconds(["-c", _IMPORTS], cache)
    first, ended, memory = zip(*(run for run, _ in rounds), strict=True)
    script, script_memory = zip(*(bare for _, bare in rounds), strict=True)
    return title + (
        "`edge-sdk run` for one frame, from process start to the first result, and to the exit "
        "with its report; bundle accepted before, golden check included; peak resident memory. "
        "The bare script imports numpy, OpenCV and LiteRT, reads the same image and invokes the "
        f"same model once with as many threads, {THREADS}. {ROUNDS} rounds in turns; median "
        "[min - max].\n\n"
        + table(
            ("what", "first result s", "bar", "exit s", "peak MB", "bar"),
            [
                [
                    f"`edge-sdk run`, {networks.MOBILENET}",
                    networks.spread(first),
                    f"<= {MAX_FIRST_S:g}: {verdict(median(first) <= MAX_FIRST_S)}",
                    networks.spread(ended),
                    networks.spread(memory, 0),
                    f"<= {MAX_MB:g}: {verdict(max(memory) <= MAX_MB)}",
                ],
                [
                    "bare script",
                    "-",
                    "-",
                    networks.spread(script),
                    networks.spread(script_memory, 0),
                    "-",
                ],
                ["its imports alone", "-", "-", networks.spread(modules), "-", "-"],
            ],
        )
    )


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


def _bare(model: Path, cache: str) -> tuple[float, float]:
    """Seconds to the exit, and MB."""
    line = [sys.executable, "-c", _BARE, str(model), str(networks.IMAGE), str(THREADS)]
    started = time.perf_counter()
    done = subprocess.run(
        line, env=_environment(cache), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started, int(done.stdout.split()[-1]) / 1024


def _seconds(arguments: list[str], cache: str) -> list[float]:
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
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
