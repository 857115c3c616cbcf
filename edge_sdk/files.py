"""Files written whole or not at all, and read with errors that say what to do."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from edge_sdk.errors import FileError


def write_atomic(path: str | Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` so that at any moment the old file or the new one is there.

    Write to a temporary file beside it, fsync, rename, fsync the folder. Whatever ends this early
    (a full disk, Ctrl-C) leaves the old file, and takes the temporary one away.
    durable: False leaves fsync out, for what is written again in a moment: after a power cut the
    file may be empty.
    Raises FileError.
    """
    path = Path(path)
    # Named before it is made: an interrupt between the two must not leave a file without a name.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder", fix=f"give a file in it: {path / 'NAME'}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb", opener=_no_link) as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot write {path}: {error.strerror or error}",
            fix="free some space, or give another place that you can write to",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that a rename inside it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: str | Path, *, what: str, max_bytes: int | None = None) -> bytes:
    """All bytes of a file. `what` names its role in errors ("bundle", "model").

    Raises FileError when it is missing, a folder or a device, unreadable, or larger than
    `max_bytes`.
    """
    with open_file(path, what=what, max_bytes=max_bytes) as file:
        return file.read()


@contextlib.contextmanager
def open_file(
    path: str | Path, *, what: str, max_bytes: int | None = None
) -> Iterator[io.BufferedReader]:
    """The file, open for reading, for as long as the `with` lasts. Raises as `read_file` does, also
    for what is read inside.
    """
    path = Path(path)
    with reading(path, what=f"{what} file"):
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            # A pipe may never end, and /dev/zero does not.
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
            raise FileError(f"{path} is {kind}, not {_a(what)}", fix=f"give the {what} file itself")
        if max_bytes is not None and found.st_size > max_bytes:
            raise FileError(
                f"{path} is too large for {_a(what)}: {found.st_size} bytes, at most {max_bytes}",
                fix=f"give {_a(what)} file",
            )
        with path.open("rb") as file:
            yield file


def _a(what: str) -> str:
    """With its article."""
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def is_folder(path: Path) -> bool:
    """True if `path` is a folder; False where nothing is there. Raises FileError where this is not
    known: a name that is too long, a folder above it that may not be entered.
    """
    with reading(path, what="file or folder"):
        return path.is_dir()


@contextlib.contextmanager
def reading(path: Path, *, what: str) -> Iterator[None]:
    """While inside, an OSError is a FileError about `path`, where a `what` is expected."""
    try:
        yield
    except FileError:
        raise
    except FileNotFoundError as error:
        raise FileError(
            f"{path} does not exist", fix=f"check the path; {_a(what)} is expected"
        ) from error
    except OSError as error:
        raise FileError(
            f"cannot read {path}: {error.strerror or error}", fix="check the path and permissions"
        ) from error


def state_folder() -> Path:
    """The folder of what this machine has proven: $XDG_STATE_HOME/edge-sdk.

    Raises FileError for a user without a home.
    """
    base = os.environ.get("XDG_STATE_HOME")
    if base:
        return Path(base) / "edge-sdk"
    try:
        return Path.home() / ".local" / "state" / "edge-sdk"
    except RuntimeError as error:  # no HOME, and a user id that has no name
        raise FileError("this user has no home folder", fix="set HOME or XDG_STATE_HOME") from error


def _no_link(path: str, flags: int) -> int:
    """Open for `open`, but never through a link that somebody laid there."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def prepare_folder(folder: Path, *, what: str, option: str) -> None:
    """Make a folder and try that files can be made in it, before the time is spent on `what`, which
    is to go there; `option` names another. Raises FileError.
    """
    import tempfile  # not where nothing is written

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(
            f"cannot write {what} to {folder}: {error.strerror or error}",
            fix=f"give a folder that you can write to with {option}",
        ) from error
