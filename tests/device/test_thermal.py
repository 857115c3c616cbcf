"""Throttling, read from a tree of files like the kernel's, and what it makes of a run."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge_device.metrics.recorder import Recorder, with_thermal
from edge_device.metrics.run_report import Identity, make_report
from edge_device.metrics.summary_text import summary
from edge_device.run.runtime import open_subject
from edge_hardware.thermal import Thermal, Throttling
from edge_sdk import Result
from edge_sdk.errors import SamplerError
from waiting import wait_until

Make = Callable[..., Result]


def write_bits(sys: Path, text: str) -> None:
    """What a Raspberry Pi's firmware says."""
    path = sys / "devices/platform/soc/soc:firmware/get_throttled"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_counts(sys: Path, *counts: int, kind: str = "core") -> None:
    """How often each x86 core was throttled."""
    for number, count in enumerate(counts):
        folder = sys / f"devices/system/cpu/cpu{number}/thermal_throttle"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{kind}_throttle_count").write_text(f"{count}\n")


@pytest.mark.parametrize(
    ("bits", "throttled"),
    [
        ("0\n", False),
        ("1\n", True),
        ("8\n", True),
        ("50000\n", True),
        ("80000\n", True),
        ("0x4\n", True),
        ("fff0\n", False),  # bits that mean nothing here
        ("", None),
        ("none\n", None),
    ],
)
def test_the_bits_of_a_raspberry_pi(tmp_path: Path, bits: str, throttled: bool | None) -> None:
    write_bits(tmp_path, bits)
    assert Throttling(tmp_path).throttled() is throttled


def test_what_the_firmware_forgets_is_remembered(tmp_path: Path) -> None:
    write_bits(tmp_path, "0")
    watch = Throttling(tmp_path)
    assert watch.throttled() is False
    write_bits(tmp_path, "20002")
    watch.sample()
    write_bits(tmp_path, "0")
    assert watch.throttled() is True


@pytest.mark.parametrize("kind", ["core", "package"])
def test_a_counter_of_x86_that_goes_on(tmp_path: Path, kind: str) -> None:
    write_counts(tmp_path, 7, 7)
    write_counts(tmp_path, 3, 3, kind="package")
    watch = Throttling(tmp_path)
    assert watch.throttled() is False
    write_counts(tmp_path, 7, 8, kind=kind)
    assert watch.throttled() is True


def test_what_comes_after_the_end_does_not_count(tmp_path: Path) -> None:
    write_bits(tmp_path, "0")
    write_counts(tmp_path, 7)
    watch = Throttling(tmp_path)
    watch.end()
    write_bits(tmp_path, "4")
    write_counts(tmp_path, 8)
    assert watch.throttled() is False


def test_a_machine_that_does_not_tell(tmp_path: Path) -> None:
    assert Throttling(tmp_path).throttled() is None
    (tmp_path / "devices/system/cpu/cpu0/thermal_throttle").mkdir(parents=True)
    assert Throttling(tmp_path).throttled() is None


def test_a_recorder_looks_while_it_goes_on(tmp_path: Path, make_result: Make) -> None:
    write_bits(tmp_path, "0")
    before = set(threading.enumerate())
    recorder = Recorder(0, samplers=[(thermal := Thermal(tmp_path, every_s=0.001))])
    recorder.add(make_result(0, at_ms=0))
    assert recorder.throttled is False
    write_bits(tmp_path, "40004")
    wait_until(lambda: thermal.throttling.causes, "a look at the throttling")
    write_bits(tmp_path, "0")
    recorder.finish()
    assert set(threading.enumerate()) <= before
    assert recorder.throttled is True


@pytest.fixture
def recorded(make_result: Make) -> Callable[..., Recorder]:
    """`recorded(sys, during)`: 12 s of answers, steady; `during` is called after 5 s."""

    def record(
        sys: Path, during: Callable[[], object] = lambda: None, thermal: Thermal | None = None
    ) -> Recorder:
        recorder = Recorder(0, camera=False, samplers=[thermal or Thermal(sys)])
        for index in range(1200):
            if index == 500:
                during()
            recorder.add(make_result(index, at_ms=10 * index))
        recorder.finish()
        return recorder

    return record


def test_a_run_is_valid_where_nothing_was_throttled_and_only_there(
    tmp_path: Path, tiny_bundle: Callable[..., Path], recorded: Callable[..., Recorder]
) -> None:
    recognizer, subject = open_subject(tiny_bundle(), "litert", threads=1)
    recognizer.close()
    cool, hot, mute = tmp_path / "cool", tmp_path / "hot", tmp_path / "mute"
    write_counts(cool, 4, 0)
    write_counts(hot, 4, 0)
    runs = {
        False: recorded(cool),
        True: recorded(hot, lambda: write_counts(hot, 4, 1)),
        None: recorded(mute),
    }
    documents = {
        throttled: make_report(Identity("bench", "single-stream", subject), [run]).as_dict()
        | {"input": {"kind": "synthetic", "width": 1, "height": 1}, "workers": 1}
        for throttled, run in runs.items()
    }
    for throttled, document in documents.items():
        assert document["thermal"]["throttled"] is throttled
        assert document["valid"] is (throttled is False)
    assert documents[False]["invalid_because"] is None
    assert documents[True]["invalid_because"] == "the processor was throttled"
    assert documents[None]["invalid_codes"] == ["throttling-unknown"]
    words = "not marked valid: throttling cannot be read on this machine; all other rules are met"
    assert words in summary(documents[None])
    assert "no: the processor was throttled" in summary(documents[True])
    pages = {}
    for throttled, run in runs.items():
        page = make_report(Identity("bench", "single-stream", subject), [run]).save(
            tmp_path / "report"
        )
        pages[throttled] = page.read_text("utf-8").partition("<main>")[0]
    assert "N" + words[1:] in pages[None] and 'class="banner' not in pages[None]
    assert "Not valid as a measurement:" in pages[True] and 'class="banner warn"' in pages[True]
    assert "Valid." in pages[False]


def test_each_repeat_watches_from_its_beginning_not_from_its_first_answer(
    tmp_path: Path, make_result: Make
) -> None:
    write_counts(tmp_path, 0)
    thermal = Thermal(tmp_path)
    write_counts(tmp_path, 1)  # while the engine is opened
    throttled = []
    for during in (0, 0, 1, 0):
        write_counts(tmp_path, 2)  # between two repeats
        recorder = Recorder(0, camera=False, samplers=[thermal])
        write_counts(tmp_path, 2 + during)  # before the first answer
        for index in range(300):
            recorder.add(make_result(index, at_ms=10 * index))
        recorder.finish()
        throttled.append(recorder.throttled)
    assert throttled == [False, False, True, False]
    assert thermal.document()["throttled"] is True


def test_a_repeat_stopped_within_its_warm_up_is_not_one_that_was_throttled(
    tmp_path: Path, recorded: Callable[..., Recorder], make_result: Make
) -> None:
    write_counts(tmp_path, 0)
    thermal = Thermal(tmp_path)
    recorded(tmp_path, thermal=thermal)
    stopped = Recorder(0, camera=False, samplers=[thermal])
    stopped.add(make_result(0, at_ms=0))
    write_counts(tmp_path, 1)
    stopped.finish()
    assert stopped.throttled is True
    assert thermal.document()["throttled"] is False


def test_of_several_repeats_one_that_was_throttled_is_enough(
    tmp_path: Path, tiny_bundle: Callable[..., Path], recorded: Callable[..., Recorder]
) -> None:
    recognizer, subject = open_subject(tiny_bundle(), "litert", threads=1)
    recognizer.close()
    for states, expected in (
        (("cool", "cool"), False),
        (("throttled", "cool"), True),
        (("cool", "mute"), None),
        (("mute", "throttled"), True),
    ):
        sys, thermal, repeats = tmp_path / "-".join(states), None, []
        for state in states:
            if state == "mute":
                shutil.rmtree(sys, ignore_errors=True)
            else:
                write_counts(sys, 0)
            thermal = thermal or Thermal(sys)
            during = partial(write_counts, sys, 1) if state == "throttled" else lambda: None
            repeats.append(recorded(sys, during, thermal))
        report = make_report(Identity("bench", "offline", subject), repeats)
        assert report.throttled is expected
        assert report.valid is (expected is False)


@pytest.mark.parametrize("optional", [False, True])
def test_a_thermal_that_cannot_be_started_ends_no_run_that_did_not_ask_for_it(
    tmp_path: Path, make_result: Make, optional: bool
) -> None:
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal")
    os.mkfifo(zone / "temp")  # nobody writes to it: a read hangs
    thermal = Thermal(tmp_path)
    thermal.limit_s, thermal.optional = 0.1, optional
    recorder = Recorder(0, samplers=[thermal])
    try:
        if not optional:
            with pytest.raises(SamplerError, match="did not return within"):
                recorder.add(make_result(0, at_ms=0))
            return
        for index in range(12):
            recorder.add(make_result(index, at_ms=200 * index))
        recorder.finish()
        reason = thermal.reasons()[0]
        assert reason.code == "sampler-failed" and "did not return within" in reason.text
        assert (thermal.document()["start_c"], thermal.document()["samples"]) == (None, [])
    finally:
        (zone / "temp").open("w").close()


def test_only_the_thermal_that_nobody_asked_for_is_optional() -> None:
    asked = Thermal()
    assert [one.optional for one in with_thermal([asked])] == [False]
    assert [one.optional for one in with_thermal([])] == [True]
