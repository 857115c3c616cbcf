"""Debian 13 as a system of its own: its packages and its Python, in a root (tests/roots), with
processes, terminals and shared memory of its own. It shares this machine's network.

In it, /edge holds main (a copy of the tree), shared (the folder beside it) and what pip downloaded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pip_settings
from isolation import isolated
from mirrors import debian_mirror, fetch
from root_cache import keep_root

REPOSITORY = Path(__file__).resolve().parent.parent.parent

PACKAGES = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "git": "git"}
"""The programs that this takes, and the Debian packages that have them."""

_DEBS = (
    *("python3", "python3-venv", "make", "openssl", "umockdev"),
    # an RTSP camera of GStreamer's (tests/servers)
    *("python3-gi", "gir1.2-gst-rtsp-server-1.0", "gstreamer1.0-plugins-base"),
    *("gstreamer1.0-plugins-good", "gstreamer1.0-plugins-ugly"),
)

_MOUNTS = """
set -e
mount -t proc proc "$ROOT/proc"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$ROOT/dev/pts"
mount --bind "$ROOT/dev/pts/ptmx" "$ROOT/dev/ptmx"
mount -t tmpfs -o mode=1777 shm "$ROOT/dev/shm"
mount --bind "$WORK/tmp" "$ROOT/tmp"
mount --bind "$WORK/main" "$ROOT/edge/main"
mount --bind "$DOWNLOADS" "$ROOT/edge/downloads"
bind() { # a file or folder of this machine, read-only
  if [ -d "$1" ]; then mkdir -p "$2"; elif [ ! -e "$2" ]; then mkdir -p "${2%/*}"; touch "$2"; fi
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}
if [ -d "$REPOSITORY/../shared" ]; then bind "$REPOSITORY/../shared" "$ROOT/edge/shared"; fi
printf '%s\\n' "$READABLE" | while read -r path; do bind "$path" "$ROOT$path"; done
exec chroot "$ROOT" sh -c 'cd /edge/main && exec "$@"' sh "$@"
"""


def get_root() -> Path:
    """The root, built where it is not there yet. Raises Unreachable."""
    digest = hashlib.sha256(repr(_DEBS).encode() + Path(__file__).read_bytes()).hexdigest()[:12]
    return keep_root("amd64-trixie", digest, _build)


def _build(root: Path) -> None:
    options = ["--variant=minbase", f"--include={','.join(_DEBS)}"]
    fetch("mmdebstrap", *options, "trixie", str(root), debian_mirror())
    for name in ("main", "shared", "downloads"):
        (root / "edge" / name).mkdir(parents=True)


def copy_tree(folder: Path) -> None:
    """The files of the tree, as a clone with what is not committed yet."""
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def start(root: Path, work: Path, line: list[str]) -> subprocess.Popen[str]:
    """Run `line` in the root, in the copy of the tree; its stderr is in its stdout.

    work: a folder with `main`, that copy, and `tmp`.
    """
    (work / "tmp" / "pip.conf").write_text(pip_settings.configuration())
    readable = [*pip_settings.local_paths(), Path("/etc/resolv.conf"), Path("/etc/hosts")]
    environment = {
        **pip_settings.environment(),
        "PIP_CONFIG_FILE": "/tmp/pip.conf",
        "PIP_CACHE_DIR": "/edge/downloads",
        "ROOT": str(root),
        "WORK": str(work),
        "REPOSITORY": str(REPOSITORY),
        "DOWNLOADS": str(pip_settings.download_cache()),
        "READABLE": "\n".join(map(str, readable)),
        "PATH": os.environ["PATH"],
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(isolated(_MOUNTS, line), env=environment, **pipes)
