"""A folder of wheels from which a Pi installs Edge SDK without a network.

python scripts/wheelhouse.py bookworm|trixie FOLDER     (make wheelhouse OS=bookworm|trixie)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

TARGETS = {"bookworm": ("3.11", 36), "trixie": ("3.13", 41)}
"""Raspberry Pi OS: its Python, and the x of its glibc 2.x."""

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def constraints(system: str) -> Path:
    """The file that pins what a Pi with this system installs."""
    return REPOSITORY / "hardware" / "edge_hardware" / "os" / f"{system}.txt"


def target_options(system: str) -> list[str]:
    """Options that make pip take wheels for that system on arm64, whatever machine it runs on.

    pip takes wheels of the named platforms only: all those that this glibc serves.
    """
    python, glibc = TARGETS[system]
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, glibc + 1)]
    named = [f"--platform={name}" for name in (*platforms, "manylinux2014_aarch64")]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *named]


def build_own(folder: Path) -> list[Path]:
    """The wheels of core and device, made into `folder`."""
    for old in folder.glob("edge_sdk_*.whl"):
        old.unlink()
    here = ["--no-build-isolation", f"--wheel-dir={folder}"]
    sources = [str(REPOSITORY), str(REPOSITORY / "device")]
    subprocess.run([*PIP, "wheel", "--no-deps", *here, *sources], check=True)
    return sorted(folder.glob("edge_sdk_*.whl"))


def main(system: str, folder: Path) -> None:
    """Fill `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    core, device = build_own(folder)
    download = [*PIP, "download", f"--constraint={constraints(system)}", f"--dest={folder}"]
    wanted = [str(core), f"{device}[video]"]
    subprocess.run([*download, *target_options(system), *wanted], check=True)
    (folder / "constraints.txt").write_bytes(constraints(system).read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in TARGETS:
        given = " ".join(sys.argv[1:])
        sys.exit(
            f"error: {given!r} names no Raspberry Pi OS and folder\n"
            "fix: make wheelhouse OS=bookworm, or OS=trixie (or: wheelhouse.py OS FOLDER)"
        )
    main(sys.argv[1], Path(sys.argv[2]))
