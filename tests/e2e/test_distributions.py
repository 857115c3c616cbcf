"""The wheels, and an environment with core and device alone."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edge_sdk import Frame
from edge_sdk.images.image_files import write_image
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = {"core": ROOT, "converter": ROOT / "converter", "device": ROOT / "device"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--wheel-dir", str(folder), *map(str, PROJECTS.values())]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    return folder


@pytest.fixture(scope="module")
def device_python(wheels: Path) -> Path:
    """The python of an environment with core and device; its dependencies are kept between runs."""
    pins = ROOT / "constraints" / "host.txt"
    folder = Path(sys.prefix) / "device-only"
    stamp = folder / hashlib.sha256(pins.read_bytes()).hexdigest()[:16]
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    built = [str(next(wheels.glob(f"edge_sdk_{name}-*.whl"))) for name in ("core", "device")]
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder)
        pinned = ["--no-compile", "--constraint", str(pins)]
        subprocess.run([*pip, *pinned, *built], check=True, timeout=PATIENCE_S)
        stamp.touch()
    subprocess.run([*pip, "--no-deps", "--force-reinstall", *built], check=True, timeout=PATIENCE_S)
    return python


def _names(wheels: Path, name: str) -> list[str]:
    with zipfile.ZipFile(next(wheels.glob(f"edge_sdk_{name}-*.whl"))) as wheel:
        return wheel.namelist()


def test_versions_are_one() -> None:
    projects = {n: tomllib.loads((p / "pyproject.toml").read_text()) for n, p in PROJECTS.items()}
    versions = {name: project["project"]["version"] for name, project in projects.items()}
    assert len(set(versions.values())) == 1, versions
    for name in ("converter", "device"):
        assert f"edge-sdk-core=={versions['core']}" in projects[name]["project"]["dependencies"]
    assert importlib.metadata.version("edge-sdk-core") == versions["core"]


def test_wheels_hold_their_own_packages(wheels: Path) -> None:
    found = {
        name: {n.split("/")[0] for n in _names(wheels, name) if ".dist-info/" not in n}
        for name in PROJECTS
    }
    assert found == {
        "core": {"edge_sdk", "edge_hardware"},
        "converter": {"edge_converter"},
        "device": {"edge_device"},
    }


def test_core_wheel_carries_its_data(wheels: Path) -> None:
    names = _names(wheels, "core")
    assert "edge_hardware/boards/rpi4.toml" in names
    assert "edge_hardware/accelerators/coral-usb.toml" in names
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert "edge_converter/recipes/digits_seed.toml" in _names(wheels, "converter")
    assert "edge_converter/conversion/readers/onnx.txt" in _names(wheels, "converter")


def test_device_environment_has_no_tensorflow(device_python: Path) -> None:
    done = subprocess.run(
        [device_python, "-c", "import tensorflow"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1 and "No module named 'tensorflow'" in done.stderr


def test_device_environment_runs(device_python: Path, tiny_bundle: Any, tmp_path: Path) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    for index in range(3):
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        write_image(tmp_path / "images" / f"{index}.png", Frame(pixels, "gray"))
    command = [device_python.with_name("edge-sdk"), "run", tiny_bundle(), "--json"]
    camera = ["--camera", f"folder:{tmp_path / 'images'}?fps=max"]
    done = subprocess.run([*command, *camera], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 3


def test_absent_converter_is_answered(device_python: Path) -> None:
    done = subprocess.run(
        [device_python.with_name("edge-sdk"), "build"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: `edge-sdk build` comes with edge-sdk-converter, which is not installed",
        "fix: pip install edge-sdk-converter",
    ]
