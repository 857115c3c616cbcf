"""Sink `jsonl:FILE`: one JSON document a line, each written as soon as the result is there."""

from __future__ import annotations

import json
from pathlib import Path

from edge_device.sinks import Sink
from edge_sdk.errors import FileError
from edge_sdk.results import Result


class JsonlSink(Sink):
    """Raises FileError when the file cannot be opened. What it held before is replaced."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            # Line by line, so that whoever follows the file sees each answer at once. A file name
            # that is not UTF-8 becomes the JSON escape that reads back to it.
            self._file = Path(path).open(  # noqa: SIM115
                "w", encoding="utf-8", errors="backslashreplace", buffering=1
            )
        except OSError as error:
            raise FileError(
                f"cannot write {path}: {error.strerror}",
                fix="name a file in a folder that you may write to",
            ) from error

    def _write(self, result: Result) -> None:
        self._file.write(json.dumps(result.as_dict(), ensure_ascii=False) + "\n")

    def _close(self) -> None:
        self._file.close()


def open_backend(address: str) -> JsonlSink:
    """Open the file for writing. Raises FileError."""
    return JsonlSink(address)
