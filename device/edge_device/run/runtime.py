"""The runtime: a bundle's model, opened and proven, answering about a camera's frames."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_device.cameras.base import Camera
from edge_device.metrics.recorder import Recorder
from edge_device.metrics.subject import Subject
from edge_device.run.pipeline import Pipeline, Policy, check_policy
from edge_sdk.bundle.manifest import Manifest
from edge_sdk.bundle.reading import Bundle
from edge_sdk.engines import AUTO
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.inference.recognizer import Recognizer, require_images
from edge_sdk.results import Result
from edge_sdk.sampling.sampler import Sampler
from edge_sdk.tasks import task_of

if TYPE_CHECKING:
    from edge_device.metrics.run_report import RunReport
    from edge_device.run.sequences import SequenceRecognizer
    from edge_device.run.tracking import Tracker
    from edge_sdk.documents.run import CameraRecord
    from edge_sdk.energy.estimate import Board

THREADS = 2
"""Threads of one inference, by default."""


class Runtime:
    """A bundle ready to answer.

        with Runtime("doors-1.0.0.edge") as runtime, open_camera("folder:images") as camera:
            for result in runtime.run(camera):
                ...
        print(runtime.report().latency.p99)

    engine: "auto" or a name of `edge-sdk engines`. threads: of one inference. prove: check all
    golden samples, also where they matched before. policy:
    latest | all | block; None is latest, or block where the camera is unpaced. min_score: classes
    below it are left out; None takes the manifest's. deadline_ms: the frame age above which an
    answer is late; 0 means none. track: give what a detector finds numbers that stay from frame to
    frame (tracking.Tracker; each run counts from 1).
    One run at a time. Raises EdgeError: FileError, BundleError, ModelError, MissingPackage,
    GateFailed where the golden outputs do not match, ConfigError for an option.
    """

    def __init__(
        self,
        bundle_path: str | Path,
        engine: str = AUTO,
        *,
        threads: int = THREADS,
        prove: bool = False,
        policy: Policy | None = None,
        min_score: float | None = None,
        deadline_ms: float = 0.0,
        track: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.policy = check_policy(policy)
        if not deadline_ms >= 0:
            raise ConfigError(f"deadline_ms is {deadline_ms}", fix="use 0 for none, or more")
        self.deadline_ms = deadline_ms
        self._now_ns = now_ns
        self._camera: Camera | None = None
        self._pipeline: Pipeline | None = None
        self._frame: Frame | None = None
        self._sequences: SequenceRecognizer | None = None
        self._used_policy = self.policy
        self._recorder: Recorder | None = None
        self._tracks = track
        self._tracker: Tracker | None = None
        self._recognizer, self._subject = open_subject(
            bundle_path,
            engine,
            threads=threads,
            prove=prove,
            min_score=min_score,
            now_ns=now_ns,
            sequences=True,
        )
        task = task_of(self.manifest)
        if track and not task.finds_objects:
            self.close()
            raise ConfigError(
                f"{self.manifest.name} is {task.kind}, not a detector: there is nothing to track",
                fix="leave --track out, or give a detector",
            )

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self._subject.manifest

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of the images that the model is fed, in pixels."""
        height, width = self.manifest.input.tensor.shape[-3:-1]
        return width, height

    @property
    def golden(self) -> GoldenCheck:
        """The outcome of the bundle's golden samples on this machine."""
        return self._subject.golden

    @property
    def frame(self) -> Frame | None:
        """The one that the newest result is about (of a sequence, its last); None before that."""
        return self._frame

    def run(
        self,
        camera: Camera,
        *,
        seconds: float = math.inf,
        frames: float = math.inf,
        stop: Callable[[], bool] = lambda: False,
        samplers: Sequence[Sampler] = (),
    ) -> Generator[Result, None, None]:
        """One result for each frame that is answered, as they come.

        Of a sequence, one for each window that is due; with the policy "latest" those that newer
        frames have overtaken are left out and counted as drops, but no frame is.
        Ends with the camera, after `seconds` or `frames` answers, soon after `stop` (asked again
        and again, while frames are awaited too) says True, or by leaving the loop.
        samplers: run from the first answer on, for this run alone; a Thermal is added.
        Raises CameraError, EngineError; ConfigError where the bundle wants features, not frames, or
        seconds or frames are not above 0.
        """
        _require_frames(self.manifest)
        if not seconds > 0 or not frames >= 1:
            raise ConfigError(
                f"a run of {seconds} seconds and {frames} frames",
                fix="use more than 0 seconds and at least 1 frame, or leave them out",
            )
        self._tracker, self._sequences = self._new_state()
        started = self._now_ns()
        until = started + seconds * 1e9
        self._camera, self._frame = camera, None
        recorder = self._recorder = Recorder(
            started, deadline_ms=self.deadline_ms, samplers=samplers
        )

        def over() -> bool:
            return stop() or self._now_ns() >= until

        pipeline = Pipeline(
            camera,
            self._queue(camera),
            preparer=self._recognizer.preparer(),
            stop=over,
            now_ns=self._now_ns,
        )
        self._pipeline = pipeline
        try:
            for result in self._answers(pipeline):
                recorder.add(result, self._drops(pipeline))
                yield result
                if recorder.results >= frames:
                    return
        finally:
            recorder.finish(self._now_ns(), self._drops(pipeline))
            pipeline.close()

    def report(self, board: Board | None = None) -> RunReport:
        """The report of the last run, or of the one under way.

        board: adds figures labelled MODEL for it (edge_hardware.load_board("rpi4")).
        """
        from edge_device.metrics.run_report import (
            Identity,
            make_report,
        )  # not before the first answer

        estimate = None
        if board is not None:
            from edge_sdk.energy.estimate import energy_model

            estimate = energy_model(board, self.manifest.plain.macs)
        return make_report(
            Identity("run", "camera", self._subject),
            [self._recorder or Recorder(self._now_ns(), deadline_ms=self.deadline_ms)],
            camera=self._about_camera(),
            estimate=estimate,
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

    def _new_state(self) -> tuple[Tracker | None, SequenceRecognizer | None]:
        """New ones for a run, where it wants them; most runs want neither."""
        tracker = sequences = None
        if self._tracks:
            from edge_device.run.tracking import Tracker

            tracker = Tracker()
        if self.manifest.sequence:
            from edge_device.run.sequences import SequenceRecognizer

            sequences = SequenceRecognizer(self._recognizer)
        return tracker, sequences

    def _queue(self, camera: Camera) -> Policy:
        """The pipeline's policy. A sequence needs every frame, whichever windows are answered."""
        self._used_policy = self.policy or ("block" if camera.unpaced else "latest")
        return "all" if self._newest_window else self._used_policy

    def _answers(self, pipeline: Pipeline) -> Iterator[Result]:
        for frame, capture_ns, prepared in pipeline:
            self._frame = frame
            if self._sequences is None:
                answer = self._recognizer(frame, capture_ns=capture_ns, prepared=prepared)
                yield self._marked(answer)
                continue
            behind = self._newest_window and pipeline.waiting > 0
            result = self._sequences.push(frame, capture_ns=capture_ns, behind=behind)
            if result is not None:
                yield self._marked(result)

    @property
    def _newest_window(self) -> bool:
        return self._sequences is not None and self._used_policy == "latest"

    def _marked(self, result: Result) -> Result:
        if self._tracker is not None:
            result = self._tracked(result, self._tracker)
        late = 0 < self.deadline_ms < result.frame_age_ms
        return replace(result, late=True) if late else result

    def _tracked(self, result: Result, tracker: Tracker) -> Result:
        """With numbers; what they cost is part of the postprocess."""
        started = self._now_ns()
        detections = tracker.update(result.detections or (), result.index)
        done = self._now_ns()
        stages = result.stages
        stages = replace(stages, postprocess=stages.postprocess + done - started)
        return replace(result, detections=detections, result_ns=done, stages=stages)

    def _drops(self, pipeline: Pipeline) -> int:
        """Frames, or windows of a sequence, that gave way to newer ones."""
        return pipeline.drops + (self._sequences.skipped if self._sequences else 0)

    @property
    def _resized_by(self) -> Literal["cv2", "isp"]:
        """The scaler of frames to the model's size: "isp", the camera's processor, or "cv2"."""
        frame = self._frame
        if frame is None or frame.image is None:
            return "cv2"
        return "isp" if (frame.width, frame.height) == self.input_size else "cv2"

    def _about_camera(self) -> CameraRecord:
        camera = self._camera
        return {
            "camera": camera.spec.text if camera else None,
            "replayed": camera.replayed if camera else None,
            "policy": self._used_policy,
            "unreadable": camera.unreadable if camera else 0,
            "reopened": camera.reopened if camera else 0,
            "missed": camera.missed if camera else 0,
            "preprocess": {"resized_by": self._resized_by},
            "notes": [*(camera.notes if camera else ()), *self._too_short()],
        }

    def _too_short(self) -> list[str]:
        """A note where a sequence ended before its first answer."""
        sequence = self.manifest.sequence
        if sequence is None or self._sequences is None or self._sequences.steps >= sequence.frames:
            return []
        return [
            f"no answer: the bundle needs {sequence.frames} frames for the first, but the camera "
            f"delivered {self._sequences.steps}"
        ]


def _require_frames(manifest: Manifest) -> None:
    if manifest.input.preprocess is None:
        raise ConfigError(
            f"{manifest.name} takes rows of features, not camera frames",
            fix="feed them from Python: edge_device.SequenceRecognizer(recognizer).push(row)",
        )


def open_subject(
    bundle_path: str | Path,
    engine: str,
    *,
    threads: int,
    prove: bool = False,
    min_score: float | None = None,
    now_ns: Callable[[], int] = time.monotonic_ns,
    sequences: bool = False,
) -> tuple[Recognizer, Subject]:
    """A bundle's recognizer, and what a report says about it. sequences: whether it may be one of
    task "sequence". Raises as Runtime does.
    """
    with Bundle.open(bundle_path, verify=False) as bundle:  # the recognizer does, if it must
        if not sequences:
            require_images(bundle.manifest.interface)
        recognizer = Recognizer.open(
            bundle, engine, threads=threads, prove=prove, min_score=min_score, now_ns=now_ns
        )
        assert recognizer.golden is not None
        subject = Subject(
            bundle.identity, bundle.build, recognizer.info, recognizer.golden, bundle.manifest
        )
    return recognizer, subject
