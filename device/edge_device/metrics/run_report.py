"""The report of a run or a benchmark: the run and bench documents of docs/contracts.md.

Every number is measured or None. What is missing for a number to count is said beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from edge_device.metrics.machine import machine_facts
from edge_device.metrics.mlperf import SAMPLES_PER_QUERY, mlperf
from edge_device.metrics.recorder import Figures, Recorder, chart_bins
from edge_sdk.bundle.manifest import Manifest
from edge_sdk.engines import EngineInfo
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.sampling.sampler import Reason, Sampler
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

if TYPE_CHECKING:
    from edge_sdk.documents.common import BundleIdentity
    from edge_sdk.documents.run import (
        Bench,
        CameraRecord,
        Course,
        EnergyMeasured,
        InvalidCode,
        Latencies,
        Load,
        Measurement,
        MlperfVerdict,
        Run,
        Stages,
        StageTimes,
        ThermalRecord,
        TimelineRow,
    )
    from edge_sdk.documents.run import Warmup as WarmupRecord
    from edge_sdk.energy.estimate import Estimate

MIN_SECONDS = 10.0
MIN_SAMPLES = MINIMUM_SAMPLES["p99"]


@dataclass(frozen=True)
class Percentiles:
    """In ms; None below the sample counts of edge_sdk.statistics.MINIMUM_SAMPLES."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, histogram: Histogram) -> Percentiles:
        """Those of a histogram in ns."""
        return cls(**histogram.summary())

    def as_dict(self) -> Latencies:
        """The JSON form."""
        return {
            "p50": self.p50,
            "p90": self.p90,
            "p95": self.p95,
            "p99": self.p99,
            "p999": self.p999,
            "max": self.max,
        }


@dataclass(frozen=True)
class Subject:
    """What was measured: a bundle with its build record, on an engine, with the golden check."""

    bundle: BundleIdentity
    build: Mapping[str, Any]
    engine: EngineInfo
    golden: GoldenCheck
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The outcome of a run ("run") or of a benchmark ("bench").

    n: answers counted, after the warm-up. seconds: the time they took. drops: frames that gave way
    to newer ones in that time; None without a camera. thermal: as edge_hardware.Thermal documents
    it. energy: from a power meter; None without one. mlperf: as edge_device.metrics.mlperf judges
    it. estimate: MODEL energy for a board. command: the command line that made it, without what
    changes nothing measured; None from Python. course: warm-up, timeline and histograms. camera: of
    a run; load: of a benchmark.
    """

    kind: Literal["run", "bench"]
    scenario: str
    subject: Subject
    n: int
    seconds: float
    drops: int | None
    deadline_ms: float
    deadline_misses: int | None
    latency: Percentiles
    frame_age: Percentiles
    stages: Stages
    thermal: ThermalRecord
    invalid: Sequence[Reason]
    mlperf: MlperfVerdict
    course: Course
    camera: CameraRecord | None = None
    load: Load | None = None
    energy: EnergyMeasured | None = None
    estimate: Estimate | None = None
    command: Sequence[str] | None = None

    @property
    def fps(self) -> float | None:
        """Answers a second; None without one."""
        return self.n / self.seconds if self.n and self.seconds else None

    @property
    def throttled(self) -> bool | None:
        """Whether the processor was; None where this machine does not tell."""
        return self.thermal["throttled"]

    @property
    def valid(self) -> bool:
        """Whether the figures may be quoted; `invalid_because` says why not."""
        return not self.invalid

    @property
    def invalid_because(self) -> str | None:
        """The reasons why the figures may not be quoted, joined by "; "; None where they may."""
        return "; ".join(reason.text for reason in self.invalid) or None

    def as_dict(self) -> Run | Bench:
        """The document: the fields that every run and benchmark has, then those of its kind."""
        shared: Measurement = {
            "bundle": self.subject.bundle,
            "engine": self.subject.engine.as_dict(),
            "scenario": self.scenario,
            "machine": machine_facts(),
            "n": self.n,
            "seconds": self.seconds,
            "fps": self.fps,
            "drops": self.drops,
            "deadline_ms": self.deadline_ms,
            "deadline_misses": self.deadline_misses,
            "latency": self.latency.as_dict(),
            "frame_age": self.frame_age.as_dict(),
            "stages": self.stages,
            "energy_measured": self.energy,
            "energy_model": self.estimate.as_dict() if self.estimate else None,
            "thermal": self.thermal,
            "preprocess": {"resized_by": "cv2"},
            "valid": self.valid,
            "invalid_because": self.invalid_because,
            "invalid_codes": [cast("InvalidCode", reason.code) for reason in self.invalid],
            "mlperf": self.mlperf,
            "energy_model_because": (self.estimate.because or None) if self.estimate else None,
            "golden": self.subject.golden.as_dict(),
            "command": None if self.command is None else list(self.command),
            **self.course,
        }
        own: Mapping[str, Any] = self.camera or self.load or {}
        document = {"schema": f"edge-sdk/{self.kind}/1", **shared, **own}
        return cast("Run | Bench", document)

    def save(self, folder: str | Path) -> Path:
        """Write KIND.json and report.html into `folder`; the page's path. Raises FileError."""
        from edge_sdk.report import write_report

        page: Path = write_report(Path(folder), self.kind, self.as_dict(), self.subject.build)
        return page


def make_report(
    kind: Literal["run", "bench"],
    scenario: str,
    subject: Subject,
    recorders: Sequence[Recorder],
    *,
    camera: CameraRecord | None = None,
    load: Load | None = None,
    figures: Figures | None = None,
    estimate: Estimate | None = None,
    streams: int = SAMPLES_PER_QUERY,
) -> RunReport:
    """The report of what `recorders` kept, one for each repeat; `figures` are then those of all.

    Thermal and measured energy are the documents of the samplers, which all repeats share.

    Every repeat has to keep the rules of a valid run, and MLPerf's. streams: samples of a query, of
    multi-stream.
    """
    one = recorders[0]
    figures = figures or one.figures
    seconds = min(recorder.seconds for recorder in recorders)
    queries = min(recorder.figures.latency.count for recorder in recorders)
    steady = all(recorder.steady for recorder in recorders)
    invalid = why_invalid(seconds, queries, steady, one.samplers)
    misses = max(recorder.figures.misses for recorder in recorders) if one.deadline_ms else None
    documents = {sampler.key: sampler.document() for sampler in one.samplers}
    return RunReport(
        kind=kind,
        scenario=scenario,
        subject=subject,
        n=figures.n,
        seconds=sum(recorder.seconds for recorder in recorders),
        drops=sum(recorder.drops for recorder in recorders) if one.camera else None,
        deadline_ms=one.deadline_ms,
        deadline_misses=figures.misses if one.deadline_ms else None,
        latency=Percentiles.of(figures.latency),
        frame_age=Percentiles.of(figures.frame_age),
        stages=_stages(figures.stages),
        thermal=documents["thermal"],
        invalid=invalid,
        mlperf=mlperf(scenario, seconds, queries, not invalid, streams=streams, late=misses),
        course=_course(recorders, figures),
        camera=camera,
        load=load,
        energy=documents.get("energy_measured"),
        estimate=estimate,
    )


def _stages(histograms: Mapping[str, Histogram]) -> Stages:
    return {
        "capture": _stage(histograms["capture"]),
        "preprocess": _stage(histograms["preprocess"]),
        "invoke": _stage(histograms["invoke"]),
        "postprocess": _stage(histograms["postprocess"]),
    }


def _stage(histogram: Histogram) -> StageTimes:
    found = Percentiles.of(histogram)
    return {"p50": found.p50, "p90": found.p90, "p95": found.p95, "p99": found.p99}


def _course(recorders: Sequence[Recorder], figures: Figures) -> Course:
    """How it went. There is no timeline of several repeats: each has its own, from 0 s on."""
    rows: list[TimelineRow] = [row.as_dict() for row in recorders[0].timeline.rows]
    return {
        "results": sum(recorder.results for recorder in recorders),
        "warmup": _warmup([recorder.warmup for recorder in recorders]),
        "timeline": rows if len(recorders) == 1 else None,
        "histogram": {
            "latency": chart_bins(figures.latency),
            "frame_age": chart_bins(figures.frame_age),
        },
    }


def _warmup(excluded: Sequence[WarmupRecord]) -> WarmupRecord:
    """The warm-up of all repeats together, and its rule."""
    each = ", in each repeat" if len(excluded) > 1 else ""
    rules = dict.fromkeys(one["rule"] for one in excluded)
    return {
        "results": sum(one["results"] for one in excluded),
        "drops": sum(one["drops"] for one in excluded),
        "seconds": sum(one["seconds"] for one in excluded),
        "rule": "; or ".join(rules) + each,
    }


def why_invalid(
    seconds: float, n: int, steady: bool, samplers: Sequence[Sampler] = ()
) -> list[Reason]:
    """Why figures of `n` samples in `seconds` may not be quoted, by their own and by what the
    samplers saw; [] where they may.
    """
    reasons = []
    if seconds < MIN_SECONDS:
        text = f"{seconds:.1f} s after the warm-up, at least {MIN_SECONDS:g} s are needed"
        reasons.append(Reason("short", text))
    if n < MIN_SAMPLES:
        text = f"{n} samples, at least {MIN_SAMPLES} are needed"
        reasons.append(Reason("too-few-samples", text))
    if seconds >= MIN_SECONDS and not steady:
        text = "not steady: the median latency of the two halves differs by over 10 %"
        reasons.append(Reason("not-steady", text))
    return [*reasons, *(reason for sampler in samplers for reason in sampler.reasons())]
