"""Debian systems to test in, made without running an instruction of theirs: mmdebstrap extracts the
packages, pip on the host unpacks arm64 wheels.

A root is kept in $EDGE_SDK_ARM64_ROOTS (default ~/.cache/edge-sdk/arm64) under a name that holds a
digest of all that went into it, and used again as long as that is the same.

In a root, /edge holds what is ours: site (Python packages), qemu, cpuinfo, heap.so; and where a run
mounts main (the repository), shared (the folder beside it) and work (what a run brings and leaves).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY / "scripts"))

import wheelhouse  # noqa: E402 (a script beside the package, not part of it)

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-aarch64": "qemu-user",
    "gcc": "gcc libc6-dev",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "unshare": "util-linux",
}
"""The programs that building and running a root takes, and the Debian packages that have them."""

_DEBS = {
    "bookworm": ("python3.11", "libstdc++6"),
    "trixie": ("python3", "python3-libcamera", "libcamera-ipa", "python3-prctl", "libstdc++6"),
}
_TESTING = ("pytest", "hypothesis")
_PICAMERA2 = (
    "picamera2==0.3.27",
    "attrs",
    "jsonschema",
    "jsonschema-specifications",
    "libarchive-c",
    "OpenEXR",
    "piexif",
    "pillow",
    "referencing",
    "rpds-py",
    "simplejpeg",
    "videodev2",
)
"""With what it imports, but PiDNG, python-prctl and v4l2-python3, which have no wheels. Later ones
ask libcamera for each frame's status; the binding of trixie's libcamera 0.4 gives freed memory.
"""


class Unreachable(Exception):
    """The Debian mirror or the package index does not answer; says so in its own words."""


_NO_ANSWER = ("E: Failed to fetch", "connection broken by", "Could not fetch URL", "ReadTimeout")
"""What apt and pip write then, and not where something asked for does not exist."""


def get_root(system: str) -> Path:
    """The root of "bookworm" or "trixie", built where it is not there yet. Raises Unreachable."""
    folder = _cache()
    root = folder / f"{system}-{_digest(system)}"
    if not root.is_dir():
        for old in folder.glob(f"{system}-*"):
            shutil.rmtree(old)
        print(f"Building the arm64 root of {system} in {folder} ...", file=sys.stderr, flush=True)
        unfinished = folder / f"{system}-unfinished"
        _build(system, unfinished)
        unfinished.rename(root)
    return root


def python_of(system: str) -> str:
    """The path of Python in a root."""
    return f"/usr/bin/python{wheelhouse.TARGETS[system][0]}"


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("EDGE_SDK_ARM64_ROOTS") or home / "edge-sdk" / "arm64")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(system: str) -> str:
    parts = [
        Path(__file__),
        Path(wheelhouse.__file__),
        wheelhouse.constraints(system),
        *(HERE / name for name in ("heap.c", "launcher.c", "cpuinfo.txt", "virtual.yaml")),
        *sorted((HERE / "stubs").rglob("*.py")),
    ]
    digest = hashlib.sha256("\n".join(_pinned(_TESTING)).encode())
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()[:12]


def _build(system: str, root: Path) -> None:
    debs = ",".join(_DEBS[system])
    options = ["--architectures=arm64", "--variant=extract", f"--include={debs}"]
    _fetch("mmdebstrap", *options, system, str(root), _mirror())
    for name in ("bin", "sbin", "lib"):  # trixie's are made by a script that does not run here
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "tmp", "edge/main", "edge/shared", "edge/case"):
        (root / name).mkdir(parents=True, exist_ok=True)
    _install_python(system, root)
    edge = root / "edge"
    shutil.copy(_found("qemu-aarch64-static"), edge / "qemu")
    shutil.copy(HERE / "cpuinfo.txt", edge / "cpuinfo")
    _launch_by_qemu(root, python_of(system))
    if system == "trixie":
        _install_camera(system, root)


def _install_python(system: str, root: Path) -> None:
    pinned = [f"--constraint={wheelhouse.constraints(system)}"]
    needed = ["numpy", "opencv-python-headless", "ai-edge-litert", "click", "av"]
    _pip_install(system, root, *pinned, *needed, *_pinned(_TESTING))


def _install_camera(system: str, root: Path) -> None:
    _pip_install(system, root, "--no-deps", *_PICAMERA2)
    shutil.copytree(HERE / "stubs", root / "edge" / "site", dirs_exist_ok=True)
    heap = root / "edge" / "heap.so"
    _run("aarch64-linux-gnu-gcc", "-shared", "-fPIC", "-O2", "-o", heap, HERE / "heap.c", "-ldl")
    (root / "etc" / "ld.so.preload").write_text("/edge/heap.so\n")
    settings = root / "usr/share/libcamera/pipeline/virtual"
    settings.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "virtual.yaml", settings)


def _launch_by_qemu(root: Path, program: str) -> None:
    """Put the launcher where `program` is, and that beside it."""
    path = root / program.lstrip("/")
    path.rename(path.with_name(f"{path.name}.arm64"))
    _run("gcc", "-static", "-O2", "-o", path, HERE / "launcher.c")


def _pip_install(system: str, root: Path, *what: str) -> None:
    site = ["--no-compile", "--no-warn-conflicts", f"--target={root / 'edge' / 'site'}"]
    _fetch(*wheelhouse.PIP, "install", *wheelhouse.target_options(system), *site, *what)


def _pinned(names: tuple[str, ...]) -> list[str]:
    """`names` with the versions of the development environment."""
    lines = (REPOSITORY / "constraints" / "host.txt").read_text().split()
    return [line for line in lines if line.partition("==")[0] in names]


def _mirror() -> str:
    """Where this machine's own packages come from. Raises Unreachable where apt knows of none."""
    line = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    mirrors = [site for site in sites if site.endswith("/debian")]
    if not mirrors:
        raise Unreachable(
            "apt knows no Debian mirror: apt-get update has not run, or not on Debian"
        )
    return mirrors[0]


def _found(tool: str) -> str:
    path = shutil.which(tool)
    assert path is not None, tool
    return path


def _run(*line: object) -> None:
    subprocess.run([str(part) for part in line], check=True)


def _fetch(*line: str) -> None:
    """Run what downloads, its words shown where it fails. Raises Unreachable."""
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return
    for said in done.stdout.splitlines():
        if any(words in said for words in _NO_ANSWER):
            raise Unreachable(said.strip())
    sys.stderr.write(done.stdout)
    done.check_returncode()
