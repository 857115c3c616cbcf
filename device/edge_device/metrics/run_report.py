"""The report of a run or a benchmark: the run and bench documents of docs/contracts.md.

Every number is measured or None. Whatever keeps a number from counting is stated beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from edge_device.metrics.machine import machine_facts
from edge_device.metrics.mlperf import SAMPLES_PER_QUERY, mlperf
from edge_device.metrics.recorder import Recorder, RunStatistics, chart_bins
from edge_device.metrics.subject import Subject
from edge_sdk.sampling.sampler import Reason, Sampler
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

if TYPE_CHECKING:
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
class Identity:
    """The measurement that a report is of: a run ("run") or a benchmark ("bench").

    command: the command line that made it, without what changes nothing measured; None from Python.
    """

    kind: Literal["run", "bench"]
    scenario: str
    subject: Subject
    command: Sequence[str] | None = None


@dataclass(frozen=True)
class Timing:
    """Answers after the warm-up, and how long they took.

    n: answers. seconds: the time they took. drops: frames that gave way to newer ones in that time;
    None without a camera. deadline_ms: 0 is none, and deadline_misses then None. course: warm-up,
    timeline and histograms.
    """

    n: int
    seconds: float
    drops: int | None
    deadline_ms: float
    deadline_misses: int | None
    latency: Percentiles
    frame_age: Percentiles
    stages: Stages
    course: Course

    @property
    def fps(self) -> float | None:
        """Answers a second; None without one."""
        return self.n / self.seconds if self.n and self.seconds else None


@dataclass(frozen=True)
class Conditions:
    """The state of the machine meanwhile.

    thermal: as edge_hardware.Thermal documents it. energy: from a power meter; None without one.
    estimate: MODEL energy for a board.
    """

    thermal: ThermalRecord
    energy: EnergyMeasured | None = None
    estimate: Estimate | None = None

    @property
    def throttled(self) -> bool | None:
        """True if the processor was throttled; None where this machine cannot tell."""
        return self.thermal["throttled"]


@dataclass(frozen=True)
class Verdict:
    """The judgement on the figures. reasons: why they may not be quoted. mlperf: as
    edge_device.metrics.mlperf judges the run.
    """

    reasons: Sequence[Reason]
    mlperf: MlperfVerdict

    @property
    def invalid_because(self) -> str | None:
        """The reasons, joined by "; "; None where there are none."""
        return "; ".join(reason.text for reason in self.reasons) or None


@dataclass(frozen=True)
class RunReport:
    """The report of a run or of a benchmark. camera: of a run; load: of a benchmark."""

    identity: Identity
    timing: Timing
    conditions: Conditions
    verdict: Verdict
    camera: CameraRecord | None = None
    load: Load | None = None

    @property
    def kind(self) -> Literal["run", "bench"]:
        """A run or a benchmark."""
        return self.identity.kind

    @property
    def scenario(self) -> str:
        """Its scenario."""
        return self.identity.scenario

    @property
    def subject(self) -> Subject:
        """The bundle and the engine that were measured."""
        return self.identity.subject

    @property
    def command(self) -> Sequence[str] | None:
        """The command line that made it; None from Python."""
        return self.identity.command

    @property
    def n(self) -> int:
        """Answers counted, after the warm-up."""
        return self.timing.n

    @property
    def seconds(self) -> float:
        """The time they took."""
        return self.timing.seconds

    @property
    def drops(self) -> int | None:
        """Frames that gave way to newer ones in that time; None without a camera."""
        return self.timing.drops

    @property
    def deadline_ms(self) -> float:
        """The age above which an answer is late, in ms; 0 is none."""
        return self.timing.deadline_ms

    @property
    def deadline_misses(self) -> int | None:
        """Late answers; None without a deadline."""
        return self.timing.deadline_misses

    @property
    def fps(self) -> float | None:
        """Answers a second; None without one."""
        return self.timing.fps

    @property
    def latency(self) -> Percentiles:
        """Of the answers, in ms."""
        return self.timing.latency

    @property
    def frame_age(self) -> Percentiles:
        """From the sensor to the result, in ms."""
        return self.timing.frame_age

    @property
    def stages(self) -> Stages:
        """Percentiles of each stage, in ms."""
        return self.timing.stages

    @property
    def thermal(self) -> ThermalRecord:
        """Temperature, clocks and throttling, as edge_hardware.Thermal documents them."""
        return self.conditions.thermal

    @property
    def energy(self) -> EnergyMeasured | None:
        """From a power meter; None without one."""
        return self.conditions.energy

    @property
    def estimate(self) -> Estimate | None:
        """MODEL energy for a board; None without one."""
        return self.conditions.estimate

    @property
    def throttled(self) -> bool | None:
        """True if the processor was throttled; None where this machine cannot tell."""
        return self.conditions.throttled

    @property
    def valid(self) -> bool:
        """True if the figures may be quoted; `invalid_because` says why not."""
        return not self.verdict.reasons

    @property
    def invalid_because(self) -> str | None:
        """The reasons why the figures may not be quoted, joined by "; "; None where they may."""
        return self.verdict.invalid_because

    @property
    def mlperf(self) -> MlperfVerdict:
        """As edge_device.metrics.mlperf judges the run."""
        return self.verdict.mlperf

    def as_dict(self) -> Run | Bench:
        """The document: the fields that every run and benchmark has, then those of its kind."""
        identity, timing, verdict = self.identity, self.timing, self.verdict
        estimate, command = self.conditions.estimate, identity.command
        shared: Measurement = {
            "bundle": identity.subject.bundle,
            "engine": identity.subject.engine.as_dict(),
            "scenario": identity.scenario,
            "machine": machine_facts(),
            "n": timing.n,
            "seconds": timing.seconds,
            "fps": timing.fps,
            "drops": timing.drops,
            "deadline_ms": timing.deadline_ms,
            "deadline_misses": timing.deadline_misses,
            "latency": timing.latency.as_dict(),
            "frame_age": timing.frame_age.as_dict(),
            "stages": timing.stages,
            "energy_measured": self.conditions.energy,
            "energy_model": estimate.as_dict() if estimate else None,
            "thermal": self.conditions.thermal,
            "preprocess": {"resized_by": "cv2"},
            "valid": self.valid,
            "invalid_because": verdict.invalid_because,
            "invalid_codes": [cast("InvalidCode", reason.code) for reason in verdict.reasons],
            "mlperf": verdict.mlperf,
            "energy_model_because": (estimate.because or None) if estimate else None,
            "golden": identity.subject.golden.as_dict(),
            "command": None if command is None else list(command),
            **timing.course,
        }
        own: Mapping[str, Any] = self.camera or self.load or {}
        document = {"schema": f"edge-sdk/{identity.kind}/1", **shared, **own}
        return cast("Run | Bench", document)

    def with_command(self, command: Sequence[str]) -> RunReport:
        """The same report, with the command line that made it."""
        return replace(self, identity=replace(self.identity, command=command))

    def save(self, folder: str | Path) -> Path:
        """Write KIND.json and report.html into `folder`; the page's path. Raises FileError."""
        from edge_sdk.report import write_report

        kind, build = self.identity.kind, self.identity.subject.build
        page: Path = write_report(Path(folder), kind, self.as_dict(), build)
        return page


def make_report(
    identity: Identity,
    recorders: Sequence[Recorder],
    *,
    camera: CameraRecord | None = None,
    load: Load | None = None,
    statistics: RunStatistics | None = None,
    estimate: Estimate | None = None,
    streams: int = SAMPLES_PER_QUERY,
) -> RunReport:
    """The report of what `recorders` kept, one for each repeat; `statistics` are then those of all.

    Thermal and measured energy are the documents of the samplers, which all repeats share.

    Every repeat has to keep the rules of a valid run, and MLPerf's. streams: samples of a query, of
    multi-stream.
    """
    samplers = recorders[0].samplers
    documents = {sampler.key: sampler.document() for sampler in samplers}
    return RunReport(
        identity,
        _timing(recorders, statistics or recorders[0].statistics),
        Conditions(documents["thermal"], documents.get("energy_measured"), estimate),
        _verdict(identity.scenario, recorders, streams),
        camera,
        load,
    )


def _timing(recorders: Sequence[Recorder], statistics: RunStatistics) -> Timing:
    one = recorders[0]
    return Timing(
        n=statistics.n,
        seconds=sum(recorder.seconds for recorder in recorders),
        drops=sum(recorder.drops for recorder in recorders) if one.camera else None,
        deadline_ms=one.deadline_ms,
        deadline_misses=statistics.misses if one.deadline_ms else None,
        latency=Percentiles.of(statistics.latency),
        frame_age=Percentiles.of(statistics.frame_age),
        stages=_stages(statistics.stages),
        course=_course(recorders, statistics),
    )


def _verdict(scenario: str, recorders: Sequence[Recorder], streams: int) -> Verdict:
    """Of the repeat with the fewest samples and seconds, and the most late answers."""
    seconds = min(recorder.seconds for recorder in recorders)
    queries = min(recorder.statistics.latency.count for recorder in recorders)
    steady = all(recorder.steady for recorder in recorders)
    one = recorders[0]
    reasons = why_invalid(seconds, queries, steady, one.samplers)
    late = max(recorder.statistics.misses for recorder in recorders) if one.deadline_ms else None
    return Verdict(
        reasons, mlperf(scenario, seconds, queries, not reasons, streams=streams, late=late)
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


def _course(recorders: Sequence[Recorder], statistics: RunStatistics) -> Course:
    """Warm-up, timeline and histograms. Several repeats have no common timeline, but one each."""
    rows: list[TimelineRow] = [row.as_dict() for row in recorders[0].timeline.rows]
    return {
        "results": sum(recorder.results for recorder in recorders),
        "warmup": _warmup([recorder.warmup for recorder in recorders]),
        "timeline": rows if len(recorders) == 1 else None,
        "histogram": {
            "latency": chart_bins(statistics.latency),
            "frame_age": chart_bins(statistics.frame_age),
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
        text = f"{seconds:.1f} s after the warm-up (at least {MIN_SECONDS:g} s are needed)"
        reasons.append(Reason("short", text))
    if n < MIN_SAMPLES:
        text = f"{n} samples (at least {MIN_SAMPLES} are needed)"
        reasons.append(Reason("too-few-samples", text))
    if seconds >= MIN_SECONDS and not steady:
        text = "not steady: the median latencies of the two halves differ by more than 10 %"
        reasons.append(Reason("not-steady", text))
    return [*reasons, *(reason for sampler in samplers for reason in sampler.reasons())]
