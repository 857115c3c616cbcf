"""`edge-sdk bench`: how fast a bundle answers here, when the next frame is always there.

single-stream   one frame after another; the next begins when the last is answered
multi-stream    queries of several frames; the next is asked when the last is answered
server          frames come at random (Poisson); the highest rate that holds a latency bound
offline         all frames are there from the start; as many interpreters as threads, each with one
                thread, share them

Frames are made up, 1280 x 720 RGB, in memory: what is measured is preprocessing from a camera's
usual size, the model, and postprocessing. There is no camera, so no capture, frame age or drops.
The names and what they mean are those of MLPerf's LoadGen; edge_device.mlperf has its rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_device.bench.loads import FRAME_SIZE, FRAMES, Stop, made_up_frames
from edge_device.bench.scenarios import SCENARIOS, Options, Scenario
from edge_device.bench.soak import Soak
from edge_device.metrics.mlperf import SAMPLES_PER_QUERY
from edge_device.metrics.recorder import Recorder, RunStatistics, with_thermal
from edge_device.metrics.run_report import Identity, Percentiles, RunReport, make_report
from edge_device.metrics.subject import Subject
from edge_device.metrics.warmup import UntilSteady
from edge_device.run.runtime import THREADS
from edge_sdk.configuration import nearest
from edge_sdk.engines import AUTO
from edge_sdk.errors import ConfigError
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.inference.golden import unproven_warning
from edge_sdk.results import Result
from edge_sdk.sampling.sampler import Sampler
from edge_sdk.statistics import median

if TYPE_CHECKING:
    from edge_sdk.documents.run import Load, Repeat, Repeats, Spread

SECONDS = 30.0

_SHOWN_EVERY_NS = 500_000_000


def run_bench(
    bundle: str | Path,
    *,
    scenario: str = "single-stream",
    seconds: float | None = None,
    repeats: int = 1,
    engine: str = AUTO,
    threads: int = THREADS,
    prove: bool = False,
    latency_bound_ms: float | None = None,
    streams: int = SAMPLES_PER_QUERY,
    soak: bool = False,
    samplers: Sequence[Sampler] = (),
    stop: Stop = lambda: False,
    listen: Listener = ignore,
) -> RunReport:
    """Measure `bundle` for `seconds` after the warm-up, `repeats` times, each on a fresh engine.

    seconds: None is SECONDS, of a soak no end. latency_bound_ms: of server; None takes the bundle's
    budget.latency_ms. streams: samples of a multi-stream query. soak: also watch memory and open
    files. samplers: run in every repeat; a Thermal is added where there is none.
    prove: as for Runtime.
    `stop` is asked between frames; what was measured until then is reported. `listen` is told
    twice a second, between frames, and once where answers are unproven on this engine.
    Raises ConfigError for an option, or where server holds its bound at no rate; and as Runtime
    does.
    """
    seconds = (math.inf if soak else SECONDS) if seconds is None else seconds
    _check(scenario, seconds, repeats, soak)
    _check_used(scenario, latency_bound_ms, streams)
    given = (latency_bound_ms, streams, stop, listen)
    load = SCENARIOS[scenario](
        Options(bundle, engine, threads, made_up_frames(), *given, prove=prove)
    )
    watched = with_thermal((*samplers, Soak()) if soak else samplers)
    subject: Subject | None = None
    pooled: RunStatistics | None = None
    recorders: list[Recorder] = []
    while len(recorders) < repeats and not (recorders and stop()):
        which = f"repeat {len(recorders) + 1} of {repeats}" if repeats > 1 else ""
        show = partial(_show, listen, which, seconds)
        with ExitStack() as stack:
            opened = load.open(stack)
            if subject is None and (line := unproven_warning(opened.golden)):
                listen(Event("warning", message=line))
            subject = opened
            if repeats > 1 and not recorders:
                pooled = RunStatistics(load.bound_ms, camera=False, latency=load.latency)
            results = load.results(stack, len(recorders))
            recorder = _measure(load, results, seconds, pooled, stop, show, watched)
        # Only of the first repeat can it be said that it does not stand: `pooled` begins with it.
        if recorders or stop() or load.accept(recorder.statistics):
            recorders.append(recorder)
        else:
            for sampler in watched:
                sampler.reset()
    # A repeat that was stopped within its warm-up counts only where there is nothing else.
    recorders = [recorder for recorder in recorders if recorder.warm] or recorders
    assert subject is not None
    return _report(load, subject, recorders, pooled)


def _measure(
    load: Scenario,
    results: Iterator[Result],
    seconds: float,
    pooled: RunStatistics | None,
    stop: Stop,
    show: Callable[[Recorder], object],
    samplers: Sequence[Sampler],
) -> Recorder:
    recorder = Recorder(
        load.options.now_ns(),
        deadline_ms=load.bound_ms,
        camera=False,
        latency=load.latency,
        warmup=UntilSteady(),
        samplers=samplers,
    )
    shown_ns = 0
    try:
        for result in results:
            counted = recorder.warm
            recorder.add(result)
            if counted and pooled is not None:
                pooled.add(result)
            if result.result_ns - shown_ns >= _SHOWN_EVERY_NS:
                shown_ns = result.result_ns
                show(recorder)
            if stop() or (counted and recorder.seconds >= seconds):
                break
    finally:
        recorder.finish()
    return recorder


def _show(listen: Listener, which: str, seconds: float, recorder: Recorder) -> None:
    """For example "repeat 2 of 5: 12 of 30 s, 812 answers"."""
    wanted = "" if math.isinf(seconds) else f" of {seconds:g}"
    so_far = f"{recorder.seconds:.0f}{wanted} s, {recorder.statistics.n:,} answers"
    listen(Event("progress", which, so_far if recorder.warm else "warm-up"))


def _report(
    load: Scenario,
    subject: Subject,
    recorders: Sequence[Recorder],
    pooled: RunStatistics | None,
) -> RunReport:
    statistics = pooled if pooled is not None and len(recorders) > 1 else recorders[0].statistics
    width, height = FRAME_SIZE
    about: Load = {
        "workers": load.workers,
        "input": {
            "kind": "synthetic",
            "width": width,
            "height": height,
            "color": "rgb",
            "frames": FRAMES,
        },
        "repeats": repeats_detail(recorders),
    }
    load.add_detail(about, statistics)
    for sampler in recorders[0].samplers:
        if isinstance(sampler, Soak):
            about["soak"] = sampler.document()
    report = make_report(
        Identity("bench", load.name, subject),
        recorders,
        load=about,
        statistics=statistics,
        streams=load.streams,
    )
    mlperf = report.verdict.mlperf.copy()
    mlperf["metric"], mlperf["value"] = load.metric, load.value(statistics, report.fps)
    return replace(report, verdict=replace(report.verdict, mlperf=mlperf))


def repeats_detail(recorders: Sequence[Recorder]) -> Repeats:
    """Each repeat's figures, and of each figure the median with its range over the repeats."""
    runs = [_repeat(recorder) for recorder in recorders]
    return {
        "count": len(runs),
        "fps": _spread([one["fps"] for one in runs]),
        "latency_p50": _spread([one["latency"]["p50"] for one in runs]),
        "latency_p90": _spread([one["latency"]["p90"] for one in runs]),
        "latency_p99": _spread([one["latency"]["p99"] for one in runs]),
        "runs": runs,
    }


def _repeat(recorder: Recorder) -> Repeat:
    statistics, seconds = recorder.statistics, recorder.seconds
    return {
        "n": statistics.n,
        "seconds": seconds,
        "fps": statistics.n / seconds if seconds else None,
        "latency": Percentiles.of(statistics.latency).as_dict(),
        "warmup": recorder.warmup,
        "throttled": recorder.throttled,
        "timeline": [row.as_dict() for row in recorder.timeline.rows],
    }


def _spread(values: Sequence[float | None]) -> Spread | None:
    """{median, low, high}; None where a repeat has no value."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return {"median": median(known), "low": min(known), "high": max(known)}


def _check(scenario: str, seconds: float, repeats: int, soak: bool) -> None:
    if scenario not in SCENARIOS:
        raise ConfigError(f"unknown scenario {scenario!r}", fix=nearest(scenario, SCENARIOS))
    if not seconds > 0 or repeats < 1:
        raise ConfigError(
            f"{repeats} repeats of {seconds} s", fix="use at least 1 repeat, longer than 0 s"
        )
    if soak and repeats > 1:
        raise ConfigError(f"--soak runs once, not {repeats} times", fix="leave out --repeats")


def _check_used(scenario: str, latency_bound_ms: float | None, streams: int) -> None:
    """Raises ConfigError for what only another scenario looks at."""
    bound = "" if latency_bound_ms is None else f"a latency bound of {latency_bound_ms:g} ms"
    queries = "" if streams == SAMPLES_PER_QUERY else f"queries of {streams} frames"
    for given, option, only in (
        (bound, "--latency-bound", "server"),
        (queries, "--streams", "multi-stream"),
    ):
        if given and scenario != only:
            raise ConfigError(
                f"{scenario} does not use {given}",
                fix=f"leave {option} out, or use --scenario {only}",
            )
