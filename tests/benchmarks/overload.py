"""A camera that is faster than the model: 60 frames a second, 20 ms an invoke, policy latest.

The invoke is the shipped engine `fake`, which sleeps: it takes as long on every machine.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import networks
import numpy as np
from builds import table, verdict

from edge_device import open_camera
from edge_device.run.pipeline import Pipeline
from edge_sdk import Bundle, Recognizer, Result, open_engine
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.statistics import median

ROUNDS = 5
FPS, FRAMES, INVOKE_S = 60, 600, 0.020
MAX_EXTRA_MS = 3.0
MAX_LOST = 0.01
_WARM_UP = 20


@dataclass(frozen=True)
class Run:
    """One run over FRAMES frames. Times in ms; limit: frames a second if only the invoke took time.
    beyond: mean of preprocess and postprocess. drops: as the pipeline counted them; missing: frames
    that no answer was about.
    """

    age_p95: float
    invoke_p95: float
    fps: float
    limit: float
    beyond: float
    drops: int
    missing: int

    @property
    def oldest(self) -> float:
        """The frame age that p95 may reach, ms."""
        return self.invoke_p95 + 1000 / FPS + MAX_EXTRA_MS

    @property
    def slowest(self) -> float:
        """The answers a second that it may fall to."""
        return self.limit * (1 - MAX_LOST)


def main() -> None:
    """Print the section, in as many rounds as the command line says."""
    with tempfile.TemporaryDirectory() as name:
        print(section(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))


def section(folder: Path, rounds: int = ROUNDS) -> str:
    """Of the page."""
    bundle = networks.tiny(folder, (224, 224, 3))
    runs = [_run(bundle) for _ in range(rounds)]
    rows = [
        [
            f"{run.age_p95:.2f}",
            f"<= {run.oldest:.2f}: {verdict(run.age_p95 <= run.oldest)}",
            f"{run.fps:.2f}",
            f">= {run.slowest:.2f}: {verdict(run.fps >= run.slowest)}",
            f"{run.drops}",
            f"{run.missing}: {verdict(run.drops == run.missing)}",
        ]
        for run in runs
    ]
    over = median([run.age_p95 - run.oldest + MAX_EXTRA_MS for run in runs])
    lost = median([1 - run.fps / run.limit for run in runs])
    beyond = median([run.beyond for run in runs])
    return (
        f"## Overload\n\nA camera of {FPS} frames a second (1280x720, made up) and an invoke of "
        f"{1000 * INVOKE_S:g} ms (engine `fake`, asleep for that long), policy latest, "
        f"{rounds} runs of {FRAMES} frames. The age may exceed the invoke's p95 by one frame "
        f"period and {MAX_EXTRA_MS:g} ms; the limit is 1 / the invoke's mean, less "
        f"{MAX_LOST:.0%}; missing are the frames that no answer was about. "
        "`.venv/bin/python tests/benchmarks/overload.py` measures it alone.\n\n"
        + table(("frame age p95 ms", "bar", "answers a second", "bar", "drops", "missing"), rows)
        + f"\n\nMedians: the age exceeds invoke and frame period by {over:.2f} ms; {lost:.2%} of "
        f"the limit lost; preprocess and postprocess take {beyond:.2f} ms. On a driven clock age "
        "and drops are exact: tests/device/test_pipeline.py."
    )


def _run(path: Path) -> Run:
    spec = f"synthetic?fps={FPS}&width=1280&height=720&frames={FRAMES}"
    results: list[Result] = []
    with (
        _recognizer(path) as recognizer,
        open_camera(spec) as camera,
        Pipeline(camera, "latest", preparer=recognizer.preparer()) as pipeline,
    ):
        for frame, capture_ns, prepared in pipeline:
            results.append(recognizer(frame, capture_ns=capture_ns, prepared=prepared))
        drops = pipeline.drops
    missing = FRAMES - len({result.index for result in results})
    counted = results[_WARM_UP:-1]  # the last answer waits for no next frame
    invokes = [result.stages.invoke / 1e6 for result in counted]
    seconds = (counted[-1].result_ns - counted[0].result_ns) / 1e9
    return Run(
        age_p95=float(np.percentile([result.frame_age_ms for result in counted], 95)),
        invoke_p95=float(np.percentile(invokes, 95)),
        fps=(len(counted) - 1) / seconds,
        limit=1000 / float(np.mean(invokes)),
        beyond=float(np.mean([result.stages.latency_ns / 1e6 for result in counted]))
        - float(np.mean(invokes)),
        drops=drops,
        missing=missing,
    )


def _recognizer(path: Path) -> Recognizer:
    """The bundle's, on the engine that sleeps."""
    with Bundle.open(path) as bundle:
        engine = open_engine("fake", bundle.model())
        assert isinstance(engine, FakeEngine)
        engine.invoke_s = INVOKE_S
        return Recognizer(bundle.manifest.interface, bundle.labels, engine)


if __name__ == "__main__":
    main()
