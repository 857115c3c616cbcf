"""The runtime: a bundle's model, opened and proven, answering about a camera's frames."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from edge_device.cameras import Camera
from edge_device.pipeline import Pipeline, Policy, check_policy
from edge_device.recorder import Recorder
from edge_device.report import RunReport, Subject, make_report
from edge_sdk.bundle import Bundle
from edge_sdk.errors import ConfigError
from edge_sdk.estimate import Board, energy_model
from edge_sdk.golden import GoldenCheck
from edge_sdk.manifest import Manifest
from edge_sdk.recognizer import Recognizer, require_pictures
from edge_sdk.results import Result

THREADS = 2
"""Threads of one inference where nobody says otherwise."""


class Runtime:
    """A bundle ready to answer.

        with Runtime("doors-1.0.0.edge") as runtime, open_camera("folder:images") as camera:
            for result in runtime.run(camera):
                ...
        print(runtime.report().latency.p99)

    engine: "auto" (litert) or a name of `edge-sdk engines`. threads: of one inference. policy:
    latest | all | block; None is latest, or block where the camera is unpaced. min_score: classes
    below it are left out; None takes the manifest's. deadline_ms: the frame age above which an
    answer is late; 0 means none.
    One run at a time. Raises EdgeError: FileError, BundleError, ModelError, MissingPackage,
    GateFailed where the golden outputs do not match, ConfigError for an option.
    """

    def __init__(
        self,
        bundle_path: str | Path,
        engine: str = "auto",
        *,
        threads: int = THREADS,
        policy: Policy | None = None,
        min_score: float | None = None,
        deadline_ms: float = 0.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.policy = check_policy(policy)
        if not deadline_ms >= 0:
            raise ConfigError(f"deadline_ms is {deadline_ms}", fix="use 0 for none, or more")
        self.deadline_ms = deadline_ms
        self._now_ns = now_ns
        self._camera: Camera | None = None
        self._pipeline: Pipeline | None = None
        self._recorder = Recorder(now_ns(), deadline_ms=deadline_ms)
        self._recognizer, self._subject = open_subject(
            bundle_path, engine, threads=threads, min_score=min_score, now_ns=now_ns
        )

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about its model."""
        return self._recognizer.manifest

    @property
    def golden(self) -> GoldenCheck:
        """How the bundle's golden samples came out here."""
        return self._subject.golden

    def run(
        self,
        camera: Camera,
        *,
        seconds: float = math.inf,
        frames: float = math.inf,
        stop: Callable[[], bool] = lambda: False,
    ) -> Generator[Result, None, None]:
        """One result for each frame that is answered, as they come.

        Ends with the camera, after `seconds` or `frames` answers, soon after `stop` (asked again
        and again, while frames are awaited too) says True, or by leaving the loop.
        Raises CameraError, EngineError.
        """
        started = self._now_ns()
        until = started + seconds * 1e9
        self._camera = camera
        recorder = self._recorder = Recorder(started, deadline_ms=self.deadline_ms)

        def over() -> bool:
            return stop() or self._now_ns() >= until

        pipeline = Pipeline(camera, self.policy, stop=over, now_ns=self._now_ns)
        self._pipeline = pipeline
        try:
            for frame, capture_ns in pipeline:
                result = self._recognizer(frame, capture_ns=capture_ns)
                recorder.add(result, pipeline.drops)
                yield result
                if recorder.results >= frames:
                    return
        finally:
            recorder.finish(self._now_ns(), pipeline.drops)
            pipeline.close()

    def report(self, board: Board | None = None) -> RunReport:
        """The report of the last run, or of the one under way.

        board: adds figures labelled MODEL for it (edge_hardware.load_board("rpi4")).
        """
        estimate = energy_model(board, self.manifest.models["litert"].macs) if board else None
        return make_report(
            "run",
            "camera",
            self._subject,
            [self._recorder],
            estimate=estimate,
            extensions=self._about_camera(),
        )

    def close(self) -> None:
        """End what runs and close the engine. Twice is fine."""
        if self._pipeline is not None:
            self._pipeline.close()
        self._recognizer.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _about_camera(self) -> dict[str, Any]:
        camera, pipeline = self._camera, self._pipeline
        return {
            "camera": camera.spec.text if camera else None,
            "replayed": camera.replayed if camera else None,
            "policy": pipeline.policy if pipeline else self.policy,
            "unreadable": camera.unreadable if camera else 0,
            "notes": list(camera.notes) if camera else [],
        }


def open_subject(
    bundle_path: str | Path,
    engine: str,
    *,
    threads: int,
    min_score: float | None = None,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> tuple[Recognizer, Subject]:
    """A bundle's recognizer, and what a report says about it. Raises as Runtime does."""
    with Bundle.open(bundle_path) as bundle:
        require_pictures(bundle.manifest)
        name = "litert" if engine == "auto" else engine
        recognizer = Recognizer.open(
            bundle, name, threads=threads, min_score=min_score, now_ns=now_ns
        )
        assert recognizer.golden is not None
        subject = Subject(bundle.identity, bundle.build, recognizer.info, recognizer.golden)
    return recognizer, subject
