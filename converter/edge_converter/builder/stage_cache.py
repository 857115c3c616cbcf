"""Stages of a build, kept by the hash of all that goes into them.

A stage is a folder NAME-HASH that appears whole (it is filled under another name, then renamed) and
is reused as long as its inputs and its own files are unchanged.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge_sdk.documents.build import BuildStage
from edge_sdk.errors import EdgeError, FileError
from edge_sdk.files import sync_folder

FORMAT = 6
"""Raised when a stage's code changes what it makes from the same inputs."""

_DONE = "done.json"
PACKAGES = (
    *("edge-sdk-core", "edge-sdk-converter", "tensorflow", "keras", "numpy"),
    *("opencv-python-headless", "ai-edge-litert"),
)


@dataclass
class Stages:
    """The stages of one build folder. `record`: [{name, seconds, cached}] in the order run."""

    folder: Path
    record: list[BuildStage] = field(default_factory=list)

    def run(self, name: str, inputs: Any, make: Callable[[Path], None]) -> Path:
        """The folder of stage `name` for `inputs` (any JSON value), made by `make` unless it is
        there already. Raises what `make` raises, and FileError for a full disk.
        """
        started = time.monotonic()
        target = self.folder / f"{name}-{key(name, inputs)[:16]}"
        cached = _is_whole(target)
        if not cached:
            self._make(name, target, make)
        self.record.append({"name": name, "seconds": time.monotonic() - started, "cached": cached})
        return target

    def _make(self, name: str, target: Path, make: Callable[[Path], None]) -> None:
        working: Path | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in (*self.folder.glob(f"{name}-*"), *self.folder.glob(f".{name}-*")):
                shutil.rmtree(old, ignore_errors=True)
            working = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self.folder))
            make(working)
            (working / _DONE).write_text(json.dumps(_hashes(working)))
            working.rename(target)
            sync_folder(self.folder)
        except OSError as error:
            if isinstance(error, EdgeError):
                raise
            raise FileError(
                f"cannot write in {self.folder}: {error.strerror or error}",
                fix="free some space, or build into another folder with --out",
            ) from error
        finally:
            if working is not None and working.exists():
                shutil.rmtree(working, ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While inside, no other build works in `folder`. Raises FileError when one does already."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(
                f"another build is at work in {folder}",
                fix="wait for it, or build into another folder with --out",
            ) from error
        yield


def key(name: str, inputs: Any) -> str:
    """SHA-256 (hex) of a stage's name, its inputs and the versions that make it."""
    text = json.dumps([FORMAT, name, inputs, versions()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Installed versions of what a build depends on, without importing it."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _is_whole(folder: Path) -> bool:
    try:
        wanted = json.loads((folder / _DONE).read_text())
        return bool(_hashes(folder) == wanted)
    except (OSError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _DONE
    }
