"""What a run or a benchmark has to say: the run and bench documents of CONTRACTS.md.

Every number is measured or None. What is missing for a number to count is said beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_device.machine import machine_facts
from edge_device.recorder import Figures, Recorder, chart_bins
from edge_sdk.engines import EngineInfo
from edge_sdk.errors import FileError
from edge_sdk.estimate import Estimate
from edge_sdk.golden import GoldenCheck
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

LEAST_SECONDS = 10.0
LEAST_SAMPLES = MINIMUM_SAMPLES["p99"]

_MLPERF_SECONDS = 600.0
_MLPERF_SAMPLES = {"single-stream": MINIMUM_SAMPLES["p90"], "offline": 24_576}
"""MLPerf LoadGen: p90 of a single stream, all samples of an offline run; 600 s each."""


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
    to newer ones in that time; None without a camera. estimate: MODEL energy for a board.
    extensions: further keys of the document.
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
    invalid_because: str | None
    estimate: Estimate | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fps(self) -> float | None:
        """Answers a second; None without one."""
        return self.n / self.seconds if self.n and self.seconds else None

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
            "thermal": {"start_c": None, "end_c": None, "max_c": None, "throttled": None},
            "preprocess": {"resized_by": "cv2"},
            "valid": self.valid,
            "invalid_because": self.invalid_because,
            "mlperf": mlperf(self.scenario, self.seconds, self.n, self.valid),
            "energy_model_because": (self.estimate.because or None) if self.estimate else None,
            "golden": self.subject.golden.as_dict(),
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
    recorder: Recorder,
    *,
    figures: Figures | None = None,
    seconds: float | None = None,
    invalid_because: str | None = None,
    estimate: Estimate | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> RunReport:
    """The report of what `recorder` kept; figures and seconds replace its own (several repeats)."""
    figures = figures or recorder.figures
    seconds = recorder.seconds if seconds is None else seconds
    histograms = {"latency": figures.latency, "frame_age": figures.frame_age}
    return RunReport(
        kind,
        scenario,
        subject,
        figures.n,
        seconds,
        recorder.drops if recorder.camera else None,
        recorder.deadline_ms,
        figures.misses if recorder.deadline_ms else None,
        Percentiles.of(figures.latency),
        Percentiles.of(figures.frame_age),
        {name: histogram.percentiles() for name, histogram in figures.stages.items()},
        invalid_because or why_invalid(seconds, figures.n, recorder.steady),
        estimate,
        {
            "results": recorder.results,
            "warmup": recorder.warmup,
            "timeline": [row.as_dict() for row in recorder.timeline.rows],
            "histogram": {name: chart_bins(h) for name, h in histograms.items()},
            **(extensions or {}),
        },
    )


def why_invalid(seconds: float, n: int, steady: bool, throttled: bool | None = None) -> str | None:
    """Why figures of `n` samples in `seconds` may not be quoted; None where they may.

    throttled: None where this machine was not asked, which is no proof of the contrary.
    """
    reasons = []
    if seconds < LEAST_SECONDS:
        reasons.append(
            f"{seconds:.1f} s after the warm-up, at least {LEAST_SECONDS:g} s are needed"
        )
    if n < LEAST_SAMPLES:
        reasons.append(f"{n} samples, at least {LEAST_SAMPLES} are needed")
    if seconds >= LEAST_SECONDS and not steady:
        reasons.append("not steady: the median latency of the two halves differs by over 10 %")
    if throttled is None:
        reasons.append("whether the processor was throttled is not known")
    elif throttled:
        reasons.append("the processor was throttled")
    return "; ".join(reasons) or None


def mlperf(scenario: str, seconds: float, n: int, valid: bool) -> dict[str, Any]:
    """How far the run is from MLPerf LoadGen's rules for its scenario."""
    samples = _MLPERF_SAMPLES.get(scenario)
    if samples is None:
        because = f"{scenario} is not one of MLPerf's scenarios"
        return {"scenario": None, "met": False, "because": because}
    reasons = []
    if seconds < _MLPERF_SECONDS:
        reasons.append(f"{seconds:.1f} s, at least {_MLPERF_SECONDS:g} s are needed")
    if n < samples:
        reasons.append(f"{n} samples, at least {samples} are needed")
    if not valid:
        reasons.append("the run is not valid")
    because = "; ".join(reasons)
    return {"scenario": scenario, "met": not reasons, "because": because or None}


def prepare_folder(folder: str | Path) -> None:
    """Make the folder a report will go into, before the time is spent. Raises FileError."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"cannot write a report to {folder}: {error.strerror}",
            fix="name a folder that you may write to with --report",
        ) from error
