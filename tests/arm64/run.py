"""`make test-arm64`: the device's tests on arm64, without a Pi: in Debian roots, under qemu.

Qemu is no Pi: this shows that what runs there is right, never how fast.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import counts
import enter
from references import check_planes, make_references
from roots import PACKAGES, get_root, python_of

from isolation import why_not
from mirrors import Unreachable
from wheelhouse import build_own

TESTS = {
    "bookworm": (
        "tests/arm64/test_arm64_models.py",
        "tests/core/test_golden.py",
        "tests/core/test_yuv.py",
        "tests/contract/test_engines.py",
        "tests/contract/test_cameras.py",
        "tests/device/test_runtime.py",
    ),
    "trixie": (
        "tests/arm64/test_arm64_models.py",
        "tests/arm64/test_arm64_camera.py",
        "tests/device/test_isp_streams.py",
        "tests/device/test_pipeline.py",
        "tests/device/test_runtime.py",
        "tests/device/test_sinks.py",
    ),
}
TIMEOUT_S = 1200.0
"""For the tests in one root: what hangs is ended, what is slow on busy cores is not."""

LEFT_OUT = {
    "tests/contract/test_engines.py::test_without_proc_the_engine_says_that_xnnpack_is_gone": (
        "a root has no program that could hide /proc"
    ),
    "tests/contract/test_engines.py::test_damaged_models_never_kill_us": (
        "a minute for what test_hostile_models_never_kill_us shows of arm64"
    ),
}
"""Tests of these files that are not run in a root, and why."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder with our packages and the references, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        install_own(work)
        make_references(work)
        yield work


def install_own(work: Path) -> None:
    """Our wheels, unpacked into `work`/site, as a Pi gets them."""
    (work / "wheels").mkdir()
    for wheel in build_own(work / "wheels"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "site")


def run_tests(system: str) -> tuple[bool, str]:
    """Whether no test failed in a root, and what there is to say."""
    with workplace() as work:
        try:
            passed, said = _pytest(system, work)
        except Unreachable as unreachable:
            return True, f"NOT TESTED on arm64, {system}: {unreachable}"
        lines = [f"\narm64, {system}:", said.rstrip(), *_seen(work)]
        lines += [
            f"   left out: {test.rpartition(':')[2]}: {LEFT_OUT[test]}" for test in _out(system)
        ]
        if passed and system == "trixie":
            lines.append(f"   the virtual camera's frames answered here: {check_planes(work)}")
        return passed, "\n".join(lines)


def _pytest(system: str, work: Path) -> tuple[bool, str]:
    options = ["-q", "-p", "no:cacheprovider", "-c", "/edge/main/pyproject.toml", "--durations=5"]
    options += ["-o", f"faulthandler_timeout={TIMEOUT_S / 2}"]  # says where a test hangs
    left_out = [f"--deselect={test}" for test in _out(system)]
    paths = [f"/edge/main/{path}" for path in TESTS[system]]
    line = [python_of(system), "-m", "pytest", *options, *left_out, *paths]
    try:
        done = enter.enter(get_root(system), work, line, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        said = (late.output or b"").decode(errors="replace")
        return False, f"{said}\nFAILED: not at its end after {TIMEOUT_S:.0f} s"
    return done.returncode == 0, done.stdout


def _out(system: str) -> list[str]:
    return [test for test in LEFT_OUT if test.partition("::")[0] in TESTS[system]]


def _seen(work: Path) -> list[str]:
    """What models answered, in words."""
    seen = work / "seen.jsonl"
    answers = map(json.loads, seen.read_text().splitlines() if seen.exists() else [])
    return ["   " + ", ".join(f"{key}: {value}" for key, value in one.items()) for one in answers]


def run_counts() -> tuple[bool, str]:
    """Whether no count moved, and what there is to say."""
    with tempfile.TemporaryDirectory() as folder:
        install_own(Path(folder))
        try:
            moved, said = counts.compare(Path(folder))
        except Unreachable as unreachable:
            return True, f"NOT COUNTED on arm64: {unreachable}"
    return not moved, "\n".join([said, *(f"FAILED: {line}" for line in moved)])


def main() -> int:
    """0 where all passed, or nothing could be tried."""
    if because := why_not(PACKAGES):
        print(f"NOT TESTED on arm64: {because}", file=sys.stderr)
        return 0
    print(f"In roots for arm64: {', '.join(TESTS)} (a few minutes) ...", flush=True)
    passed = []
    with ThreadPoolExecutor() as pool:
        for outcome, said in pool.map(run_tests, TESTS):
            print(said, flush=True)
            passed.append(outcome)
    outcome, said = run_counts()
    print(said, flush=True)
    return 0 if all([*passed, outcome]) else 1


if __name__ == "__main__":
    sys.exit(main())
