"""CPU of a whole answer beyond its invoke: 720p images through two int8 networks.

Each round answers one frame, then runs the bare invoke and, with the caches as that left them, the
resize alone. What an answer costs beyond its invoke is taken within the answer: the difference of
two whole invokes would drown it, their CPU time swings by more than that from one call to the next.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2
import networks
import numpy as np
from builds import SHARED, table, verdict

from edge_sdk import Bundle, Recognizer

ROUNDS = 1000
MAX_BEYOND_MS = 0.25
_WARM_UP = 50


def main() -> None:
    """Print the section, in as many rounds as the command line says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        print(section(Path(name), rounds))


def section(folder: Path, rounds: int = ROUNDS) -> str:
    """Of the page."""
    title = "## Cost of an answer\n\n"
    if not SHARED.is_dir():
        return title + networks.NOT_HERE
    names = (networks.MOBILENET, "vww_96_int8")
    return title + (
        "CPU time (all threads) of preprocess + invoke + postprocess to the five best classes of a "
        "1280x720 RGB frame; beyond: without the invoke in it. Each answer is followed by a bare "
        "invoke on the same interpreter, and that by OpenCV's resize to the model's size alone. "
        f"One thread; median [quartiles] of {rounds} rounds. "
        "`.venv/bin/python tests/benchmarks/cost.py` measures it alone.\n\n"
        + table(
            (
                "network",
                "input path",
                "bare invoke ms",
                "invoke within ms",
                "beyond it ms",
                "bar",
                "the resize alone ms",
                "whole / bare",
            ),
            [_row(name, networks.bundle(name, folder), rounds) for name in names],
        )
    )


def _row(name: str, path: Path, rounds: int) -> list[str]:
    frame, clock = networks.image(), time.process_time_ns
    beyond, invoke, bare, resize, ratio = [], [], [], [], []
    with Bundle.open(path) as bundle, Recognizer.open(bundle, now_ns=clock) as model:
        size = (model.preprocessor.width, model.preprocessor.height)
        small = np.empty((size[1], size[0], 3), np.uint8)
        for _ in range(_WARM_UP + rounds):
            started = clock()
            stages = model(frame).stages
            answered = clock()
            model.engine.invoke()
            invoked = clock()
            cv2.resize(frame.pixels, size, dst=small)
            resize.append((clock() - invoked) / 1e6)
            bare.append((invoked - answered) / 1e6)
            invoke.append(stages.invoke / 1e6)
            beyond.append((answered - started - stages.invoke) / 1e6)
            ratio.append((answered - started) / (invoked - answered))
        tail = model.preprocessor.tail
    met = verdict(float(np.median(beyond[_WARM_UP:])) <= MAX_BEYOND_MS)
    times = [_quartiles(values) for values in (bare, invoke, beyond)]
    bar = f"<= {MAX_BEYOND_MS:g}: {met}"
    return [name, tail, *times, bar, _quartiles(resize), _quartiles(ratio)]


def _quartiles(values: list[float]) -> str:
    """After the warm-up."""
    low, middle, high = np.percentile(values[_WARM_UP:], [25, 50, 75])
    return f"{middle:.3f} [{low:.3f} - {high:.3f}]"


if __name__ == "__main__":
    main()
