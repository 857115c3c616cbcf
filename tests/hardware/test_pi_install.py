"""Getting Edge SDK onto a Pi: `make device`, `make wheelhouse`, and the pins of its systems."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SYSTEMS = ("bookworm", "trixie")


@pytest.fixture
def device_script(
    repository: Path, tmp_path: Path
) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """scripts/device.sh where dpkg says that the system is of ARCHITECTURE; nothing is made."""
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(repository / "scripts" / "device.sh", tmp_path / "scripts")

    def run(architecture: str) -> subprocess.CompletedProcess[str]:
        dpkg = tmp_path / "dpkg"
        dpkg.write_text(f'#!/bin/sh\n[ "$*" = --print-architecture ] && echo {architecture}\n')
        dpkg.chmod(0o755)
        done = subprocess.run(
            ["sh", str(script)],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert {path.name for path in tmp_path.iterdir()} == {"dpkg", "scripts"}
        return done

    return run


def test_a_32_bit_system_is_refused(
    device_script: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    done = device_script("armhf")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: this is a 32-bit Raspberry Pi OS (armhf), which LiteRT does not run on",
        "fix: write Raspberry Pi OS (64-bit) to the card with Raspberry Pi Imager",
    ]


def test_what_is_no_pi_is_refused(
    device_script: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    done = device_script("amd64")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: this is amd64, not a Raspberry Pi",
        "fix: run it on the Pi; here it is make dev",
    ]


def test_a_wheelhouse_is_for_a_system_that_is_known(repository: Path, tmp_path: Path) -> None:
    line = [sys.executable, str(repository / "scripts" / "wheelhouse.py"), "buster", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    error, fix = done.stderr.splitlines()
    assert error == f"error: 'buster {tmp_path}' names no Raspberry Pi OS and folder"
    assert fix.startswith("fix: make wheelhouse OS=bookworm, or OS=trixie")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_that_a_pi_installs_is_pinned(system: str, repository: Path) -> None:
    pins = (repository / "hardware" / "edge_hardware" / "os" / f"{system}.txt").read_text()
    pinned = {Requirement(line).name for line in pins.splitlines() if not line.startswith("#")}
    core, device = (
        tomllib.loads((repository / folder / "pyproject.toml").read_text())["project"]
        for folder in ("", "device")
    )
    wanted = [*core["dependencies"], *device["dependencies"]]
    wanted += device["optional-dependencies"]["video"]
    names = {canonicalize_name(Requirement(line).name) for line in wanted}
    own = {"edge-sdk-core"}
    assert names - own <= {canonicalize_name(name) for name in pinned}


@pytest.mark.parametrize(
    ("system", "fitting", "others"),
    [
        (
            "bookworm",
            ("cp311-abi3-manylinux2014_aarch64", "cp311-cp311-manylinux_2_36_aarch64"),
            ("cp311-cp311-manylinux_2_37_aarch64", "cp312-cp312-manylinux_2_28_aarch64"),
        ),
        (
            "trixie",
            ("cp311-abi3-manylinux_2_17_aarch64", "cp313-cp313-manylinux_2_41_aarch64"),
            ("cp313-cp313-manylinux_2_42_aarch64", "cp311-cp311-manylinux_2_28_aarch64"),
        ),
    ],
)
def test_a_wheelhouse_takes_the_newest_wheels_that_its_system_can_use(
    system: str,
    fitting: tuple[str, ...],
    others: tuple[str, ...],
    repository: Path,
    tmp_path: Path,
) -> None:
    """Of its Python, its glibc or an older one, and arm64."""
    others += ("cp311-abi3-manylinux_2_28_x86_64", "cp311-abi3-manylinux_2_28_armv7l")
    for version, tag in enumerate([*fitting, *others], start=1):
        write_wheel(tmp_path, version, tag)
    script = runpy.run_path(str(repository / "scripts" / "wheelhouse.py"))
    line = [*script["PIP"], "download", "--no-index", f"--find-links={tmp_path}"]
    line += [f"--dest={tmp_path / 'house'}", *script["target_options"](system), "sample"]
    subprocess.run(line, check=True, capture_output=True)
    (taken,) = (tmp_path / "house").iterdir()
    assert taken.name == f"sample-{len(fitting)}-{fitting[-1]}.whl"
    line[-1] = "sample<2"
    subprocess.run(line, check=True, capture_output=True)
    assert (tmp_path / "house" / f"sample-1-{fitting[0]}.whl").is_file()


def write_wheel(folder: Path, version: int, tag: str) -> None:
    """An empty one."""
    with zipfile.ZipFile(folder / f"sample-{version}-{tag}.whl", "w") as wheel:
        info, head = f"sample-{version}.dist-info", "Metadata-Version: 2.1\nName: sample\nVersion: "
        wheel.writestr(f"{info}/METADATA", f"{head}{version}\n")
        head = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: false\n"
        wheel.writestr(f"{info}/WHEEL", f"{head}Tag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")
