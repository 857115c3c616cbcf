"""What every sampler promises, tried on all of them, on a made-up /sys."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_device.bench.soak import Soak
from edge_hardware.thermal import Thermal
from edge_sdk.errors import ConfigError
from edge_sdk.sampling.fake import FakeSampler
from edge_sdk.sampling.sampler import Sampler, Window
from waiting import wait_until

WINDOW = Window(2_000_000_000, 12_000_000_000, 1000)
Make = Callable[..., Sampler]


@pytest.fixture(params=["thermal", "soak", "fake"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """`make(every_s=…, now_ns=…)`: a sampler that has not begun."""
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal")
    (zone / "temp").write_text("48686")

    def thermal(**options: Any) -> Sampler:
        return Thermal(tmp_path, **options)

    makers: dict[str, Make] = {"thermal": thermal, "soak": Soak, "fake": FakeSampler}
    return makers[request.param]


def test_a_repeat_has_a_thread_that_ends_and_a_document(make: Make) -> None:
    before = set(threading.enumerate())
    sampler = make(every_s=0.001)
    sampler.start()
    sampler.begin_window(WINDOW.start_ns)
    assert len(set(threading.enumerate()) - before) == 1
    cost_ns = sampler.cost_ns
    wait_until(lambda: sampler.cost_ns > cost_ns, "another sample")
    sampler.finish(WINDOW)
    assert set(threading.enumerate()) <= before
    assert sampler.windows == [WINDOW]
    assert sampler.failed == 0
    document = sampler.document()
    assert document and json.loads(json.dumps(document)) == document
    assert sampler.document() is not document
    assert all(code and text for code, text in sampler.reasons())


def test_repeats_are_counted_and_forgotten(make: Make) -> None:
    sampler = make(every_s=1000.0)
    for _ in range(3):
        sampler.start()
        sampler.begin_window(WINDOW.start_ns)
        sampler.finish(WINDOW)
    assert sampler.windows == [WINDOW] * 3
    sampler.reset()
    assert (sampler.windows, sampler.gaps, sampler.cost_ns) == ([], 0, 0)


def test_a_run_that_ends_within_its_warm_up_counts_only_alone(make: Make) -> None:
    sampler = make(every_s=1000.0)
    for _ in range(2):
        sampler.start()
        sampler.finish(WINDOW)
    assert sampler.windows == [WINDOW]


def test_gaps_are_counted(make: Make, driven_clock: Any) -> None:
    sampler = make(every_s=1.0, now_ns=driven_clock.now_ns)
    for pause_s in (1.0, 3.0, 3.1, 20.0):
        sampler.sample()
        driven_clock.advance(pause_s)
    sampler.sample()
    assert sampler.gaps == 2


def test_another_order_is_an_error(make: Make) -> None:
    with pytest.raises(ConfigError, match="finished before its start"):
        make().finish(WINDOW)
    with pytest.raises(ConfigError, match="told of a window"):
        make().begin_window(0)
    sampler = make(every_s=1000.0)
    sampler.start()
    with pytest.raises(ConfigError, match="started twice"):
        sampler.start()
    with pytest.raises(ConfigError, match="reset while it runs"):
        sampler.reset()
    sampler.finish(WINDOW)
    with pytest.raises(ConfigError, match="0 s"):
        make(every_s=0.0)


def test_a_sample_that_fails_is_counted_and_nothing_ends() -> None:
    sampler = Soak(2**30, every_s=1000.0)  # no such process
    sampler.start()
    sampler.begin_window(0)
    sampler.finish(WINDOW)
    assert (sampler.failed, sampler.samples, sampler.document()["constant"]) == (2, [], None)


def test_the_fake_records_its_calls_and_knows_the_energy() -> None:
    sampler = FakeSampler(5.0, every_s=1000.0)
    assert sampler.document() is None
    sampler.start()
    sampler.begin_window(WINDOW.start_ns)
    sampler.finish(WINDOW)
    assert sampler.calls == ["start", "sample", "begin window", "sample", "finish"]
    document = sampler.document()
    assert document is not None and document["joules_per_inference"] == pytest.approx(0.05)
