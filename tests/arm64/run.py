"""`make test-arm64`: the device's tests on arm64, without a Pi: in Debian roots, under qemu.

Qemu is no Pi: this shows that what runs there is right, never how fast.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import counts
from enter import enter
from references import check_planes, make_references
from roots import PACKAGES, get_root, python_of

from wheelhouse import build_own

TESTS = {
    "bookworm": (
        "tests/arm64/test_arm64_models.py",
        "tests/core/test_golden.py",
        "tests/core/test_yuv.py",
        "tests/contract/test_engines.py",
        "tests/contract/test_cameras.py",
        "tests/device/test_pipeline.py",
        "tests/device/test_runtime.py",
        "tests/device/test_sinks.py",
        "tests/device/test_isp_streams.py",
    ),
    "trixie": (
        "tests/arm64/test_arm64_models.py",
        "tests/arm64/test_arm64_camera.py",
        "tests/device/test_pipeline.py",
    ),
}
TIMEOUT_S = 900.0

# What qemu cannot show: namespaces inside of it, and what ends a process that it emulates.
LEFT_OUT = "not without_proc and not campaign and not killed and not segfaults and not hangs"


def why_not() -> str:
    """What keeps this from running here, or ""."""
    if os.geteuid() != 0:
        return "not root: mounting needs it"
    missing = sorted({deb for tool, deb in PACKAGES.items() if not shutil.which(tool)})
    return f"missing: apt-get install {' '.join(missing)}" if missing else ""


def install_own(work: Path) -> None:
    """Our wheels, unpacked into `work`/site, as a Pi gets them."""
    (work / "wheels").mkdir()
    for wheel in build_own(work / "wheels"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "site")


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder with our packages and the references, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        install_own(work)
        make_references(work)
        yield work


def test_in(system: str, work: Path) -> bool:
    """Run the tests in a root; show what models answered."""
    print(f"\narm64, {system}:", flush=True)
    options = ["-q", "-p", "no:cacheprovider", "-c", "/edge/main/pyproject.toml", "-k", LEFT_OUT]
    paths = [f"/edge/main/{path}" for path in TESTS[system]]
    line = [python_of(system), "-m", "pytest", *options, *paths]
    passed = enter(get_root(system), work, line, timeout=TIMEOUT_S).returncode == 0
    seen = work / "seen.jsonl"
    for answer in map(json.loads, seen.read_text().splitlines() if seen.exists() else []):
        print("  ", *(f"{key}: {value}" for key, value in answer.items()))
    seen.unlink(missing_ok=True)
    if passed and system == "trixie":
        print(f"   the virtual camera's frames answered here: {check_planes(work)}")
    return passed


def main() -> int:
    """0 where all passed, or nothing could be tried."""
    if because := why_not():
        print(f"NOT TESTED on arm64: {because}", file=sys.stderr)
        return 0
    with workplace() as work:
        passed = [test_in(system, work) for system in TESTS]
        moved = counts.compare(work)
    print("\n".join(moved))
    return 0 if all(passed) and not moved else 1


if __name__ == "__main__":
    sys.exit(main())
