"""edge-sdk/run/1 and edge-sdk/bench/1: a stream or a benchmark, measured."""

from typing import Literal, NotRequired, TypedDict

from edge_sdk.documents.common import BundleIdentity, EnergyModel, Engine, GoldenOutcome, Range

InvalidCode = Literal[
    "short", "too-few-samples", "not-steady", "throttling-unknown", "throttled", "sampler-failed"
]
"""Reasons why figures may not be quoted: less than 10 s after the warm-up; fewer than 662 samples;
the median latencies of the two halves differ by more than 10 %; throttling cannot be read on this
machine; the processor was throttled; a sampler (thermal, soak, a power meter) failed.
"""


class Latencies(TypedDict):
    """Percentiles in ms; null with fewer samples than 11 (p50), 64, 130, 662, 6,636 (p999)."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None


class StageTimes(TypedDict):
    """Percentiles of one stage, in ms."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Stages(TypedDict):
    """The stages of a frame."""

    capture: StageTimes  # reading the camera; not part of the latency
    preprocess: StageTimes
    invoke: StageTimes
    postprocess: StageTimes


class Machine(TypedDict):
    """The machine that was measured on."""

    platform: str
    cpu: str | None
    cores: int | None
    usable_cores: int
    memory_bytes: int
    python: str
    kernel: str


class Clocks(TypedDict):
    """Clock of the fastest core in MHz; null where it cannot be read."""

    min_mhz: float | None
    max_mhz: float | None


class ThermalSample(TypedDict):
    """Temperature and clock at one moment."""

    t_s: float  # s since the first sample
    celsius: float | None  # °C, the hottest zone of the processor
    mhz: float | None  # the fastest core


class ThermalRecord(TypedDict):
    """Temperature, clocks and throttling; null where they cannot be read."""

    start_c: float | None  # °C
    end_c: float | None  # °C
    max_c: float | None  # °C
    throttled: bool | None
    causes: list[str]
    clocks: Clocks
    samples: list[ThermalSample]


_EnergyClass = TypedDict("_EnergyClass", {"class": str})


class EnergyMeasured(_EnergyClass):
    """The energy of one inference that a power meter measured; in J, uncertainties at 95 %."""

    replayed: bool  # from a recording, or made up
    meter: str
    boundary: str  # what the meter's figure includes
    joules_per_inference: float
    uncertainty: float | None
    net_joules_per_inference: float | None  # above idle
    net_uncertainty: float | None
    mean_watts: float
    samples: int
    trace_sha256: str | None
    valid: bool
    invalid_because: str | None


class Preprocessed(TypedDict):
    """The way frames came to the model's size."""

    resized_by: Literal["cv2", "isp"]


class MlperfVerdict(TypedDict):
    """MLPerf LoadGen's rules for the load, and whether they were met."""

    scenario: str | None  # null for a run: no scenario of MLPerf's
    met: bool
    because: str | None
    metric: NotRequired[str]  # bench: the meaning of `value`
    value: NotRequired[float | None]  # bench: the scenario's result


class Warmup(TypedDict):
    """The first results, left out of every figure."""

    results: int
    drops: int
    seconds: float  # s
    rule: str


class TimelineRow(TypedDict):
    """One second of a run."""

    t_s: int  # s
    frames: int
    drops: int
    frame_age_p50_ms: float | None
    frame_age_max_ms: float | None
    latency_p50_ms: float | None


class Histograms(TypedDict):
    """[[low, high, count], …] in ms."""

    latency: list[list[float]]
    frame_age: list[list[float]]


class Measurement(TypedDict):
    """The fields that runs and benchmarks share."""

    bundle: BundleIdentity
    engine: Engine
    scenario: str
    machine: Machine
    n: int  # results counted, after the warm-up
    seconds: float  # s, that they took
    fps: float | None  # results per second
    drops: int | None  # frames that gave way to newer ones; null without a camera
    deadline_ms: float  # 0: none
    deadline_misses: int | None  # null without a deadline
    latency: Latencies  # preprocess + invoke + postprocess, or from the scheduled time
    frame_age: Latencies  # from the sensor to the result
    stages: Stages
    energy_measured: EnergyMeasured | None  # null without a power meter
    energy_model: EnergyModel | None
    thermal: ThermalRecord
    preprocess: Preprocessed
    valid: bool  # the figures may be quoted
    invalid_because: str | None  # the reasons, joined by "; "; null where valid
    invalid_codes: list[InvalidCode]  # the same reasons in the same order
    mlperf: MlperfVerdict
    energy_model_because: str | None  # why a board has no MODEL; else null
    golden: GoldenOutcome
    command: list[str] | None  # the command line; null from Python
    results: int  # with the warm-up
    warmup: Warmup
    timeline: list[TimelineRow] | None  # the last hour; null for several repeats
    histogram: Histograms


class Course(TypedDict):
    """The course of a measurement."""

    results: int
    warmup: Warmup
    timeline: list[TimelineRow] | None
    histogram: Histograms


class CameraRecord(TypedDict):
    """The camera of a run."""

    camera: str | None  # SPEC, without passwords
    replayed: bool | None
    policy: Literal["latest", "all", "block"] | None  # null before the first run
    unreadable: int  # images that were skipped
    reopened: int  # times that the camera was opened again
    missed: int  # frames that the camera lost
    preprocess: Preprocessed
    notes: list[str]


class Run(Measurement, CameraRecord):
    """Printed by `run`, and written as run.json."""

    schema: Literal["edge-sdk/run/1"]


class Input(TypedDict):
    """The frames of a benchmark."""

    kind: Literal["synthetic"]
    width: int  # pixels
    height: int  # pixels
    color: Literal["rgb"]
    frames: int  # different ones, in turn


class Spread(TypedDict):
    """A figure over the repeats."""

    median: float
    low: float
    high: float


class Repeat(TypedDict):
    """One repeat."""

    n: int
    seconds: float  # s
    fps: float | None
    latency: Latencies
    warmup: Warmup
    throttled: bool | None
    timeline: list[TimelineRow]


class Repeats(TypedDict):
    """Every repeat, and each figure over all of them; null where a repeat has no value."""

    count: int
    fps: Spread | None
    latency_p50: Spread | None  # ms
    latency_p90: Spread | None  # ms
    latency_p99: Spread | None  # ms
    runs: list[Repeat]


class MultiStreamRecord(TypedDict):
    """Scenario multi-stream."""

    samples_per_query: int
    queries: int


class TrialRecord(TypedDict):
    """One rate that was tried."""

    rate: float  # queries per second
    queries: int
    late: int  # answered after the bound
    p99_ms: float | None
    held: bool


class ServerRecord(TypedDict):
    """Scenario server."""

    latency_bound_ms: float
    rate: float | None  # queries per second: the highest that held the bound
    held: bool | None  # in the measurement itself; null: too few samples to tell
    alone: TrialRecord | None  # one query after another
    trials: list[TrialRecord]


class SoakSample(TypedDict):
    """Memory and open files at one moment."""

    t_s: float  # s
    rss_bytes: int
    fds: int  # open files


class SoakRecord(TypedDict):
    """Memory and open files over time."""

    frames: int
    rss_slope_bytes_per_s: float | None
    interval: Range | None  # of the slope
    fds_start: int | None
    fds_end: int | None
    constant: bool | None  # null: too few samples to tell
    because: str | None
    samples: list[SoakSample]


class Load(TypedDict):
    """The load of a benchmark."""

    workers: int  # interpreters that share the load
    input: Input
    repeats: Repeats
    multi_stream: NotRequired[MultiStreamRecord]
    server: NotRequired[ServerRecord]
    soak: NotRequired[SoakRecord]


class Bench(Measurement, Load):
    """Printed by `bench`, and written as bench.json."""

    schema: Literal["edge-sdk/bench/1"]
