"""What an answer costs beyond its invoke: the SSD detector at 720p, and a model of 28x28.

CPU (all threads) and wall time, each within the same answer. The two clocks take turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
from builds import SHARED, table, verdict

from edge_sdk import Bundle, Frame, Recognizer
from edge_sdk.statistics import median

ROUNDS, FRAMES = 30, 20
MAX_DETECTOR_MS, MAX_TINY_US = 1.5, 60.0

Clock = Callable[[], int]


def main() -> None:
    """Print both sections, in as many rounds as the command line says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        print(detector(Path(name), rounds), tiny(Path(name), rounds), sep="\n\n")


def detector(folder: Path, rounds: int = ROUNDS) -> str:
    """The section of the SSD detector."""
    title = "## SSD detector: cost beyond invoke\n\n"
    if not SHARED.is_dir():
        return title + networks.NOT_HERE
    cpu, wall, invoke = _measure(networks.detector(folder), networks.image(), rounds)
    return title + (
        f"{networks.SSD}, 1280x720 RGB to boxes in the frame's pixels, one thread; "
        f"{rounds} rounds of {FRAMES} frames. `.venv/bin/python tests/benchmarks/beyond.py` "
        "measures it alone.\n\n"
        + table(
            ("CPU beyond invoke, ms [min - max]", "bar", "wall ms", "invoke, CPU ms"),
            [
                [
                    networks.spread(cpu),
                    f"<= {MAX_DETECTOR_MS:g}: {verdict(median(cpu) <= MAX_DETECTOR_MS)}",
                    networks.spread(wall),
                    networks.spread(invoke),
                ]
            ],
        )
    )


def tiny(folder: Path, rounds: int = ROUNDS) -> str:
    """The section of the 28x28 model."""
    small = Frame(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8), "gray")
    frames = {"28x28 gray": small}
    if SHARED.is_dir():
        frames["1280x720 rgb"] = networks.image()
    rows = []
    for name, frame in frames.items():
        found = _measure(networks.tiny(folder), frame, rounds)
        cpu, wall, invoke = ([1000 * value for value in values] for values in found)
        bar = f"<= {MAX_TINY_US:g}: {verdict(median(cpu) <= MAX_TINY_US)}"
        if frame is not small:
            bar = "-"
        rows.append(
            [name, networks.spread(cpu, 1), bar, *(networks.spread(v, 1) for v in (wall, invoke))]
        )
    return (
        "## A 28x28 model: cost beyond invoke\n\nOne layer, ten classes, one thread; "
        f"{rounds} rounds of {FRAMES} frames. The bar is about frames of the model's own size. "
        "`.venv/bin/python tests/benchmarks/beyond.py` measures it alone.\n\n"
        + table(
            ("frame", "CPU beyond invoke, us [min - max]", "bar", "wall us", "invoke, CPU us"), rows
        )
    )


def _measure(path: Path, frame: Frame, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Medians of the rounds in ms: CPU beyond invoke, wall beyond invoke, CPU of invoke."""
    cpu, wall, invoke = [], [], []
    with (
        Bundle.open(path) as bundle,
        Recognizer.open(bundle, now_ns=time.process_time_ns) as by_cpu,
        Recognizer.open(bundle, now_ns=time.perf_counter_ns) as by_wall,
    ):
        _round(by_cpu, frame, time.process_time_ns)
        _round(by_wall, frame, time.perf_counter_ns)
        for _ in range(rounds):
            beyond, within = _round(by_cpu, frame, time.process_time_ns)
            cpu.append(beyond)
            invoke.append(within)
            wall.append(_round(by_wall, frame, time.perf_counter_ns)[0])
    return cpu, wall, invoke


def _round(model: Recognizer, frame: Frame, clock: Clock) -> tuple[float, float]:
    """Medians over FRAMES answers, in ms on `clock`: beyond the invoke, and the invoke."""
    beyond, within = [], []
    for _ in range(FRAMES):
        started = clock()
        invoke = model(frame).stages.invoke
        beyond.append((clock() - started - invoke) / 1e6)
        within.append(invoke / 1e6)
    return median(beyond), median(within)


if __name__ == "__main__":
    main()
