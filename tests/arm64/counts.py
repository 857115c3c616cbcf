"""Cortex-A72 instructions per inference and per frame step, counted by qemu: kept in counts.toml,
and not allowed to change by more than 1 %. They say when work was added, never how long it takes.

python tests/arm64/counts.py            count and compare
python tests/arm64/counts.py --write    count and keep
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from references import make_bundles
from roots import get_root, python_of

HERE = Path(__file__).resolve().parent
KEPT = HERE / "counts.toml"
TOLERANCE = 0.01
SYSTEM = "bookworm"
"""Its root is counted in: dynamic qemu of Debian 12 (7.2) takes plugins, static ones do not."""

_HEAD = """\
# Instructions that a Cortex-A72 executes (qemu-user 7.2, Debian 12 root, LiteRT with XNNPACK, one
# thread): `invoke` for one inference, `step` for one 640 x 480 RGB frame to its answer through
# Recognizer. Regenerate: python tests/arm64/counts.py --write
"""


def count(work: Path) -> dict[str, dict[str, int]]:
    """Counts by bundle name. work: an empty folder, or one whose `site` has our packages."""
    bundles = make_bundles(work)
    plugin = work / "icount.so"
    line = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(plugin), str(HERE / "icount.c")]
    subprocess.run(line, check=True)
    return {path.stem: _counted(path, plugin, work) for path in bundles}


def _counted(bundle: Path, plugin: Path, work: Path) -> dict[str, int]:
    root = get_root(SYSTEM)
    environment = {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHOME": str(root / "usr"),
        "PYTHONPATH": f"{work / 'site'}:{root / 'edge' / 'site'}",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    python = f"{root}{python_of(SYSTEM)}.arm64"
    # Addresses that are the same each time: copies are as long as their alignment makes them.
    pinned = 'mount --bind "$0/edge/cpuinfo" /proc/cpuinfo && exec setarch --addr-no-randomize "$@"'
    qemu = [shutil.which("qemu-aarch64") or "", "-cpu", "cortex-a72", "-plugin", str(plugin)]
    guest = [part for name, value in environment.items() for part in ("-E", f"{name}={value}")]
    line = ["unshare", "--mount", "sh", "-c", pinned, str(root), *qemu, "-L", str(root), *guest]
    done = subprocess.run(
        [*line, python, str(HERE / "counted.py"), str(bundle)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    marks = [tuple(map(int, pair)) for pair in re.findall(r"^mark (\d) (\d+)$", done.stderr, re.M)]
    if done.returncode or not marks:
        raise RuntimeError(f"nothing was counted: {done.stderr}")
    return {"invoke": _last(marks, 2), "step": _last(marks, 4)}


def _last(marks: list[tuple[int, ...]], number: int) -> int:
    return [count for mark, count in marks if mark == number][-1]


def differences(kept: dict[str, dict[str, int]], found: dict[str, dict[str, int]]) -> list[str]:
    """What moved by more than the tolerance, or is counted on one side only, in words."""
    lines = []
    for name in sorted(kept.keys() & found.keys()):
        for what, before in kept[name].items():
            now = found[name][what]
            if abs(now - before) > TOLERANCE * before:
                lines.append(
                    f"{name}, {what}: {before:,} kept, {now:,} now ({now / before - 1:+.2%})"
                )
    return lines + [f"{name}: nothing is kept" for name in sorted(found.keys() - kept.keys())]


def to_toml(counts: dict[str, dict[str, int]]) -> str:
    """The file's text."""
    tables = (
        f"\n[{name}]\n" + "".join(f"{what} = {number:_}\n" for what, number in table.items())
        for name, table in sorted(counts.items())
    )
    return _HEAD + "".join(tables)


def compare(work: Path) -> list[str]:
    """Count, print, and say what moved."""
    found = count(work)
    print(to_toml(found).removeprefix(_HEAD), flush=True)
    return differences(tomllib.loads(KEPT.read_text()), found)


def main() -> None:
    """Count in a folder of its own."""
    from run import install_own

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        install_own(work)
        if "--write" in sys.argv[1:]:
            KEPT.write_text(to_toml(count(work)))
        elif moved := compare(work):
            sys.exit("\n".join(moved))


if __name__ == "__main__":
    main()
