"""Engine tflite-runtime in the environment it needs: Python 3.11, numpy 1, OpenCV 4.11.

The environment is made once, beside the one that runs the tests, and again when its pins change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = ROOT.parent / "shared" / "data"
PINS = ROOT / "constraints" / "tflite-runtime.txt"
pytestmark = pytest.mark.slow


def python_3_11() -> str:
    """A Python 3.11 that can make environments; skips where there is none."""
    probe = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))"
    for python in (sys.executable, shutil.which("python3.11")):
        if python and subprocess.run([python, "-c", probe], check=False).returncode == 0:
            return python
    pytest.skip("NOT TESTED: engine tflite-runtime needs Python 3.11, and there is none here")


def cache_folder() -> Path:
    """Inside the environment that runs the tests; the user's cache where that is the system's."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "edge-sdk-tests"


@pytest.fixture(scope="module")
def second_python() -> Path:
    """The python of that environment, which has no pip of its own."""
    base = python_3_11()
    folder = cache_folder() / "tflite-runtime"
    python = folder / "bin" / "python"
    stamp = folder / hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
        pip += ["install", "--quiet", "--no-compile"]
        done = subprocess.run(
            [*pip, "--requirement", str(PINS)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1]
            pytest.skip(f"NOT TESTED: tflite-runtime's packages cannot be installed: {reason}")
        stamp.touch()
    return python


def run(python: Path | str, *arguments: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A finished process of `python` that imports this working tree."""
    return subprocess.run(
        [str(python), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_the_pins_are_names_and_versions_and_what_the_engine_needs() -> None:
    pins = dict(line.split("==") for line in PINS.read_text().split())
    assert pins["tflite-runtime"] == "2.14.0"
    assert pins["numpy"].startswith("1.")
    assert pins["opencv-python-headless"] == "4.11.0.86"


def test_the_contract_holds_on_tflite_runtime(second_python: Path, tmp_path: Path) -> None:
    """Of the engines' contract what is about it: for the others it holds here as anywhere."""
    record = tmp_path / "record.xml"
    done = run(
        *(second_python, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *(f"--junitxml={record}", "-o", "junit_family=xunit1"),
        *("-k", "tflite or never_kill_us or listed or missing or not test_engines"),
        *("tests/contract/test_engines.py", "tests/core/test_preprocess.py"),
        *("tests/core/test_images.py", "tests/core/test_golden.py"),
        "tests/core/test_golden_detections.py",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    cases = list(ElementTree.parse(record).iter("testcase"))
    on_it = [case for case in cases if "tflite-runtime" in str(case.get("name"))]
    assert len(on_it) > 60
    skips = [skip.get("message", "") for case in on_it for skip in case.iter("skipped")]
    absent = "there is no ../shared/data"  # said aloud by the tests that miss it here, too
    assert not [reason for reason in skips if SHARED_DATA.is_dir() or absent not in reason]


def test_numpy_2_with_tflite_runtime_is_a_missing_package(
    second_python: Path, tmp_path: Path
) -> None:
    """It can be imported there, and fails on the first model with a SystemError."""
    if int(np.__version__.split(".")[0]) < 2 or sys.version_info[:2] != (3, 11):
        pytest.skip("NOT TESTED: this environment is not Python 3.11 with numpy 2")
    (packages,) = second_python.parent.parent.glob("lib/python3.11/site-packages")
    for package in packages.glob("tflite_runtime*"):
        (tmp_path / package.name).symlink_to(package)
    code = (
        "import tflite_runtime.interpreter; from edge_sdk.engines import open_engine, list_engines;"
        "print(next(s for s in list_engines() if s.name == 'tflite-runtime').because);"
        "open_engine('tflite-runtime', b'')"
    )
    done = run(sys.executable, "-c", code, path=tmp_path)
    assert f"this is numpy {np.__version__}" in done.stdout
    assert "MissingPackage: engine tflite-runtime needs tflite-runtime" in done.stderr
