"""What a run or a benchmark has to say: the run and bench documents of CONTRACTS.md.

Every number is measured or None. What is missing for a number to count is said beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_device.machine import machine_facts
from edge_device.recorder import Figures, Recorder, chart_bins
from edge_sdk.engines import EngineInfo
from edge_sdk.estimate import Estimate
from edge_sdk.golden import GoldenCheck
from edge_sdk.statistics import MINIMUM_SAMPLES, Histogram

LEAST_SECONDS = 10.0
LEAST_SAMPLES = MINIMUM_SAMPLES["p99"]

UNREAD_THROTTLING = "throttling cannot be read on this machine"
"""Why a run is not valid that keeps every rule that could be looked at."""

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
    to newer ones in that time; None without a camera. throttled: None where this machine does not
    tell. estimate: MODEL energy for a board. command: the command line that made it, without what
    changes nothing measured; None from Python. extensions: further keys of the document.
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
    throttled: bool | None
    invalid_because: str | None
    estimate: Estimate | None = None
    command: Sequence[str] | None = None
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
            "thermal": {
                **dict.fromkeys(("start_c", "end_c", "max_c")),
                "throttled": self.throttled,
            },
            "preprocess": {"resized_by": "cv2"},
            "valid": self.valid,
            "invalid_because": self.invalid_because,
            "mlperf": mlperf(self.scenario, self.seconds, self.n, self.valid),
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
    extensions: Mapping[str, Any] | None = None,
) -> RunReport:
    """The report of what `recorders` kept, one for each repeat; `figures` are then those of all.

    Every repeat has to keep the rules of a valid run.
    """
    one = recorders[0]
    figures = figures or one.figures
    throttled = _throttled([recorder.throttled for recorder in recorders])
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
        throttled,
        why_invalid(
            min(recorder.seconds for recorder in recorders),
            min(recorder.figures.n for recorder in recorders),
            all(recorder.steady for recorder in recorders),
            throttled,
        ),
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
    return {**summed, "rule": excluded[0]["rule"] + each}


def _throttled(found: Sequence[bool | None]) -> bool | None:
    """Whether any was; None where that is not known of all the others."""
    return True if any(found) else None if None in found else False


def why_invalid(seconds: float, n: int, steady: bool, throttled: bool | None) -> str | None:
    """Why figures of `n` samples in `seconds` may not be quoted; None where they may.

    throttled: None where this machine does not tell, which is no proof of the contrary.
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
        reasons.append(UNREAD_THROTTLING)
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
