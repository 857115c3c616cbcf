"""Temperature, clocks and throttling, read from trees of files like the kernel's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_hardware.thermal import MAX_SAMPLES, Thermal, Throttling
from edge_sdk.sampling.sampler import Window
from waiting import PATIENCE_S, wait_until

WINDOW = Window(0, 1, 1)
ZONE = "class/thermal/thermal_zone{}"


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def write_zone(sys: Path, number: int, kind: str, thousandths: object) -> None:
    write(sys / ZONE.format(number) / "type", kind)
    write(sys / ZONE.format(number) / "temp", thousandths)


def write_clock(sys: Path, policy: int, khz: object) -> None:
    write(sys / f"devices/system/cpu/cpufreq/policy{policy}/scaling_cur_freq", khz)


@pytest.fixture
def vcgencmd(tmp_path: Path) -> Callable[[str], str]:
    """`vcgencmd(script)`: the path of a command that runs it."""

    def make(script: str) -> str:
        path = tmp_path / "vcgencmd"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_raspberry_pi_4_in_the_course_of_time(tmp_path: Path, driven_clock: Any) -> None:
    """Values as its thermal_zone0/temp, scaling_cur_freq and get_throttled have them."""

    def now(celsius: int, khz: int, bits: str) -> None:
        write_zone(tmp_path, 0, "cpu-thermal", celsius)
        write_clock(tmp_path, 0, khz)
        write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", bits)

    now(48_686, 600_000, "0")
    thermal = Thermal(tmp_path, now_ns=driven_clock.now_ns)
    thermal.sample()
    driven_clock.advance(1.0)
    now(84_721, 1_500_000, "e0008")
    thermal.sample()
    driven_clock.advance(1.0)
    now(80_000, 1_500_000, "0")
    thermal.sample()
    assert thermal.document() == {
        "start_c": 48.686,
        "end_c": 80.0,
        "max_c": 84.721,
        "throttled": True,
        "causes": ["frequency capped", "throttled", "soft temperature limit"],
        "clocks": {"min_mhz": 600.0, "max_mhz": 1500.0},
        "samples": [
            {"t_s": 0.0, "celsius": 48.686, "mhz": 600.0},
            {"t_s": 1.0, "celsius": 84.721, "mhz": 1500.0},
            {"t_s": 2.0, "celsius": 80.0, "mhz": 1500.0},
        ],
    }


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    thermal = Thermal(tmp_path)
    thermal.start()
    thermal.finish(WINDOW)
    assert thermal.document() == {
        **dict.fromkeys(("start_c", "end_c", "max_c", "throttled")),
        "causes": [],
        "clocks": {"min_mhz": None, "max_mhz": None},
        "samples": [],
    }


def test_only_the_processors_zones_count_and_of_them_the_hottest(tmp_path: Path) -> None:
    write_zone(tmp_path, 0, "acpitz", 95_000)
    write_zone(tmp_path, 1, "gpu-thermal", 90_000)
    write_zone(tmp_path, 2, "cpu0-thermal", 51_000)
    write_zone(tmp_path, 3, "cpu1-thermal", 53_500)
    write_clock(tmp_path, 0, 1_400_000)
    write_clock(tmp_path, 4, 2_400_000)
    thermal = Thermal(tmp_path)
    thermal.sample()
    write_zone(tmp_path, 3, "cpu1-thermal", "")  # a driver that fails now and then
    thermal.sample()
    assert [(s.celsius, s.mhz) for s in thermal.samples] == [(53.5, 2400.0), (51.0, 2400.0)]
    assert thermal.document()["max_c"] == 53.5


def test_a_thread_looks_again_and_again_until_the_end(tmp_path: Path) -> None:
    write_zone(tmp_path, 0, "x86_pkg_temp", 40_000)
    before = set(threading.enumerate())
    thermal = Thermal(tmp_path, every_s=0.001)
    thermal.start()
    assert len(set(threading.enumerate()) - before) == 1
    wait_until(lambda: len(thermal.samples) >= 5, "five samples")
    write_zone(tmp_path, 0, "x86_pkg_temp", 41_000)
    thermal.finish(WINDOW)
    assert set(threading.enumerate()) <= before
    document = thermal.document()
    assert (document["start_c"], document["end_c"], document["max_c"]) == (40.0, 41.0, 41.0)


def test_it_keeps_its_size_and_the_beginning(tmp_path: Path) -> None:
    write_zone(tmp_path, 0, "cpu-thermal", 30_000)
    thermal = Thermal(tmp_path)
    thermal.sample()
    write_zone(tmp_path, 0, "cpu-thermal", 60_000)
    for _ in range(MAX_SAMPLES + 10):
        thermal.sample()
    document = thermal.document()
    assert len(document["samples"]) == MAX_SAMPLES
    assert (document["start_c"], document["end_c"]) == (30.0, 60.0)


def test_several_stretches_of_time_are_one_course(tmp_path: Path, driven_clock: Any) -> None:
    write_zone(tmp_path, 0, "cpu-thermal", 50_000)
    write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", "0")
    thermal = Thermal(tmp_path, every_s=1000.0, now_ns=driven_clock.now_ns)
    for celsius, bits in ((50_000, "0"), (70_000, "20000"), (60_000, "0")):
        write_zone(tmp_path, 0, "cpu-thermal", celsius)
        write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", bits)
        thermal.start()
        thermal.begin_window(0)
        thermal.finish(WINDOW)
        assert thermal.throttling.throttled() is (bits != "0")
        driven_clock.advance(30.0)
    document = thermal.document()
    times = [sample["t_s"] for sample in document["samples"]]
    assert times == [0.0, 0.0, 30.0, 30.0, 60.0, 60.0]  # at each beginning and end
    assert (document["start_c"], document["end_c"], document["max_c"]) == (50.0, 60.0, 70.0)
    assert (document["throttled"], document["causes"]) == (True, ["frequency capped"])
    thermal.reset()
    assert (thermal.document()["throttled"], thermal.document()["samples"]) == (False, [])


@pytest.mark.parametrize(
    ("bits", "causes"),
    [
        ("0", []),
        ("50005", ["under-voltage", "throttled"]),
        ("10000", ["under-voltage"]),
        ("80008", ["soft temperature limit"]),
    ],
)
def test_what_the_command_of_a_raspberry_pi_prints(
    tmp_path: Path, vcgencmd: Callable[[str], str], bits: str, causes: list[str]
) -> None:
    command = vcgencmd(f'[ "$*" = get_throttled ] && echo throttled=0x{bits}')
    watch = Throttling(tmp_path / "sys", vcgencmd=command)
    assert watch.throttled() is bool(causes)
    assert watch.causes == causes


@pytest.mark.parametrize(
    "script",
    [
        # Where /dev/vcio may not be opened, and where the name belongs to something else.
        "echo 'Can not open device file /dev/vcio'; exit 255",
        "echo hello",
        "echo throttled=",
        "kill -9 $$",
    ],
)
def test_a_command_that_does_not_tell(
    tmp_path: Path, vcgencmd: Callable[[str], str], script: str
) -> None:
    assert Throttling(tmp_path / "sys", vcgencmd=vcgencmd(script)).throttled() is None


def test_the_kernels_file_is_read_before_a_command_is_asked(
    tmp_path: Path, vcgencmd: Callable[[str], str]
) -> None:
    folder = tmp_path / "sys/devices/platform/soc@107c000000"  # a Raspberry Pi 5
    write(folder / "soc@107c000000:firmware/get_throttled", "0")
    called = tmp_path / "called"
    watch = Throttling(tmp_path / "sys", vcgencmd=vcgencmd(f"touch {called}"))
    assert watch.throttled() is False
    assert not called.exists()


def test_the_counters_of_x86_have_a_name(tmp_path: Path) -> None:
    counter = tmp_path / "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    write(counter, 3)
    watch = Throttling(tmp_path)
    write(counter, 4)
    watch.end()
    assert watch.causes == ["thermal throttling counted by the kernel"]


def test_on_a_simulated_kernel(tmp_path: Path) -> None:
    """umockdev puts a made-up device under the real /sys of a process."""
    if shutil.which("umockdev-run") is None:
        pytest.skip("NOT TESTED: umockdev-run is not installed (apt install umockdev)")
    device = tmp_path / "zone.umockdev"
    device.write_text(
        "P: /devices/virtual/thermal/thermal_zone0\n"
        "E: SUBSYSTEM=thermal\n"
        "A: type=cpu-thermal\\n\n"
        "A: temp=48686\\n\n\n"
    )
    code = (
        "from edge_hardware import Thermal; thermal = Thermal(); thermal.sample(); "
        "print(thermal.samples[0].celsius)"
    )
    done = subprocess.run(
        ["umockdev-run", "--device", str(device), "--", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout.strip() == "48.686", done.stderr
