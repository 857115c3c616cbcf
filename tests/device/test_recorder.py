"""What is kept of a run, on results made by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from edge_device.metrics.recorder import (
    MAX_BINS,
    MAX_ROWS,
    Recorder,
    Row,
    Timeline,
    chart_bins,
    steady,
)
from edge_sdk import Result
from edge_sdk.statistics import Histogram

Make = Callable[..., Result]


def feed(recorder: Recorder, make_result: Make, seconds: float, fps: int = 100) -> int:
    """Results every 1/fps s from t = 0 on; one drop a result. Returns how many."""
    count = round(seconds * fps)
    for index in range(count):
        recorder.add(make_result(index, at_ms=index * 1000 / fps), drops=index)
    return count


def test_the_first_second_is_excluded_and_said(make_result: Make) -> None:
    recorder = Recorder(0)
    count = feed(recorder, make_result, 3.0)
    recorder.finish(2_990_000_000, drops=count - 1)
    # The answer at 1.00 s ends the warm-up: it and the 100 before it are not counted.
    assert recorder.warmup == {
        "results": 101,
        "drops": 100,
        "seconds": 1.0,
        "rule": "the first second of answers is excluded",
    }
    assert recorder.results == 300
    assert recorder.statistics.n == 199
    assert recorder.drops == 199
    assert recorder.seconds == pytest.approx(1.99)
    rows = [(row.t_s, row.frames, row.drops) for row in recorder.timeline.rows]
    assert rows == [(0, 99, 100), (1, 100, 99)]
    assert recorder.statistics.n / recorder.seconds == pytest.approx(100)


def test_a_run_that_ends_within_the_warm_up_excludes_nothing(make_result: Make) -> None:
    recorder = Recorder(0)
    feed(recorder, make_result, 0.5)
    recorder.finish(600_000_000, drops=60)
    assert (recorder.statistics.n, recorder.results, recorder.drops) == (50, 50, 60)
    assert recorder.seconds == pytest.approx(0.6)
    assert recorder.warmup["results"] == 0
    assert "nothing is excluded" in recorder.warmup["rule"]


def test_silence_at_the_end_counts_as_time(make_result: Make) -> None:
    recorder = Recorder(0)
    feed(recorder, make_result, 3.0)
    recorder.finish(11_000_000_000)
    assert recorder.seconds == pytest.approx(10.0)


def test_every_stage_and_the_sum(make_result: Make) -> None:
    recorder = Recorder(0, deadline_ms=4.0)
    for index in range(20):
        age = 3.0 if index % 2 else 6.0
        recorder.add(make_result(index, at_ms=index, age_ms=age, invoke_ms=2.0))
    statistics = recorder.statistics
    assert statistics.latency.summary()["p50"] == pytest.approx(2.75, rel=1e-3)
    assert statistics.stages["capture"].percentiles()["p50"] == pytest.approx(1.0, rel=1e-3)
    assert statistics.stages["invoke"].percentiles()["p50"] == pytest.approx(2.0, rel=1e-3)
    assert statistics.frame_age.max == 6_000_000
    assert statistics.misses == 10


def test_without_a_camera_there_is_no_frame_age(make_result: Make) -> None:
    recorder = Recorder(0, deadline_ms=2.0, camera=False)
    feed(recorder, make_result, 2.0)
    recorder.finish()
    assert recorder.statistics.frame_age.count == 0
    assert recorder.statistics.stages["capture"].count == 0
    assert recorder.statistics.misses == recorder.statistics.n
    assert {row.frame_age_p50_ms for row in recorder.timeline.rows} == {None}
    assert all(row.latency_p50_ms is not None for row in recorder.timeline.rows)


def test_the_timeline_adds_up_and_shows_silence(make_result: Make) -> None:
    timeline = Timeline()
    for index, at_ms in enumerate((500, 900, 1400, 1501, 4600)):
        timeline.add(make_result(index, at_ms=at_ms, age_ms=index + 1), drops=2 * index)
    timeline.finish(drops=9)
    assert [row.as_dict() for row in timeline.rows] == [
        {
            "t_s": 0,
            "frames": 3,
            "drops": 6,
            "frame_age_p50_ms": 2.0,
            "frame_age_max_ms": 3.0,
            "latency_p50_ms": 2.75,
        },
        {
            "t_s": 1,
            "frames": 1,
            "drops": 2,
            "frame_age_p50_ms": 4.0,
            "frame_age_max_ms": 4.0,
            "latency_p50_ms": 2.75,
        },
        *(
            {
                "t_s": second,
                "frames": 0,
                "drops": 0,
                "frame_age_p50_ms": None,
                "frame_age_max_ms": None,
                "latency_p50_ms": None,
            }
            for second in (2, 3)
        ),
        {
            "t_s": 4,
            "frames": 1,
            "drops": 1,
            "frame_age_p50_ms": 5.0,
            "frame_age_max_ms": 5.0,
            "latency_p50_ms": 2.75,
        },
    ]


def test_an_empty_run_has_no_timeline() -> None:
    recorder = Recorder(0)
    recorder.finish(1_000_000_000)
    assert recorder.timeline.rows == ()
    assert recorder.statistics.n == 0
    assert not recorder.steady


def test_the_timeline_keeps_the_last_hour(make_result: Make) -> None:
    timeline = Timeline()
    for second in range(MAX_ROWS + 100):
        timeline.add(make_result(second, at_ms=second * 1000), drops=0)
    timeline.finish(0)
    assert len(timeline.rows) == MAX_ROWS
    assert timeline.rows[-1].t_s == MAX_ROWS + 99


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ([1.0] * 10, True),
        ([1.0, 1.0, 1.0, 1.09, 1.09, 1.09], True),
        ([1.0, 1.0, 1.0, 1.2, 1.2, 1.2], False),
        ([2.0, 2.0, 2.0, 1.0, 1.0, 1.0], False),
        ([1.0, None, 1.0, None, 1.0, 1.0], True),
        ([1.0, 1.0, 1.0], False),
    ],
)
def test_steady_compares_the_halves(latencies: list[float | None], expected: bool) -> None:
    rows = [Row(second, 10, 0, None, None, value) for second, value in enumerate(latencies)]
    assert steady(rows) is expected


@pytest.mark.parametrize(
    "values",
    [[0], [0, 0, 1], [5], [1000, 1001], list(range(1, 5000)), [10**k for k in range(12)]],
)
def test_a_chart_counts_every_sample_in_few_bins_that_hold_it(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    bins = chart_bins(histogram)
    assert sum(count for *_, count in bins) == len(values)
    assert len(bins) <= MAX_BINS
    assert all(low < high for low, high, _ in bins)
    assert all(one[1] <= other[0] * (1 + 1e-9) for one, other in pairwise(bins))
    assert bins[0][0] * 1e6 <= max(min(values), 1) * 1.001
    assert bins[-1][1] * 1e6 >= max(values) * 0.999


def test_a_chart_of_nothing() -> None:
    assert chart_bins(Histogram()) == []
