"""Sinks: where results go, behind one small interface.

    with open_sink("jsonl:results.jsonl") as sink:
        sink.write(result)

Backends are opened by name; each imports what it needs when it is opened, not before.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError, EdgeError, FileError
from edge_sdk.results import Result


class Sink(ABC):
    """Takes results one after another. A backend writes the underscored methods.

    Whatever a backend raises becomes an EdgeError (FileError for the machine's refusals).
    """

    name = "sink"
    remedy = "free some space, or check that it may be written to"
    _closed = False

    def write(self, result: Result) -> None:
        """Take one result. Raises FileError, EdgeError; EdgeError when it is closed."""
        if self._closed:
            raise EdgeError(f"{self.name} is closed", fix="open it again before writing")
        with self._translated():
            self._write(result)

    def close(self) -> None:
        """Let it go. Closing twice is fine. Raises as `write` does: what waited could be lost."""
        if not self._closed:
            self._closed = True
            with self._translated():
                self._close()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _write(self, result: Result) -> None:
        """Take one result."""

    def _close(self) -> None:  # noqa: B027 (a sink that holds nothing has nothing to do)
        """Release what was opened."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except EdgeError:
            raise
        except BrokenPipeError as error:
            raise FileError(
                f"whoever read {self.name} has ended", fix="keep it running, or name a file"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise FileError(f"cannot write to {self.name}: {reason}", fix=self.remedy) from error
        except Exception as error:
            raise EdgeError(f"cannot write to {self.name}: {error}", fix=self.remedy) from error


@dataclass(frozen=True)
class Backend:
    """One row of the table of sinks. address: what follows the colon, "" for nothing."""

    module: str
    help: str
    address: str = ""


BACKENDS: dict[str, Backend] = {
    "console": Backend("edge_device.sinks.console", "a status line a second, on a terminal"),
    "jsonl": Backend("edge_device.sinks.jsonl", "a file with one JSON line a result", "FILE"),
    "fake": Backend("edge_device.sinks.fake", "remembers what it was given, for tests"),
}


def open_sink(spec: str) -> Sink:
    """Open the sink that KIND[:ADDRESS] names. Raises ConfigError, FileError."""
    kind, _, address = spec.partition(":")
    if kind not in BACKENDS:
        raise ConfigError(f"unknown sink {spec!r}", fix=nearest(kind, BACKENDS))
    backend = BACKENDS[kind]
    if bool(address) != bool(backend.address):
        usage = f"{kind}:{backend.address}" if backend.address else kind
        raise ConfigError(f"sink {spec!r} cannot be opened like that", fix=f"write {usage}")
    sink: Sink = importlib.import_module(backend.module).open_backend(address)
    return sink
