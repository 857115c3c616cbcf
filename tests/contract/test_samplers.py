"""What every sampler promises, tried on all of them, on a made-up /sys."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_device.bench.soak import Soak
from edge_device.metrics.recorder import Recorder
from edge_hardware.thermal import Thermal
from edge_sdk import Result
from edge_sdk.errors import ConfigError, EngineError, SamplerError
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


STEPS: list[tuple[str, Callable[[Sampler], object]]] = [
    ("start", lambda sampler: sampler.start()),
    ("begin window", lambda sampler: sampler.begin_window(WINDOW.start_ns)),
    ("finish", lambda sampler: sampler.finish(WINDOW)),
]


def run_through(sampler: Sampler) -> None:
    """One repeat."""
    for _, step in STEPS:
        step(sampler)


@pytest.fixture(params=[OSError(5, "Input/output error"), RuntimeError(""), KeyError("watts")])
def error(request: pytest.FixtureRequest) -> Exception:
    """What a backend may raise."""
    raised: Exception = request.param
    return raised


def test_a_backend_that_cannot_be_started_is_an_error_with_a_fix(error: Exception) -> None:
    before = set(threading.enumerate())
    sampler = FakeSampler(fail_at=["start"], error=error)
    with pytest.raises(SamplerError, match="energy_measured cannot be started") as caught:
        sampler.start()
    assert caught.value.fix and not sampler.running and sampler.calls == ["start"]
    wait_until(lambda: set(threading.enumerate()) <= before, "the end of its thread")
    sampler.fail_at.clear()
    run_through(sampler)
    assert (sampler.windows, sampler.faults) == ([WINDOW], [])


def test_an_error_of_ours_is_raised_as_it_is() -> None:
    error = EngineError("no such meter", fix="plug it in")
    with pytest.raises(EngineError, match="no such meter"):
        FakeSampler(fail_at=["start"], error=error).start()


def test_samples_that_fail_are_counted_whatever_is_raised(error: Exception) -> None:
    sampler = FakeSampler(every_s=1000.0, fail_at=["sample"], error=error)
    run_through(sampler)
    assert (sampler.failed, sampler.samples, sampler.reasons()) == (2, 0, ())


@pytest.mark.parametrize("call", ["begin window", "finish"])
def test_any_other_call_that_fails_is_a_reason(call: str, error: Exception) -> None:
    sampler = FakeSampler(every_s=1000.0, fail_at=[call], error=error)
    run_through(sampler)
    assert sampler.calls == ["start", "sample", "begin window", "sample", "finish"]
    (reason,) = sampler.reasons()
    assert reason.code == "sampler-failed"
    assert reason.text.removeprefix("energy_measured: ") == (str(error) or "RuntimeError")
    sampler.reset()
    assert sampler.reasons() == ()


@pytest.fixture
def hanging(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Sampler, Callable[[], object]]]:
    """A sampler, and a call after which every read hangs: of a pipe that nobody writes to, or of
    the fake. At the end all reads return.
    """
    file = tmp_path / ("statm" if request.param == "soak" else "class/thermal/thermal_zone0/temp")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("48686 100")
    (file.parent / "type").write_text("cpu-thermal")
    (tmp_path / "fd").mkdir()
    fake = FakeSampler(every_s=0.001)
    made: dict[str, Callable[[], Sampler]] = {
        "thermal": lambda: Thermal(tmp_path, every_s=0.001),
        "soak": lambda: Soak(str(tmp_path), every_s=0.001),
        "fake": lambda: fake,
    }

    def hang() -> None:
        fake.hang_at.add("sample")
        os.mkfifo(pipe := file.with_name("pipe"))
        pipe.replace(file)

    sampler = made[request.param]()
    sampler.limit_s = 0.1
    threads = set(threading.enumerate())
    yield sampler, hang
    fake.released.set()
    while set(threading.enumerate()) - threads:
        with open(os.open(file, os.O_RDWR | os.O_NONBLOCK), "w") as pipe:
            pipe.write("48686 100\n")
            pipe.flush()
            time.sleep(0.01)


@pytest.mark.parametrize("hanging", ["thermal", "soak", "fake"], indirect=True)
def test_a_read_that_hangs_for_good_holds_up_nothing(
    hanging: tuple[Sampler, Callable[[], object]],
) -> None:
    sampler, hang = hanging
    sampler.start()
    hang()
    began_s = time.monotonic()
    sampler.begin_window(WINDOW.start_ns)
    time.sleep(0.05)  # a sample is due every millisecond
    sampler.finish(WINDOW)
    assert time.monotonic() - began_s < 5.0
    assert (sampler.hung, sampler.windows, sampler.running) == (1, [WINDOW], False)
    assert sampler.reasons()[0].code == "sampler-failed"
    assert "did not return within 0.1 s" in sampler.reasons()[0].text
    assert sampler.document() is not None
    with pytest.raises(SamplerError, match="still hangs"):
        sampler.start()


def test_a_start_that_hangs_is_an_error() -> None:
    sampler = FakeSampler(hang_at=["start"])
    sampler.limit_s = 0.05
    with pytest.raises(SamplerError, match="did not return"):
        sampler.start()
    sampler.released.set()


def test_a_repeat_stopped_within_its_warm_up_is_forgotten(make: Make) -> None:
    sampler = make(every_s=1000.0)
    run_through(sampler)
    document = sampler.document()
    sampler.start()
    sampler.finish(WINDOW)
    assert (sampler.document(), sampler.windows) == (document, [WINDOW])
    run_through(sampler)
    assert len(sampler.windows) == 2


def test_where_one_cannot_be_started_the_others_are_and_all_are_finished(
    make_result: Callable[..., Result],
) -> None:
    meters = [FakeSampler(), FakeSampler(fail_at=["start"]), FakeSampler()]
    recorder = Recorder(0, samplers=meters)
    with pytest.raises(SamplerError):
        recorder.add(make_result(0, at_ms=0))
    recorder.finish()
    assert [meter.calls for meter in meters] == [
        ["start", "sample", "sample", "finish"],
        ["start"],
        ["start", "sample", "sample", "finish"],
    ]
    assert not any(sampler.running for sampler in recorder.samplers)


def test_where_one_cannot_be_finished_the_others_are(make_result: Callable[..., Result]) -> None:
    meters = [FakeSampler(fail_at=["finish"]), FakeSampler()]
    recorder = Recorder(0, samplers=meters)
    for index in range(12):
        recorder.add(make_result(index, at_ms=200 * index))
    recorder.finish()
    assert [len(meter.reasons()) for meter in meters] == [1, 0]
    assert all(meter.calls[-1] == "finish" for meter in meters)
