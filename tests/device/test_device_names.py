"""The public door of edge_device, and what it must not pull in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edge_device
from edge_device.metrics.machine import cpu_model, machine_facts
from waiting import PATIENCE_S


def test_every_public_name_is_there_and_no_other() -> None:
    assert edge_device.__all__ == sorted(edge_device.__all__)
    assert dir(edge_device) == sorted(edge_device.__all__)
    for name in edge_device.__all__:
        assert getattr(edge_device, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        edge_device.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, edge_device; sys.exit(', '.join({'numpy', 'cv2'} & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr


def test_pyav_is_imported_for_videos_alone() -> None:
    code = (
        "import sys; from edge_device import Runtime, open_camera, open_sink; "
        "open_camera('synthetic').close(); open_sink('fake').close(); "
        "sys.exit(', '.join({'av', 'tensorflow'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("camera", ["video:film.mp4", "rtsp://127.0.0.1:9/x"])
def test_a_missing_pyav_is_told_with_the_command_that_installs_it(
    tmp_path: Path, camera: str
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('no PyAV here')")
    (tmp_path / "film.mp4").touch()
    code = (
        "from edge_device import open_camera\n"
        "from edge_sdk.errors import MissingPackage\n"
        f"try:\n    open_camera({camera!r})\n"
        "except MissingPackage as error:\n    print(error.fix)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == 'pip install "edge-sdk-device[video]"', done.stderr


def test_machine_facts_say_nothing_about_whose_it_is() -> None:
    facts = machine_facts()
    assert set(facts) == {
        *("platform", "cpu", "cores", "usable_cores", "memory_bytes", "python", "kernel"),
    }
    assert facts["cores"] >= facts["usable_cores"] >= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\n", "Intel(R) Xeon(R)"),
        (
            "processor\t: 0\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
            "Raspberry Pi 4 Model B Rev 1.4",
        ),
        ("", None),
        (None, None),
    ],
)
def test_the_processors_name(tmp_path: Path, text: str | None, expected: str | None) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert cpu_model(tmp_path / "cpuinfo") == expected
