"""`edge-sdk bench`: how fast a bundle answers here, when the next frame is always there.

single-stream   one frame after another; the next begins when the last is answered
offline         all frames are there from the start; as many interpreters as threads, each with one
                thread, share them

Frames are made up, 1280 x 720 RGB, in memory: what is measured is preprocessing from a camera's
usual size, the model, and postprocessing. There is no camera, so no capture, frame age or drops.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from edge_device.cameras.synthetic import Pattern
from edge_device.recorder import Figures, Recorder
from edge_device.report import RunReport, Subject, make_report
from edge_device.runtime import THREADS, open_subject
from edge_device.streaming import warn_unproven
from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError, NotAvailableYet
from edge_sdk.frames import Frame
from edge_sdk.recognizer import Recognizer
from edge_sdk.results import Result
from edge_sdk.statistics import median

SCENARIOS = ("single-stream", "multi-stream", "server", "offline")
FRAME_SIZE = (1280, 720)
FRAMES = 8
"""Different frames in memory, taken in turn: 22 MB, more than a small processor's cache."""

_SHOWN_EVERY_NS = 500_000_000
_HAND_OVER_NS = 20_000_000
"""How long an offline worker gathers results: one by one, handing them over would count."""

Stop = Callable[[], bool]
Say = Callable[[str], object]


def run_bench(
    bundle: str | Path,
    *,
    scenario: str = "single-stream",
    seconds: float = 30.0,
    repeats: int = 1,
    engine: str = "auto",
    threads: int = THREADS,
    stop: Stop = lambda: False,
    progress: Say = lambda _: None,
) -> RunReport:
    """Measure `bundle` for `seconds` after the warm-up, `repeats` times, each on a fresh engine.

    `stop` is asked between frames; what was measured until then is reported. `progress` takes a
    line twice a second, between frames. Answers that are unproven on this engine are warned about
    on stderr.
    Raises NotAvailableYet for a scenario not built yet, ConfigError, and as Runtime does.
    """
    _check(scenario, seconds, repeats)
    frames = made_up_frames()
    pooled = Figures(camera=False)
    recorders: list[Recorder] = []
    while len(recorders) < repeats and not (recorders and stop()):
        with ExitStack() as stack:
            results, subject = _OPENERS[scenario](stack, bundle, engine, threads, frames)
            if not recorders:
                warn_unproven(subject.golden)
            which = f"repeat {len(recorders) + 1} of {repeats}: " if repeats > 1 else ""
            show = partial(_show, progress, which, seconds)
            recorders.append(_measure(results, seconds, pooled, stop, show))
    # A repeat that was stopped within its warm-up counts only where there is nothing else.
    recorders = [recorder for recorder in recorders if recorder.warm] or recorders
    workers = threads if scenario == "offline" else 1
    return _report(scenario, subject, recorders, pooled, workers)


def made_up_frames() -> list[Frame]:
    """FRAMES frames of FRAME_SIZE, RGB; the same every time."""
    pattern = Pattern(*FRAME_SIZE)
    return [Frame(pattern(index * 40), "rgb", index=index) for index in range(FRAMES)]


def _measure(
    results: Iterator[Result],
    seconds: float,
    pooled: Figures,
    stop: Stop,
    show: Callable[[Recorder], object],
) -> Recorder:
    recorder = Recorder(time.monotonic_ns(), camera=False)
    shown_ns = 0
    for result in results:
        counted = recorder.warm
        recorder.add(result)
        if counted:
            pooled.add(result)
        if result.result_ns - shown_ns >= _SHOWN_EVERY_NS:
            shown_ns = result.result_ns
            show(recorder)
        if stop() or (counted and recorder.seconds >= seconds):
            break
    recorder.finish()
    return recorder


def _show(progress: Say, which: str, seconds: float, recorder: Recorder) -> None:
    """For example "repeat 2 of 5: 12 of 30 s, 812 answers"."""
    so_far = f"{recorder.seconds:.0f} of {seconds:g} s, {recorder.figures.n:,} answers"
    progress(which + (so_far if recorder.warm else "warm-up"))


def _single_stream(
    stack: ExitStack, bundle: str | Path, engine: str, threads: int, frames: Sequence[Frame]
) -> tuple[Iterator[Result], Subject]:
    recognizer, subject = open_subject(bundle, engine, threads=threads)
    stack.callback(recognizer.close)
    return map(recognizer, cycle(frames)), subject


def _offline(
    stack: ExitStack, bundle: str | Path, engine: str, threads: int, frames: Sequence[Frame]
) -> tuple[Iterator[Result], Subject]:
    recognizers: list[Recognizer] = []
    for _ in range(threads):
        recognizer, subject = open_subject(bundle, engine, threads=1)
        stack.callback(recognizer.close)
        recognizers.append(recognizer)
    return stack.enter_context(Workers(recognizers, frames)), subject


class Workers(Iterator[Result]):
    """Iterate over it for the results of several recognizers, each in a thread of its own.

    What a recognizer raises ends the iteration and is raised there. Leaving the `with` ends the
    threads.
    """

    def __init__(self, recognizers: Sequence[Recognizer], frames: Sequence[Frame]) -> None:
        self._frames = frames
        self._ready: queue.Queue[list[Result] | BaseException] = queue.Queue(2 * len(recognizers))
        self._over = threading.Event()
        self._results = self._given()
        self._threads = [
            threading.Thread(target=self._work, args=(r,), name="edge-offline", daemon=True)
            for r in recognizers
        ]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        while any(thread.is_alive() for thread in self._threads):
            # A worker may wait for room: make some until all have seen that it is over.
            while not self._ready.empty():
                self._ready.get_nowait()
            for thread in self._threads:
                thread.join(0.01)

    def __next__(self) -> Result:
        return next(self._results)

    def _given(self) -> Iterator[Result]:
        while True:
            ready = self._ready.get()
            if isinstance(ready, BaseException):
                raise ready
            yield from ready

    def _work(self, recognizer: Recognizer) -> None:
        frames = cycle(self._frames)
        try:
            while not self._over.is_set():
                results = [recognizer(next(frames))]
                while results[-1].result_ns - results[0].result_ns < _HAND_OVER_NS:
                    results.append(recognizer(next(frames)))
                self._ready.put(results)
        except BaseException as error:
            self._ready.put(error)


_OPENERS: dict[str, Callable[..., tuple[Any, Subject]]] = {
    "single-stream": _single_stream,
    "offline": _offline,
}


def _report(
    scenario: str, subject: Subject, recorders: Sequence[Recorder], pooled: Figures, workers: int
) -> RunReport:
    width, height = FRAME_SIZE
    size = {"width": width, "height": height, "color": "rgb", "frames": FRAMES}
    return make_report(
        "bench",
        scenario,
        subject,
        recorders,
        figures=pooled if len(recorders) > 1 else None,
        extensions={
            "workers": workers,
            "input": {"kind": "synthetic", **size},
            "repeats": repeats_detail(recorders),
        },
    )


def repeats_detail(recorders: Sequence[Recorder]) -> dict[str, Any]:
    """Each repeat's figures, and of each figure the median with its range over the repeats."""
    latencies = [recorder.figures.latency.summary() for recorder in recorders]
    rates = [r.figures.n / r.seconds if r.seconds else None for r in recorders]
    spread = {
        f"latency_{name}": _spread([latency[name] for latency in latencies])
        for name in ("p50", "p90", "p99")
    }
    runs = [
        {
            **{"n": recorder.figures.n, "seconds": recorder.seconds, "fps": rate},
            **{"latency": latency, "warmup": recorder.warmup, "throttled": recorder.throttled},
            "timeline": [row.as_dict() for row in recorder.timeline.rows],
        }
        for recorder, rate, latency in zip(recorders, rates, latencies, strict=True)
    ]
    return {"count": len(runs), "fps": _spread(rates), **spread, "runs": runs}


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """{median, low, high}; None where a repeat has no value."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return {"median": median(known), "low": min(known), "high": max(known)}


def _check(scenario: str, seconds: float, repeats: int) -> None:
    if scenario not in SCENARIOS:
        raise ConfigError(f"unknown scenario {scenario!r}", fix=nearest(scenario, SCENARIOS))
    if scenario not in _OPENERS:
        raise NotAvailableYet(
            f"scenario {scenario} is not available yet", fix=f"use one of: {', '.join(_OPENERS)}"
        )
    if not seconds > 0 or repeats < 1:
        raise ConfigError(
            f"{repeats} repeats of {seconds} s", fix="use 1 repeat or more, of more than 0 s"
        )
