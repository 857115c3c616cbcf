"""`edge-sdk run`: a bundle, a camera and sinks, until the camera ends or somebody says stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_device.cameras import open_camera
from edge_device.cameras.backends import check_spec
from edge_device.run.pipeline import Policy
from edge_device.run.runtime import THREADS, Runtime
from edge_device.sinks import Sink, open_sink
from edge_sdk.engines import AUTO
from edge_sdk.errors import EdgeError
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.inference.golden import unproven_warning
from edge_sdk.results import Result
from edge_sdk.sampling.sampler import Sampler

if TYPE_CHECKING:
    from edge_device.metrics.run_report import RunReport
    from edge_sdk.energy.estimate import Board


class RunResult(NamedTuple):
    """The report, and the error that ended the run early; its message is in the notes too."""

    report: RunReport
    error: EdgeError | None = None


def stream(
    bundle: str | Path,
    camera: str | None,
    *,
    engine: str = AUTO,
    threads: int = THREADS,
    prove: bool = False,
    policy: Policy | None = None,
    min_score: float | None = None,
    deadline_ms: float = 0.0,
    track: bool = False,
    seconds: float = math.inf,
    frames: float = math.inf,
    sinks: Sequence[str | Sink] = (),
    board: Board | None = None,
    samplers: Sequence[Sampler] = (),
    stop: Callable[[], bool] = lambda: False,
    listen: Listener = ignore,
) -> RunResult:
    """Answer about the camera's frames and hand each answer to every sink.

    camera: None is the first that is usable. prove: as for Runtime. sinks: SPECs, or sinks that
    are open; all are closed at the end. listen: gets the warnings.
    What goes wrong before the first answer is raised: EdgeError; CameraError where there is no
    camera. An error after that (the disk of a required
    sink is full) ends the run with the report of what was measured until then; what other sinks
    lost is in the report's notes.
    """
    with ExitStack() as stack:
        for sink in sinks:
            if isinstance(sink, Sink):
                stack.enter_context(sink)
        if camera is None:
            from edge_device.cameras.listing import first_usable, list_cameras

            camera = first_usable(list_cameras())
        check_spec(camera)
        runtime = stack.enter_context(
            Runtime(
                bundle,
                engine,
                threads=threads,
                prove=prove,
                policy=policy,
                min_score=min_score,
                deadline_ms=deadline_ms,
                track=track,
            )
        )
        if line := unproven_warning(runtime.golden):
            listen(Event("warning", message=line))
        source = stack.enter_context(open_camera(camera, inference=runtime.input_size, stop=stop))
        # Last, for opening one may make a file: not for a run that cannot begin.
        opened = [
            stack.enter_context(open_sink(sink, stop=stop)) if isinstance(sink, str) else sink
            for sink in sinks
        ]
        results = runtime.run(source, seconds=seconds, frames=frames, stop=stop, samplers=samplers)
        error = _hand_over(results, runtime, opened)
        report = runtime.report(board=board)
        if error is not None and not report.n:
            raise error
    report = _noted(report, [note for sink in opened for note in sink.notes])
    assert report.camera is not None
    for note in report.camera["notes"]:
        listen(Event("warning", message=note))
    return RunResult(_noted(report, [f"ended by an error: {error}"] if error else []), error)


def _hand_over(
    results: Generator[Result, None, None], runtime: Runtime, sinks: Sequence[Sink]
) -> EdgeError | None:
    """Each answer to every sink, and at the end all closed; the first error."""
    errors = []
    try:
        with closing(results):
            for result in results:
                frame = runtime.frame
                assert frame is not None
                for sink in sinks:
                    sink.write(frame, result)
    except EdgeError as error:
        errors.append(error)
    for sink in sinks:
        try:
            sink.close()
        except EdgeError as error:
            errors.append(error)
    return errors[0] if errors else None


def _noted(report: RunReport, notes: Sequence[str]) -> RunReport:
    assert report.camera is not None
    camera = report.camera.copy()
    camera["notes"] = [*camera["notes"], *notes]
    return replace(report, camera=camera)
