"""Sink `jsonl:FILE`: one JSON document a line, each written as soon as the result is there.

Lines are added to what a file holds already, as logs are. A file that holds something else is left
alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_device.sinks.base import Sink
from edge_sdk.errors import FileError
from edge_sdk.frames import Frame
from edge_sdk.results import Result

_LONGEST_LINE = 1 << 20
"""Bytes looked at of a file's first line: a result of 10,000 classes has fewer."""

_BEGINNING = b'{"index": '
"""Of every result, and so of one that a full disk cut."""


class JsonlSink(Sink):
    """Required, and written where the answer is: a line costs less than handing it to another
    thread, and whoever follows the file sees each answer at once.

    Raises FileError when the file cannot be opened, or holds something else.
    """

    required = True
    capacity = 0

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(**options)
        self.name = str(path)
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lead = _lead(path)
            # Line by line. A file name that is not UTF-8 becomes the JSON escape that reads back
            # to it.
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
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


def open_backend(address: str, **options: Any) -> JsonlSink:
    """Open the file for writing. Raises FileError."""
    return JsonlSink(address, **options)


def _lead(path: Path) -> str:
    """The text to write before the next line: a line end where a full disk cut the last one.

    Raises FileError where the file's first line is no result, nor the beginning of one.
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
