"""Stages of a build, kept by the hash of all that goes into them.

A stage is a folder NAME-HASH that appears whole (it is filled under another name, then renamed) and
is reused as long as its inputs and its own files are unchanged. Results of several inputs lie side
by side, so that going back to an earlier recipe costs nothing; the least recently used go.

Processes may share a cache: the user of a stage holds a shared lock on its folder, its maker an
exclusive one, and only a folder that nobody holds is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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

KEEP = 5
"""Results of each stage that stay when a build ends: going back that far makes nothing anew."""


class StageCache:
    """The stages below `folder`; those that were used in its `with` block stay until it ends."""

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self.folder, self.keep = folder, keep
        self.record: list[BuildStage] = []
        """[{name, seconds, cached}] in the order run."""
        self._held = ExitStack()

    def __enter__(self) -> StageCache:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._held, suppress(OSError):
            self._trim()

    def run(self, name: str, inputs: Any, make: Callable[[Path], None]) -> Path:
        """The folder of stage `name` for `inputs` (any JSON value), made by `make` unless it is
        there already. Raises what `make` raises, and FileError for a full disk.
        """
        started = time.monotonic()
        target = self.folder / f"{name}-{key(name, inputs)[:16]}"
        cached = self._use(target)
        if not cached:
            self._make(target, make)
        self.record.append({"name": name, "seconds": time.monotonic() - started, "cached": cached})
        return target

    def _use(self, target: Path) -> bool:
        """Hold the stage, and note the time; False where it is not there, or damaged."""
        with ExitStack() as attempt:
            try:
                lock = attempt.enter_context(_locked(target, fcntl.LOCK_SH))
                removed = not os.path.samestat(os.fstat(lock), target.stat())
            except OSError:
                return False
            if removed or not _is_whole(target):
                return False
            os.utime(target)
            self._held.push(attempt.pop_all())
        return True

    def _make(self, target: Path, make: Callable[[Path], None]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as attempt:
                with _locked(self.folder, fcntl.LOCK_EX):
                    self._remove_abandoned()
                    working = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=self.folder))
                    attempt.callback(shutil.rmtree, working, ignore_errors=True)
                    lock = attempt.enter_context(_locked(working, fcntl.LOCK_EX))
                make(working)
                (working / _DONE).write_text(json.dumps(_hashes(working)))
                with _locked(self.folder, fcntl.LOCK_EX):
                    if self._use(target):  # another process was faster
                        return
                    shutil.rmtree(target, ignore_errors=True)
                    working.rename(target)
                    sync_folder(self.folder)
                    fcntl.flock(lock, fcntl.LOCK_SH)
                self._held.push(attempt.pop_all())
        except OSError as error:
            if isinstance(error, EdgeError):
                raise
            raise FileError(
                f"cannot write in {self.folder}: {error.strerror or error}",
                fix="free some space, or build into another folder with --out",
            ) from error

    def _trim(self) -> None:
        """Remove what is left of killed builds, and all but the `keep` last used of each stage."""
        with _locked(self.folder, fcntl.LOCK_EX):
            self._remove_abandoned()
            used: Counter[str] = Counter()
            stages = [path for path in self.folder.iterdir() if _is_finished(path)]
            for stage in sorted(stages, key=lambda path: path.stat().st_mtime_ns, reverse=True):
                name = stage.name.rpartition("-")[0]
                used[name] += 1
                if used[name] > self.keep:
                    _remove_unless_held(stage)

    def _remove_abandoned(self) -> None:
        for path in self.folder.iterdir():
            if not _is_finished(path):
                _remove_unless_held(path)


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[int]:
    """While inside, a lock on a folder: fcntl.LOCK_SH or LOCK_EX; yields what it is held by.

    Raises FileNotFoundError, and BlockingIOError where `kind` has LOCK_NB and others hold one.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_unless_held(stage: Path) -> None:
    with suppress(OSError), _locked(stage, fcntl.LOCK_EX | fcntl.LOCK_NB):
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While inside, no other build works in `folder`. Raises FileError when one does already."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(
                f"another build is running in {folder}",
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


def _is_finished(folder: Path) -> bool:
    """False for what a killed build left, with its working name or without its last file."""
    return not folder.name.startswith(".") and (folder / _DONE).is_file()


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
