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
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from enter import REPOSITORY
from references import make_bundles
from roots import get_root, python_of

HERE = Path(__file__).resolve().parent
KEPT = HERE / "counts.toml"
TOLERANCE = 0.01
SYSTEM = "bookworm"
"""Its root is counted in, by the dynamic qemu of Debian 12: static ones take no plugins."""

QEMU = "7.2"
GUEST = "/mnt"
"""Where that root is seen while it is counted in."""

# Copies are as long as their alignment makes them, and that depends on the addresses, and those on
# how long paths and variables are: they are the same everywhere, and so are the counts.
_SAME = f"""
set -e
mount --bind "$WORK" "$ROOT/edge/case"
mount --bind "$REPOSITORY" "$ROOT/edge/main"
mount --bind "$ROOT/edge/cpuinfo" /proc/cpuinfo
mount --rbind "$ROOT" {GUEST}
exec setarch --addr-no-randomize "$@"
"""
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONHOME": f"{GUEST}/usr",
    "PYTHONPATH": f"{GUEST}/edge/case/site:{GUEST}/edge/site",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

_HEAD = """\
# Instructions that a Cortex-A72 executes (qemu-user 7.2, Debian 12 root, LiteRT with XNNPACK, one
# thread): `invoke` for one inference, `step` for one 640 x 480 RGB frame to its answer through
# Recognizer. Regenerate: python tests/arm64/counts.py --write
"""


def count(work: Path) -> dict[str, dict[str, int]]:
    """Counts by bundle name. work: an empty folder, or one whose `site` has our packages.

    Raises Unreachable.
    """
    bundles = make_bundles(work)
    line = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(work / "icount.so"), str(HERE / "icount.c")]
    subprocess.run(line, check=True)
    _counted(work, bundles[0])  # compiles what is imported: the others all find it compiled
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(pool.map(partial(_counted, work), bundles))


def _counted(work: Path, bundle: Path) -> tuple[str, dict[str, int]]:
    system = {"ROOT": str(get_root(SYSTEM)), "WORK": str(work), "REPOSITORY": str(REPOSITORY)}
    qemu = [shutil.which("qemu-aarch64") or "", "-cpu", "cortex-a72", "-L", GUEST]
    options = ["-plugin", f"{GUEST}/edge/case/icount.so", "-U", ",".join(system)]
    guest = [part for name, value in _ENVIRONMENT.items() for part in ("-E", f"{name}={value}")]
    python = [f"{GUEST}{python_of(SYSTEM)}.arm64", f"{GUEST}/edge/main/tests/arm64/counted.py"]
    python.append(f"{GUEST}/edge/case/bundles/{bundle.name}")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _SAME, "sh", *qemu, *options, *guest, *python],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **system},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    marks = dict(re.findall(r"^mark (\d) (\d+)$", done.stderr, re.M))  # the last of each
    if done.returncode or not marks:
        raise RuntimeError(f"nothing was counted: {done.stderr}")
    return bundle.stem, {"invoke": int(marks["2"]), "step": int(marks["4"])}


def differences(kept: dict[str, dict[str, int]], found: dict[str, dict[str, int]]) -> list[str]:
    """What moved by more than the tolerance, or was never kept, in words."""
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
        f'\n["{name}"]\n' + "".join(f"{what} = {number:_}\n" for what, number in table.items())
        for name, table in sorted(counts.items())
    )
    return _HEAD + "".join(tables)


def why_not() -> str:
    """What keeps this from counting, or ""."""
    version = subprocess.run(["qemu-aarch64", "-version"], capture_output=True, text=True).stdout
    found = version.partition(" version ")[2].split(" ")[0]
    return "" if found.startswith(f"{QEMU}.") else f"this is qemu {found}, counts are of {QEMU}"


def compare(work: Path) -> tuple[list[str], str]:
    """Count: what moved, and what was counted, in words. Raises Unreachable."""
    if because := why_not():
        return [], f"NOT COUNTED on arm64: {because}"
    kept, found = tomllib.loads(KEPT.read_text()), count(work)
    said = f"\nInstructions on arm64:\n{to_toml(found).removeprefix(_HEAD)}"
    if absent := sorted(kept.keys() - found.keys()):
        said += f"\nNOT COUNTED: {', '.join(absent)}: not in ../shared/data/models"
    return differences(kept, found), said


def main() -> int:
    """Count in a folder of its own."""
    from run import install_own, run_counts

    if "--write" not in sys.argv[1:]:
        passed, said = run_counts()
        print(said)
        return 0 if passed else 1
    with tempfile.TemporaryDirectory() as folder:
        install_own(Path(folder))
        KEPT.write_text(to_toml(count(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
