"""`edge-sdk run`: a bundle, a camera and sinks, until the camera ends or somebody says stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from edge_device.cameras import check_spec, open_camera
from edge_device.pipeline import Policy
from edge_device.report import RunReport
from edge_device.runtime import THREADS, Runtime
from edge_device.sinks import open_sink
from edge_sdk.console import warn
from edge_sdk.errors import CameraError
from edge_sdk.estimate import Board


def stream(
    bundle: str | Path,
    camera: str | None,
    *,
    engine: str = "auto",
    threads: int = THREADS,
    policy: Policy | None = None,
    min_score: float | None = None,
    seconds: float = math.inf,
    frames: float = math.inf,
    sinks: Sequence[str] = (),
    board: Board | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Answer about the camera's frames and hand each result to every sink.

    What can be wrong is found before the first frame. Raises EdgeError; CameraError where no
    camera is named, for there is none that could be found by itself yet.
    """
    if camera is None:
        raise CameraError(
            "no camera is named, and none can be found by itself yet",
            fix="name one with --camera, for example --camera folder:images?fps=30 or "
            "--camera video:film.mp4",
        )
    check_spec(camera)
    with ExitStack() as stack:
        runtime = stack.enter_context(
            Runtime(bundle, engine, threads=threads, policy=policy, min_score=min_score)
        )
        if runtime.golden.passed is None:
            warn(f"answers are unproven on this engine: {runtime.golden.because}")
        source = stack.enter_context(open_camera(camera))
        # Last, for opening one may replace a file: not for a run that cannot begin.
        opened = [stack.enter_context(open_sink(spec)) for spec in sinks]
        for result in runtime.run(source, seconds=seconds, frames=frames, stop=stop):
            for sink in opened:
                sink.write(result)
        report = runtime.report(board=board)
    for note in source.notes:
        warn(note)
    return report
