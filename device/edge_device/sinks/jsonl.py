"""Sink `jsonl:FILE`: one JSON document a line, each written as soon as the result is there.

Lines are added to what a file holds already, as logs are. A file that holds something else is left
alone.
"""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any, TextIO

from edge_device.sinks.base import Sink, Stop
from edge_sdk.errors import FileError
from edge_sdk.frames import Frame
from edge_sdk.results import Result

_LONGEST_LINE = 1 << 20
"""Bytes looked at of a file's first line: a result of 10,000 classes has fewer."""

_LOOK_S = 0.05
"""Seconds between two tries to open a pipe that nobody reads yet."""

_BEGINNING = b'{"index": '
"""Of every result, and so of one that a full disk cut."""


class JsonlSink(Sink):
    """Required, and written where the answer is: a line costs less than handing it to another
    thread, and a reader that follows the file sees each answer at once.

    Waits for the reader of a pipe; where `stop` says True meanwhile, nothing is written.
    Raises FileError when the file cannot be opened, or holds something else.
    """

    required = True
    capacity = 0

    def __init__(self, path: str | Path, stop: Stop = lambda: False, **options: Any) -> None:
        super().__init__(**options)
        self.name = str(path)
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lead = _lead(path)
            self._file = _opened(path, stop)
            self._file.write(lead)
        except FileError:
            raise
        except OSError as error:
            raise FileError(
                f"cannot write {path}: {error.strerror}",
                fix="name a file in a folder that you may write to",
            ) from error

    def _write(self, _frame: Frame, result: Result) -> None:
        self._file.write(json.dumps(result.as_dict(), ensure_ascii=False) + "\n")

    def _close(self) -> None:
        self._file.close()


def open_backend(address: str, stop: Stop, **options: Any) -> JsonlSink:
    """Open the file for writing. Raises FileError."""
    return JsonlSink(address, stop, **options)


def _opened(path: Path, stop: Stop) -> TextIO:
    """The file, to be written line by line. Where a file name in it is not UTF-8, the line has the
    JSON escape that reads back to it.
    """

    def opener(name: str, flags: int) -> int:
        if not path.is_fifo():
            return os.open(name, flags, 0o666)
        while (pipe := _try_pipe(name, flags)) is None:
            if stop():
                return os.open(os.devnull, flags)
            time.sleep(_LOOK_S)
        return pipe

    return open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1, opener=opener)


def _try_pipe(name: str, flags: int) -> int | None:
    """The pipe, open; None where nobody reads it, which a plain open would wait for, whatever the
    signals.
    """
    try:
        pipe = os.open(name, flags | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    os.set_blocking(pipe, True)
    return pipe


def _lead(path: Path) -> str:
    """The text to write before the next line: a line end where a full disk cut the last one.

    Raises FileError where the file's first line is neither a result nor the beginning of one.
    """
    if not path.is_file() or not path.stat().st_size:  # nothing there, or a pipe
        return ""
    with path.open("rb") as file:
        first = file.readline(_LONGEST_LINE)
        file.seek(-1, 2)
        last = file.read(1)
    try:
        found = json.loads(first)
        ours = isinstance(found, dict) and "classes" in found
    except (ValueError, RecursionError):
        ours = first.startswith(_BEGINNING)
    if not ours:
        raise FileError(f"{path} does not hold results", fix="name another file, or remove it")
    return "" if last == b"\n" else "\n"
