"""Debian systems to run tests in, kept between runs.

A root lies in $EDGE_SDK_TEST_ROOTS (default ~/.cache/edge-sdk/roots) under a name that holds a
digest of all that went into it: checkouts that need different ones keep them side by side. One that
nobody used for two weeks is removed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MAX_UNUSED_S = 14 * 24 * 3600.0


def keep_root(name: str, digest: str, build: Callable[[Path], None]) -> Path:
    """The root `name` with this digest; `build` fills an empty folder with it where there is none.

    Raises what `build` raises, and keeps nothing then.
    """
    folder = cache_folder()
    root = folder / f"{name}-{digest}"
    if not root.is_dir():
        print(f"Building the root {name} in {folder} ...", file=sys.stderr, flush=True)
        _build(root, build)
    os.utime(root)
    _remove_unused(folder)
    return root


def cache_folder() -> Path:
    """Where roots are kept."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("EDGE_SDK_TEST_ROOTS") or home / "edge-sdk" / "roots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(root: Path, build: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{root.name}.", dir=root.parent))
    unfinished.chmod(0o755)  # apt's own user looks into it
    try:
        build(unfinished)
        with suppress(OSError):  # another run was faster: its root is the same
            unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove_unused(folder: Path) -> None:
    oldest = time.time() - MAX_UNUSED_S
    for root in folder.iterdir():
        with suppress(FileNotFoundError):  # another run removes it too
            if root.stat().st_mtime < oldest:
                shutil.rmtree(root, ignore_errors=True)
