"""Start-up: help, the first result of `edge-sdk run`, and its memory, in fresh processes.

Python finds its modules compiled, as pip leaves them, whatever the environment says; an uncounted
first round sees to that.
"""

from __future__ import annotations

import operator
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import networks
import numpy as np
from builds import SHARED, table, verdict

from edge_device.run.runtime import THREADS
from edge_sdk.cli.table import TABLE
from edge_sdk.statistics import median

ROUNDS = 15
MAX_FIRST_S, MAX_MB = 0.25, 75.0
MAX_OVER_S, MAX_OVER_MB = 0.08, 12.0
_IMPORTS = "import cv2, numpy; from ai_edge_litert.interpreter import Interpreter"
_PEAK = """
import sys
# VmHWM, not ru_maxrss: that one starts from the memory of whoever started the process.
with open("/proc/self/status") as lines:
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""
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
with open(sys.argv[-1], "a") as results:
    print(numpy.argsort(model.get_tensor(answer["index"])[0])[-5:], file=results)
"""
    + _PEAK
)
_CHILD = (
    """
import sys
from edge_sdk.cli.__main__ import main
status = main()
"""
    + _PEAK
    + """
sys.exit(status)
"""
)


def main() -> None:
    """Print the section about the first result, in as many rounds as the command line says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        print(first_result(Path(name), rounds))


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


def first_result(folder: Path, rounds: int = ROUNDS) -> str:
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
    model = SHARED / "models" / f"{networks.MOBILENET}.tflite"
    ours = [_CHILD, "run", str(bundle), "--camera", f"folder:{images}?fps=max", "--frames", "1"]
    bare = [_BARE, str(model), str(networks.IMAGE), str(THREADS)]
    with tempfile.TemporaryDirectory() as cache:
        # Uncounted first rounds: they accept the bundle and compile the modules.
        pairs = [(_first(ours, cache), _first(bare, cache)) for _ in range(rounds + 1)][1:]
        modules = _seconds(["-c", _IMPORTS], cache)
    run, script = zip(*pairs, strict=True)
    over = [First(*map(operator.sub, *pair)) for pair in pairs]
    return title + (
        "`edge-sdk run` for one frame, from process start to the first result, in wall and CPU "
        "time of all its threads, and to the exit with its report; bundle accepted before, golden "
        "check included; peak resident memory. "
        "The bare script imports numpy, OpenCV and LiteRT, reads the same image, invokes the "
        f"same model once with as many threads, {THREADS}, and prints the five best classes. "
        f"{rounds} rounds in turns; median [quartiles]; the difference is taken within a round. "
        "`.venv/bin/python tests/benchmarks/start.py` measures it alone.\n\n"
        + table(
            ("what", "first result s", "CPU s to it", "exit s", "peak MB"),
            [
                [f"`edge-sdk run`, {networks.MOBILENET}", *_cells(run)],
                ["bare script", *_cells(script)],
                ["difference", *_cells(over)],
                ["bar", *_bars(run, over)],
                ["imports of the bare script alone", "-", "-", _quartiles(modules), "-"],
            ],
        )
    )


class First(NamedTuple):
    """A process: seconds to its first line on the pipe, CPU seconds of all its threads until then,
    seconds to its exit, and peak resident MB.
    """

    first_s: float
    cpu_s: float
    exit_s: float
    peak_mb: float


def _first(arguments: list[str], cache: str) -> First:
    """Run a program of this file. Its last arguments name the pipe for its results."""
    results, end = os.pipe()
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", *arguments, "--json", "--jsonl", f"/dev/fd/{end}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_environment(cache),
        pass_fds=[end],
    )
    os.close(end)
    with open(results, "rb") as lines:
        line = lines.readline()
        first = time.perf_counter() - started
        cpu = time.clock_gettime(_cpu_clock(child.pid))
    notes = child.communicate()[1]
    ended = time.perf_counter() - started
    if child.returncode or not line:
        raise RuntimeError(notes.decode())
    return First(first, cpu, ended, int(notes.split()[-1]) / 1024)


def _cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time, clock_getcpuclockid(3) of the C library."""
    return ~pid << 3 | 2


def _cells(rounds: Sequence[First]) -> list[str]:
    first, cpu, ended, memory = zip(*rounds, strict=True)
    return [*map(_quartiles, (first, cpu, ended)), _quartiles(memory, 1)]


def _bars(run: Sequence[First], over: Sequence[First]) -> list[str]:
    """Whether the run as a whole and what it costs over the bare script are within the bars."""
    first, extra = (median([one.first_s for one in rounds]) for rounds in (run, over))
    peak, more = (median([one.peak_mb for one in rounds]) for rounds in (run, over))
    return [
        f"<= {MAX_FIRST_S:g}: {verdict(first <= MAX_FIRST_S)}; "
        f"difference <= {MAX_OVER_S:g}: {verdict(extra <= MAX_OVER_S)}",
        "-",
        "-",
        f"<= {MAX_MB:g}: {verdict(peak <= MAX_MB)}; "
        f"difference <= {MAX_OVER_MB:g}: {verdict(more <= MAX_OVER_MB)}",
    ]


def _quartiles(values: Sequence[float], digits: int = 3) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.{digits}f} [{low:.{digits}f} - {high:.{digits}f}]"


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


if __name__ == "__main__":
    main()
