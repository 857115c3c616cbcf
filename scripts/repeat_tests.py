"""`make test-repeat`: each test file that starts processes or threads, many times, beside a busy
loop on each core. A test that depends on how busy the machine is fails some of these times.

python scripts/repeat_tests.py [--times 30] [--minutes M] [--into FILE] [PATH…]

Which files these are is seen while they run: the first time every file is run, and those that
started nothing are not run again. What was counted is kept in FILE after each run, so that it can
be ended at any time and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LEFT_OUT = ("arm64", "benchmarks", "campaigns", "debian13")
"""Folders of `tests` that `make test` leaves out."""

TIMEOUT_S = 3600.0
"""For one file: what hangs is a failure."""

Counts = dict[str, dict[str, Any]]


def main() -> int:
    """0 where nothing failed."""
    options = parse()
    counts = load(options.into)
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    with busy_cores():
        for number, path in turns(counts, test_files(options.paths), options.times):
            if time.monotonic() > until:
                break
            count(counts.setdefault(path, {}), run(path))
            print(f"{number} of {options.times}: {path}: {words(counts[path])}", flush=True)
            save(options.into, counts)
    return summary(counts, options.times)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, default=[REPOSITORY / "tests"])
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--minutes", type=float, help="stop after so many minutes")
    parser.add_argument("--into", type=Path, default=REPOSITORY / ".test-repeats.json")
    return parser.parse_args()


def test_files(paths: list[Path]) -> list[str]:
    """Test files at or below `paths`, as the repository names them."""
    found = {
        file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))
    }
    names = sorted(str(file.resolve().relative_to(REPOSITORY)) for file in found)
    return [name for name in names if Path(name).parts[1] not in LEFT_OUT]


def turns(counts: Counts, files: list[str], times: int) -> Iterator[tuple[int, str]]:
    """All files once, then those that started something again, as often as is left to do."""
    for number in range(1, times + 1):
        for path in files:
            known = counts.get(path)
            if known is None or (known["starts"] and known["runs"] < number):
                yield number, path


@contextmanager
def busy_cores() -> Iterator[None]:
    """A busy loop for each core."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"
    loops = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run(path: str) -> dict[str, Any]:
    """One run of a file, as its recorder (repeat_recorder.py) saw it."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        line = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "repeat_recorder"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "EDGE_SDK_TEST_RECORD": str(record),
        }
        try:
            done = subprocess.run(
                [sys.executable, *line, path],
                cwd=REPOSITORY,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return {"starts": ["unknown"], "failures": {path: f"no end within {TIMEOUT_S:.0f} s"}}
        if done.returncode not in (0, 1, 5) or not record.exists():  # 5: no test was collected
            return {"starts": ["unknown"], "failures": {path: done.stdout[-2000:]}}
        found: dict[str, Any] = json.loads(record.read_text())
        return found


def count(known: dict[str, Any], found: dict[str, Any]) -> None:
    """Add one run."""
    known["starts"] = sorted({*known.get("starts", ()), *found["starts"]})
    known["runs"] = known.get("runs", 0) + 1
    known["failed"] = known.get("failed", 0) + bool(found["failures"])
    for test, says in found["failures"].items():
        known.setdefault("failures", {}).setdefault(test, []).append(says)


def load(into: Path) -> Counts:
    """What was counted before."""
    found: Counts = json.loads(into.read_text()) if into.exists() else {}
    return found


def save(into: Path, counts: Counts) -> None:
    """Keep it, whole at any moment."""
    unfinished = into.with_suffix(".part")
    unfinished.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
    unfinished.replace(into)


def words(known: dict[str, Any]) -> str:
    """How one file fared."""
    if not known["starts"]:
        return "starts nothing"
    return f"{known['runs']} runs, {known['failed']} failed"


def summary(counts: Counts, times: int) -> int:
    """Print all failures with their counts. 0 where there are none."""
    repeated = {path: known for path, known in counts.items() if known["starts"]}
    runs, failed = (sum(known[what] for known in repeated.values()) for what in ("runs", "failed"))
    finished = sum(known["runs"] >= times for known in repeated.values())
    for path, known in repeated.items():
        for test, all_says in known.get("failures", {}).items():
            print(f"FAILED {len(all_says)} of {known['runs']} times: {test} ({path})")
    print(f"{len(repeated)} files that start something, {finished} of them {times} times or more")
    print(f"{runs - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
