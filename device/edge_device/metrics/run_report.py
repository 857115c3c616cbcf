"""What a run or a benchmark has to say: the run and bench documents of CONTRACTS.md.

Every number is measured or None. What is missing for a number to count is said beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge_device.metrics.machine import machine_facts
from edge_device.metrics.mlperf import SAMPLES_PER_QUERY, mlperf
from edge_device.metrics.recorder import Figures, Recorder, chart_bins
from edge_hardware.thermal import thermal_document
from edge_sdk.engines import EngineInfo
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

if TYPE_CHECKING:
    from edge_sdk.energy.estimate import Estimate

MIN_SECONDS = 10.0
MIN_SAMPLES = MINIMUM_SAMPLES["p99"]

UNREAD_THROTTLING = "throttling cannot be read on this machine"
"""Why a run is not valid that keeps every rule that could be looked at."""


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

    def as_dict(self) -> dict[str, float | None]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """What was measured: a bundle's identity and build record, on an engine, proven how."""

    bundle: dict[str, str]
    build: dict[str, Any]
    engine: EngineInfo
    golden: GoldenCheck


@dataclass(frozen=True)
class RunReport:
    """The outcome of a run ("run") or of a benchmark ("bench").

    n: answers counted, after the warm-up. seconds: the time they took. drops: frames that gave way
    to newer ones in that time; None without a camera. thermal: as edge_hardware.thermal documents
    it. mlperf: as edge_device.mlperf judges it. estimate: MODEL energy for a board. command: the
    command line that made it, without what changes nothing measured; None from Python. extensions:
    further keys of the document.
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
    stages: Mapping[str, Mapping[str, float | None]]
    thermal: Mapping[str, Any]
    invalid_because: str | None
    mlperf: Mapping[str, Any]
    estimate: Estimate | None = None
    command: Sequence[str] | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fps(self) -> float | None:
        """Answers a second; None without one."""
        return self.n / self.seconds if self.n and self.seconds else None

    @property
    def throttled(self) -> bool | None:
        """Whether the processor was; None where this machine does not tell."""
        found: bool | None = self.thermal["throttled"]
        return found

    @property
    def valid(self) -> bool:
        """Whether the figures may be quoted; `invalid_because` says why not."""
        return self.invalid_because is None

    def as_dict(self) -> dict[str, Any]:
        """The document: every key of CONTRACTS.md, then `extensions`."""
        return {
            "schema": f"edge-sdk/{self.kind}/1",
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
            "stages": {name: dict(values) for name, values in self.stages.items()},
            "energy_measured": None,
            "energy_model": self.estimate.as_dict() if self.estimate else None,
            "thermal": dict(self.thermal),
            "preprocess": {"resized_by": "cv2"},
            "valid": self.valid,
            "invalid_because": self.invalid_because,
            "mlperf": dict(self.mlperf),
            "energy_model_because": (self.estimate.because or None) if self.estimate else None,
            "golden": self.subject.golden.as_dict(),
            "command": None if self.command is None else list(self.command),
            **self.extensions,
        }

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
    figures: Figures | None = None,
    estimate: Estimate | None = None,
    streams: int = SAMPLES_PER_QUERY,
    extensions: Mapping[str, Any] | None = None,
) -> RunReport:
    """The report of what `recorders` kept, one for each repeat; `figures` are then those of all.

    Every repeat has to keep the rules of a valid run, and MLPerf's. streams: samples of a query, of
    multi-stream.
    """
    one = recorders[0]
    figures = figures or one.figures
    thermal = thermal_document([recorder.thermal for recorder in recorders])
    seconds = min(recorder.seconds for recorder in recorders)
    queries = min(recorder.figures.latency.count for recorder in recorders)
    steady = all(recorder.steady for recorder in recorders)
    invalid = why_invalid(seconds, queries, steady, thermal["throttled"])
    misses = max(recorder.figures.misses for recorder in recorders) if one.deadline_ms else None
    return RunReport(
        kind,
        scenario,
        subject,
        figures.n,
        sum(recorder.seconds for recorder in recorders),
        sum(recorder.drops for recorder in recorders) if one.camera else None,
        one.deadline_ms,
        figures.misses if one.deadline_ms else None,
        Percentiles.of(figures.latency),
        Percentiles.of(figures.frame_age),
        {name: histogram.percentiles() for name, histogram in figures.stages.items()},
        thermal,
        invalid,
        mlperf(scenario, seconds, queries, invalid is None, streams=streams, late=misses),
        estimate,
        extensions={**_course(recorders, figures), **(extensions or {})},
    )


def _course(recorders: Sequence[Recorder], figures: Figures) -> dict[str, Any]:
    """How it went. There is no timeline of several repeats: each has its own, from 0 s on."""
    histograms = {"latency": figures.latency, "frame_age": figures.frame_age}
    rows = [row.as_dict() for row in recorders[0].timeline.rows]
    return {
        "results": sum(recorder.results for recorder in recorders),
        "warmup": _warmup([recorder.warmup for recorder in recorders]),
        "timeline": rows if len(recorders) == 1 else None,
        "histogram": {name: chart_bins(h) for name, h in histograms.items()},
    }


def _warmup(excluded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is excluded of all repeats together, and the rule."""
    summed = {name: sum(one[name] for one in excluded) for name in ("results", "drops", "seconds")}
    each = ", in each repeat" if len(excluded) > 1 else ""
    rules = dict.fromkeys(one["rule"] for one in excluded)
    return {**summed, "rule": "; or ".join(rules) + each}


def why_invalid(seconds: float, n: int, steady: bool, throttled: bool | None) -> str | None:
    """Why figures of `n` samples in `seconds` may not be quoted; None where they may.

    throttled: None where this machine does not tell, which is no proof of the contrary.
    """
    reasons = []
    if seconds < MIN_SECONDS:
        reasons.append(f"{seconds:.1f} s after the warm-up, at least {MIN_SECONDS:g} s are needed")
    if n < MIN_SAMPLES:
        reasons.append(f"{n} samples, at least {MIN_SAMPLES} are needed")
    if seconds >= MIN_SECONDS and not steady:
        reasons.append("not steady: the median latency of the two halves differs by over 10 %")
    if throttled is None:
        reasons.append(UNREAD_THROTTLING)
    elif throttled:
        reasons.append("the processor was throttled")
    return "; ".join(reasons) or None
