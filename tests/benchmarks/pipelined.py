"""Throughput of the device's pipeline against the bare interpreter: 720p frames from memory.

Capture waits for the answers (policies all and block), so that no frame is dropped. A round answers
FRAMES frames of a stream that goes on from round to round, or invokes as often; the rounds take
turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import repeat
from pathlib import Path

import networks
from builds import SHARED, table, verdict

from edge_device import Runtime
from edge_device.cameras.fake import FakeCamera
from edge_device.run.pipeline import DEPTH, Policy
from edge_sdk import Result
from edge_sdk.comparison.timing import interleaved
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.statistics import median

ROUNDS, FRAMES = 120, 30
MIN_SHARE = 0.97
POLICIES: tuple[Policy, ...] = ("all", "block")


def main() -> None:
    """Print the section, in as many rounds as the command line says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        print(section(Path(name), rounds))


def section(folder: Path, rounds: int = ROUNDS) -> str:
    """Of the page."""
    title = "## Pipelined throughput\n\n"
    cores = len(os.sched_getaffinity(0))
    if not SHARED.is_dir():
        return title + networks.NOT_HERE
    if cores < 2:
        return title + "Not measured: one core only, none to spare for the capture thread."
    return title + (
        f"{networks.MOBILENET}, one thread of {cores} cores; `Runtime.run` over 1280x720 RGB "
        f"frames from memory as fast as they are answered, {rounds} rounds of {FRAMES} frames "
        "of one stream, in turns with bare invokes; the share is that of the same round, with the "
        "95 % interval of its median. `.venv/bin/python tests/benchmarks/pipelined.py` measures "
        "it alone.\n\n"
        + table(
            ("policy", "frames a second [min - max]", "of bare invoke [95 %]", "bar"),
            _rows(networks.bundle(networks.MOBILENET, folder), rounds),
        )
    )


def _rows(bundle: Path, rounds: int) -> list[list[str]]:
    with ExitStack() as stack:
        bare = stack.enter_context(open_recognizer(bundle))
        bare(networks.image())
        calls: dict[str, Callable[[], object]] = {"bare": lambda: _invoke(bare.engine.invoke)}
        for policy in POLICIES:
            runtime = stack.enter_context(Runtime(bundle, threads=1, policy=policy))
            camera = stack.enter_context(FakeCamera(script=repeat(networks.image())))
            results = stack.enter_context(closing(runtime.run(camera)))
            _take(results, DEPTH[policy])
            calls[policy] = partial(_take, results, FRAMES)
        found = interleaved(calls, rounds=rounds, warmup=1)
    times = {name: timing.rounds_ns for name, timing in found.items()}
    rates = {name: [FRAMES / ns * 1e9 for ns in values] for name, values in times.items()}
    rows = [["bare invoke", networks.spread(rates["bare"], 1), "-", "-"]]
    for policy in POLICIES:
        shares = [a / b for a, b in zip(times["bare"], times[policy], strict=True)]
        met = verdict(median(shares) >= MIN_SHARE)
        rate = networks.spread(rates[policy], 1)
        rows.append([policy, rate, networks.interval(shares), f">= {MIN_SHARE:g}: {met}"])
    return rows


def _invoke(invoke: Callable[[], object]) -> None:
    for _ in range(FRAMES):
        invoke()


def _take(results: Iterator[Result], count: int) -> None:
    for _ in range(count):
        next(results)


if __name__ == "__main__":
    main()
