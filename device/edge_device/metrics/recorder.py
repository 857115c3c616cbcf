"""The record of a run: histograms of durations, counts and a timeline.

The first answers are warm-up (edge_device.warmup): they are excluded from every figure and from the
timeline, and the report says so. A run that ends within them excludes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge_device.metrics.warmup import FirstSecond, Warmup, same
from edge_hardware.thermal import Thermal
from edge_sdk.errors import EdgeError
from edge_sdk.results import Result
from edge_sdk.sampling.sampler import Sampler, Window
from edge_sdk.statistics import Histogram, median

if TYPE_CHECKING:
    from edge_sdk.documents.run import TimelineRow
    from edge_sdk.documents.run import Warmup as WarmupRecord

MAX_ROWS = 3600
"""Seconds of the timeline that are kept: the last hour."""

MAX_BINS = 200
"""Bins of a histogram made for a chart."""

_STEADY_ROWS = 4
_STAGES = ("capture", "preprocess", "invoke", "postprocess")
_SECOND_NS = 1_000_000_000

Latency = Callable[[Result], "int | None"]
"""The latency of an answer, in ns; None where it is not counted by itself."""


def own_latency(result: Result) -> int:
    """preprocess + invoke + postprocess."""
    return result.stages.latency_ns


class RunStatistics:
    """Histograms of latency, frame age and stages, in ns, and how many answers came too late.

    n: answers counted. deadline_ms: the frame age (without a camera: the latency) above which an
    answer is late; 0 means none. camera: whether frames come from one; without, there is no frame
    age.
    """

    def __init__(
        self, deadline_ms: float = 0.0, *, camera: bool = True, latency: Latency = own_latency
    ) -> None:
        self.n = 0
        self.latency = Histogram()
        self.frame_age = Histogram()
        self.stages = {name: Histogram() for name in _STAGES}
        self.misses = 0
        self._deadline_ns = deadline_ms * 1e6 or math.inf
        self._camera = camera
        self._latency_of = latency

    def add(self, result: Result) -> None:
        """Count one answer."""
        self.n += 1
        times = result.stages
        took = self._latency_of(result)
        if took is not None:
            self.latency.add(took)
        self.stages["preprocess"].add(times.preprocess)
        self.stages["invoke"].add(times.invoke)
        self.stages["postprocess"].add(times.postprocess)
        if self._camera:
            took = result.result_ns - result.sensor_ns
            self.frame_age.add(took)
            self.stages["capture"].add(times.capture)
        self.misses += took is not None and took > self._deadline_ns


class Row(NamedTuple):
    """One second of a run: answers, drops, and medians over that second in ms (None: no answer).

    latency_p50_ms: of a frame by itself, preprocess + invoke + postprocess, whatever the scenario:
    it shows the machine, not the load.
    """

    t_s: int
    frames: int
    drops: int
    frame_age_p50_ms: float | None
    frame_age_max_ms: float | None
    latency_p50_ms: float | None

    def as_dict(self) -> TimelineRow:
        """The JSON form."""
        return {
            "t_s": self.t_s,
            "frames": self.frames,
            "drops": self.drops,
            "frame_age_p50_ms": self.frame_age_p50_ms,
            "frame_age_max_ms": self.frame_age_max_ms,
            "latency_p50_ms": self.latency_p50_ms,
        }


class Timeline:
    """Rows of a second each, from `start_ns` on (None: from the first answer).

    drops: frames dropped before that.
    """

    def __init__(self, *, camera: bool = True, start_ns: int | None = None, drops: int = 0) -> None:
        self._camera = camera
        self._rows: deque[Row] = deque(maxlen=MAX_ROWS)
        self._ages: list[int] = []
        self._latencies: list[int] = []
        self._start_ns = start_ns
        self._count = 0
        self._drops = drops

    def add(self, result: Result, drops: int) -> None:
        """One answer; `drops`: frames dropped since the run began."""
        if self._start_ns is None:
            self._start_ns = result.result_ns
        while result.result_ns - self._start_ns >= (self._count + 1) * _SECOND_NS:
            self._close_row(drops)
        self._latencies.append(result.stages.latency_ns)
        if self._camera:
            self._ages.append(result.result_ns - result.sensor_ns)

    def finish(self, drops: int) -> None:
        """Keep the last, shorter row."""
        if self._latencies or drops > self._drops:
            self._close_row(drops)

    @property
    def rows(self) -> Sequence[Row]:
        """The rows so far, oldest first."""
        return tuple(self._rows)

    def _close_row(self, drops: int) -> None:
        ages, latencies = self._ages, self._latencies
        self._rows.append(
            Row(
                self._count,
                len(latencies),
                drops - self._drops,
                median(ages) / 1e6 if ages else None,
                max(ages) / 1e6 if ages else None,
                median(latencies) / 1e6 if latencies else None,
            )
        )
        self._ages, self._latencies = [], []
        self._count += 1
        self._drops = drops


class Recorder:
    """Statistics and timeline of the answers after the warm-up.

    started_ns: when the run began. results, unlike statistics.n, counts the warm-up too.
    deadline_ms, camera, latency: as RunStatistics has them. samplers: run from the first answer to
    `finish`; without a Thermal, one is added.
    """

    def __init__(
        self,
        started_ns: int,
        *,
        deadline_ms: float = 0.0,
        camera: bool = True,
        latency: Latency = own_latency,
        warmup: Warmup | None = None,
        samplers: Sequence[Sampler] = (),
    ) -> None:
        self.deadline_ms = deadline_ms
        self.camera = camera
        self.samplers = with_thermal(samplers)
        thermal = next(one for one in self.samplers if isinstance(one, Thermal))
        self._throttling = thermal.watch()
        self.statistics = RunStatistics(deadline_ms, camera=camera, latency=latency)
        self.timeline = Timeline(camera=camera)
        self.results = 0
        self.warm = False
        self._latency = latency
        self._warmup = warmup or FirstSecond()
        self._first_ns: int | None = None
        self._excluded = (0, 0, 0)  # results, drops, ns
        self._window_ns = (started_ns, started_ns)
        self._all_drops = 0

    def add(self, result: Result, drops: int = 0) -> None:
        """One answer; `drops`: frames dropped since the run began. The first starts the samplers:
        raises SamplerError where one of them cannot be started that is not optional.
        """
        self.results += 1
        self._all_drops = drops
        self.timeline.add(result, drops)
        if self._first_ns is None:
            self._first_ns = result.result_ns
            self._start_samplers()
        if not self.warm and self._warmup.over(result):
            self._end_warmup(result.result_ns)
        else:
            self.statistics.add(result)
        self._window_ns = (self._window_ns[0], result.result_ns)

    def finish(self, ended_ns: int = 0, drops: int = 0) -> None:
        """The run is over; nothing came between the last answer and `ended_ns`."""
        self._all_drops = drops
        self._window_ns = (self._window_ns[0], max(ended_ns, self._window_ns[1]))
        self.timeline.finish(drops)
        self._finish_samplers()
        self._throttling.end()

    @property
    def window(self) -> Window:
        """The time that is counted, and the answers in it."""
        return Window(*self._window_ns, self.statistics.n)

    @property
    def seconds(self) -> float:
        """Length of what is counted: after the warm-up, where it was over."""
        return self.window.seconds

    @property
    def drops(self) -> int:
        """Frames dropped in that time."""
        return self._all_drops - self._excluded[1]

    @property
    def warmup(self) -> WarmupRecord:
        """The answers, drops and time that are excluded, and the rule."""
        results, drops, duration = self._excluded
        rule = self._warmup.rule
        if not self.warm:
            rule = "nothing is excluded: the run ended during the warm-up"
        return {"results": results, "drops": drops, "seconds": duration / 1e9, "rule": rule}

    @property
    def throttled(self) -> bool | None:
        """True if the processor was throttled since the run began; None where that is not known."""
        return self._throttling.throttled()

    @property
    def steady(self) -> bool:
        """True if the median latencies of the two halves differ by at most 10 %."""
        return steady(self.timeline.rows)

    def _start_samplers(self) -> None:
        errors = []
        for sampler in self.samplers:
            try:
                sampler.start()
            except EdgeError as error:
                if sampler.optional:
                    sampler.faults.append(str(error))
                else:
                    errors.append(error)
        if errors:
            self._finish_samplers()
            raise errors[0]

    def _finish_samplers(self) -> None:
        for sampler in self.samplers:
            if sampler.running:
                sampler.finish(self.window)

    def _end_warmup(self, now_ns: int) -> None:
        assert self._first_ns is not None
        self.warm = True
        self._excluded = (self.results, self._all_drops, now_ns - self._first_ns)
        self.statistics = RunStatistics(self.deadline_ms, camera=self.camera, latency=self._latency)
        self.timeline = Timeline(camera=self.camera, start_ns=now_ns, drops=self._all_drops)
        self._window_ns = (now_ns, now_ns)
        for sampler in self.samplers:
            if sampler.running:
                sampler.begin_window(now_ns)


def with_thermal(samplers: Sequence[Sampler]) -> Sequence[Sampler]:
    """`samplers`, and an optional Thermal where there is none: every report has its document."""
    if any(isinstance(sampler, Thermal) for sampler in samplers):
        return samplers
    thermal = Thermal()
    thermal.optional = True
    return (thermal, *samplers)


def steady(rows: Sequence[Row]) -> bool:
    """True if the median latencies of the two halves of `rows` are within 10 % of each other."""
    values = [row.latency_p50_ms for row in rows if row.latency_p50_ms is not None]
    if len(values) < _STEADY_ROWS:
        return False
    half = len(values) // 2
    return same(median(values[:half]), median(values[-half:]))


def chart_bins(histogram: Histogram) -> list[list[float]]:
    """[[low_ms, high_ms, count], …], at most MAX_BINS bins of equal width on a logarithmic scale,
    empty ones left out.
    """
    fine = list(histogram.bins())
    if not fine:
        return []
    low = max(fine[0][0], 1.0)
    high = max(fine[-1][1], 1.01 * low)
    bins = max(1, min(MAX_BINS, math.ceil(math.log(high / low) / math.log(1.01))))
    step = math.log(high / low) / bins
    counts: dict[int, int] = {}
    for left, _, count in fine:
        place = min(bins - 1, int(math.log(max(left, low) / low) / step))
        counts[place] = counts.get(place, 0) + count
    edge = [low * math.exp(step * place) / 1e6 for place in range(bins + 1)]
    return [[edge[place], edge[place + 1], count] for place, count in sorted(counts.items())]
