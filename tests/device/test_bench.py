"""The benchmark: its scenarios, its document, and what is honest about it."""

from __future__ import annotations

import math
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device.bench import FRAMES, Workers, made_up_frames, repeats_detail, run_bench
from edge_device.cameras.synthetic import Pattern
from edge_device.recorder import Recorder
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.errors import ConfigError, EngineError, NotAvailableYet
from edge_sdk.recognizer import Recognizer
from edge_sdk.results import Result

RUN_KEYS = {
    *("schema", "bundle", "engine", "scenario", "machine", "n", "seconds", "fps", "drops"),
    *("deadline_ms", "deadline_misses", "latency", "frame_age", "stages", "energy_measured"),
    *("energy_model", "thermal", "preprocess", "valid", "invalid_because", "mlperf"),
}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Callable[..., Path]) -> Path:
    return tiny_bundle()


@pytest.mark.parametrize("scenario", ["single-stream", "offline"])
def test_the_bench_document(bundle: Path, scenario: str) -> None:
    document = run_bench(bundle, scenario=scenario, seconds=0.2, repeats=2).as_dict()
    assert set(document) >= RUN_KEYS
    assert document["schema"] == "edge-sdk/bench/1"
    assert document["scenario"] == scenario
    assert document["mlperf"]["scenario"] == scenario
    assert document["input"]["kind"] == "synthetic"
    assert (document["input"]["width"], document["input"]["height"]) == (1280, 720)
    assert document["workers"] == (2 if scenario == "offline" else 1)
    assert document["engine"]["threads"] == (1 if scenario == "offline" else 2)
    assert document["drops"] is None
    assert document["stages"]["capture"] == dict.fromkeys(("p50", "p90", "p95", "p99"))
    assert set(document["frame_age"].values()) == {None}
    repeats = document["repeats"]
    assert repeats["count"] == len(repeats["runs"]) == 2
    assert document["n"] == sum(run["n"] for run in repeats["runs"])
    assert document["seconds"] == sum(run["seconds"] for run in repeats["runs"])
    assert all(run["seconds"] >= 0.2 for run in repeats["runs"])
    assert repeats["fps"]["low"] <= repeats["fps"]["median"] <= repeats["fps"]["high"]
    assert repeats["latency_p50"]["low"] > 0
    assert document["results"] > document["n"]
    assert document["results"] == document["n"] + document["warmup"]["results"]
    assert document["warmup"]["seconds"] >= 2.0
    assert document["warmup"]["rule"].endswith(", in each repeat")
    assert document["timeline"] is None
    for run in repeats["runs"]:
        assert sum(row["frames"] for row in run["timeline"]) == run["n"]
    assert "after the warm-up, at least 10 s are needed" in document["invalid_because"]


def test_stop_ends_it_with_what_there_is(bundle: Path) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 30

    document = run_bench(bundle, seconds=60, repeats=5, stop=stop).as_dict()
    assert document["repeats"]["count"] == 1
    assert document["n"] == document["results"] == 31
    assert sum(row["frames"] for row in document["timeline"]) == 31
    assert "nothing is excluded" in document["warmup"]["rule"]


def test_stop_within_the_warm_up_of_a_later_repeat_keeps_the_first(bundle: Path) -> None:
    """The first repeat ends 1.05 s after its first answer, the second's warm-up not before 2 s."""
    asked_at: list[float] = []

    def stop() -> bool:
        asked_at.append(time.monotonic())
        return asked_at[-1] - asked_at[0] > 1.6

    document = run_bench(bundle, seconds=0.05, repeats=50, stop=stop).as_dict()
    assert document["repeats"]["count"] == 1
    assert document["warmup"]["seconds"] >= 1.0
    assert len(asked_at) > document["results"] > document["n"] > 0


def test_the_frames_are_the_same_every_time() -> None:
    first, second = made_up_frames(), made_up_frames()
    assert len(first) == FRAMES
    assert len({frame.pixels.tobytes() for frame in first}) == FRAMES
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_the_frames_cost_no_more_memory_than_they_hold() -> None:
    """A picture of 1280 x 720 is 2.8 MB, the wider one it is cut from twice that."""
    tracemalloc.start()
    pattern = Pattern(1280, 720)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 5_529_600 <= peak < 6_000_000
    x, y = np.arange(1280), np.arange(720)[:, None]
    expected = (x * 255 // 1280 + 0 * y, y * 255 // 720 + 0 * x, (x + y) % 256)
    pixels = pattern(0)
    assert np.array_equal(pixels[180:], np.stack(expected, axis=2)[180:])
    assert (pixels[:180, :180] == 255).all()


def test_a_worker_that_fails_ends_the_iteration(tiny_parts: Callable[..., Any]) -> None:
    manifest, members = tiny_parts()
    calls: list[int] = []

    def answer(_inputs: Any) -> Any:
        calls.append(1)
        if len(calls) > 100:
            raise RuntimeError("overheated")
        return (np.zeros((1, 3), np.int8),)

    specs = (manifest.input.tensor.spec,), (manifest.outputs[0].tensor.spec,)
    labels = tuple(members["labels.txt"].decode().splitlines())
    recognizer = Recognizer(manifest, labels, FakeEngine(*specs, answer=answer))
    with (
        Workers([recognizer], made_up_frames()) as workers,
        pytest.raises(EngineError, match="overheated"),
    ):
        for _ in workers:
            pass
    assert not [t for t in threading.enumerate() if t.name == "edge-offline"]


def test_a_figure_that_a_repeat_lacks_has_no_spread(make_result: Callable[..., Result]) -> None:
    recorders = []
    for count in (5, 50):
        recorder = Recorder(0, camera=False)
        for index in range(count):
            recorder.add(make_result(index, at_ms=10 * index, invoke_ms=count))
        recorder.finish()
        recorders.append(recorder)
    detail = repeats_detail(recorders)
    assert detail["latency_p50"] is None
    assert detail["fps"]["high"] == pytest.approx(125)
    assert detail["fps"]["median"] == pytest.approx((125 + 50 / 0.49) / 2)
    assert [run["n"] for run in detail["runs"]] == [5, 50]


@pytest.mark.parametrize("scenario", ["multi-stream", "server"])
def test_scenarios_of_later_versions(bundle: Path, scenario: str) -> None:
    with pytest.raises(NotAvailableYet, match=scenario) as caught:
        run_bench(bundle, scenario=scenario)
    assert "single-stream" in caught.value.fix


def test_options_that_make_no_sense(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="ofline"):
        run_bench(bundle, scenario="ofline")
    for seconds, repeats in ((0, 1), (-1, 1), (math.nan, 1), (1, 0)):
        with pytest.raises(ConfigError, match="repeats"):
            run_bench(bundle, seconds=seconds, repeats=repeats)
