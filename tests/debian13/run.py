"""`make test-debian13`: on Debian 13 with its Python 3.13, `make demo` as the first command in a
fresh copy of the tree, then the tests of core, device, hardware and converter.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "roots"))

import trixie

from isolation import why_not
from mirrors import Unreachable, says_no_answer

TESTS = ("tests/core", "tests/device", "tests/contract", "tests/hardware", "tests/converter")
DEMO, TEST = ["make", "demo"], ["make", "test", f"TESTS={' '.join(TESTS)}"]


@contextmanager
def fresh_copy() -> Iterator[Path]:
    """A folder with the tree in `main` and an empty `tmp`, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "tmp").mkdir()
        (work / "tmp").chmod(0o1777)
        trixie.copy_tree(work / "main")
        yield work


def run(root: Path, work: Path, line: list[str]) -> int:
    """Run one command line there, its output shown as it comes; the exit status.

    Raises Unreachable where DEMO, which installs everything, failed because the package index did
    not answer. What TEST prints of an index may be one failure of several.
    """
    print(f"\nDebian 13: {' '.join(line)}", flush=True)
    unanswered = ""
    with trixie.start(root, work, line) as process:
        assert process.stdout is not None
        for said in process.stdout:
            print(said, end="", flush=True)
            unanswered = unanswered or (said.strip() if says_no_answer(said) else "")
    if process.returncode and unanswered and line is DEMO:
        raise Unreachable(unanswered)
    return process.returncode


def main() -> int:
    """0 where all passed, or nothing could be tried."""
    because = why_not(trixie.PACKAGES)
    if not because:
        try:
            root = trixie.get_root()
            with fresh_copy() as work:
                return next(
                    (status for line in (DEMO, TEST) if (status := run(root, work, line))), 0
                )
        except Unreachable as unreachable:
            because = str(unreachable)
    print(f"SKIPPED: not tested on Debian 13: {because}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
