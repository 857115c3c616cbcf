"""When the warm-up of a run or a benchmark is over, on results made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from edge_device.metrics.recorder import Recorder
from edge_device.metrics.warmup import FirstSecond, UntilSteady
from edge_sdk import Result

Make = Callable[..., Result]


def ended(make_result: Make, latencies_ms: Sequence[float], every_ms: float) -> int | None:
    """Which answer ends it; None where it goes on."""
    warmup = UntilSteady()
    for index, invoke_ms in enumerate(latencies_ms):
        if warmup.over(make_result(index, at_ms=index * every_ms, invoke_ms=invoke_ms)):
            return index
    return None


def test_a_camera_run_leaves_out_its_first_second(make_result: Make) -> None:
    warmup = FirstSecond()
    times = (5000, 5999, 6000)
    assert [warmup.over(make_result(at_ms=at)) for at in times] == [False, False, True]


def test_it_ends_after_two_half_seconds_that_are_the_same(make_result: Make) -> None:
    # 100 a second. The windows end at 0.5 s and 1 s.
    assert ended(make_result, [2.0] * 500, 10) == 100


def test_it_goes_on_as_long_as_latency_falls(make_result: Make) -> None:
    """A processor that speeds up: 20 % less each half-second until 3 s."""
    latencies = [20 * 0.8 ** min(6, index // 50) for index in range(1000)]
    place = ended(make_result, latencies, 10)
    assert place is not None and place * 10 == pytest.approx(4000, abs=50)


def test_a_single_slow_answer_does_not_matter(make_result: Make) -> None:
    latencies = [2.0] * 500
    latencies[60] = 400.0
    assert ended(make_result, latencies, 10) == 100


def test_a_slow_model_has_windows_of_three_answers(make_result: Make) -> None:
    """One every 2 s: the first window ends with the third answer, the second with the sixth."""
    assert ended(make_result, [900.0] * 10, 2000) == 5


def test_it_ends_after_ten_seconds_whatever_comes_and_says_so(make_result: Make) -> None:
    warmup = UntilSteady()
    assert "they still differed" in warmup.rule
    latencies = [2.0 * (1 + (index // 50) % 2) for index in range(2000)]
    assert ended(make_result, latencies, 10) == 1000
    recorder = Recorder(0, camera=False, warmup=warmup)
    for index, invoke_ms in enumerate(latencies):
        recorder.add(make_result(index, at_ms=index * 10, invoke_ms=invoke_ms))
    recorder.finish()
    assert recorder.warmup["results"] == 1001
    assert recorder.warmup["rule"].endswith("they still differed by more after 10 s")
    assert (recorder.statistics.n, recorder.results) == (999, 2000)


def test_when_answers_come_does_not_show_in_it(make_result: Make) -> None:
    """Frames that were scheduled long before they are answered: the queue is no warm-up."""
    warmup = UntilSteady()
    over = [
        warmup.over(make_result(index, at_ms=index * 10, age_ms=index * 100))
        for index in range(101)
    ]
    assert over == [False] * 100 + [True]
    assert "they still differed" not in warmup.rule
