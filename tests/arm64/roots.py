"""Debian systems to test in, made without running an instruction of theirs: mmdebstrap extracts the
packages, pip on the host unpacks arm64 wheels. tests/roots keeps them.

In a root, /edge holds what is ours: site (Python packages), qemu, cpuinfo, heap.so; and where a run
mounts main (the repository), shared (the folder beside it) and work (what a run brings and leaves).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path[:0] = [str(REPOSITORY / "scripts"), str(REPOSITORY / "tests" / "roots")]

import wheelhouse  # noqa: E402 (a script beside the package, not part of it)
from mirrors import debian_mirror, fetch  # noqa: E402
from root_cache import keep_root  # noqa: E402

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


def get_root(system: str) -> Path:
    """The root of "bookworm" or "trixie", built where it is not there yet. Raises Unreachable."""
    return keep_root(f"arm64-{system}", _digest(system), partial(_build, system))


def python_of(system: str) -> str:
    """The path of Python in a root."""
    return f"/usr/bin/python{wheelhouse.TARGETS[system][0]}"


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
    fetch("mmdebstrap", *options, system, str(root), debian_mirror())
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
    fetch(*wheelhouse.PIP, "install", *wheelhouse.target_options(system), *site, *what)


def _pinned(names: tuple[str, ...]) -> list[str]:
    """`names` with the versions of the development environment."""
    lines = (REPOSITORY / "constraints" / "host.txt").read_text().split()
    return [line for line in lines if line.partition("==")[0] in names]


def _found(tool: str) -> str:
    path = shutil.which(tool)
    assert path is not None, tool
    return path


def _run(*line: object) -> None:
    subprocess.run([str(part) for part in line], check=True)
