"""The port of sinks: the public methods of all, and the private ones that a backend writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from edge_device.sinks.worker import Worker
from edge_sdk.errors import EdgeError, FileError
from edge_sdk.frames import Frame
from edge_sdk.results import Result

CAPACITY = 8
"""Answers that wait at most, unless a sink says otherwise; each keeps its frame in memory."""

Stop = Callable[[], bool]
"""Asked by what may wait for long; True: do not wait any longer."""


class Sink(ABC):
    """Takes answers with their frames, one after another.

    Answers wait in a queue of `capacity` for a thread of the sink's own; with 0 they are written
    where `write` is called. What a backend raises becomes an EdgeError (FileError for the machine's
    refusals).

    required: nothing may be lost: where the queue is full `write` waits, and what goes wrong is
    raised by the next `write` or `close`. Otherwise the oldest answer gives way, and what goes
    wrong is counted and said in `notes`. None for either: as the kind of sink has it.
    timeout_s: how long a required sink may take nothing, and how long `close` waits.
    given, dropped, failed: answers taken, those that gave way, those that could not be written.
    One thread writes and closes.
    """

    name = "sink"
    remedy = "free some space, or check that it may be written to"
    required = False
    capacity = CAPACITY
    timeout_s = 5.0

    def __init__(self, *, required: bool | None = None, capacity: int | None = None) -> None:
        self.required = type(self).required if required is None else required
        self.capacity = type(self).capacity if capacity is None else capacity
        self.given = self.dropped = self.failed = 0
        self._because: EdgeError | None = None
        self._unraised: EdgeError | None = None
        self._closed = False
        self._worker: Worker | None = None
        if self.capacity:
            self._worker = Worker(self.capacity, self._take, self._release)

    @property
    def busy(self) -> bool:
        """True while an answer waits or is being written."""
        return self._worker is not None and self._worker.pending > 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the report: what a sink that is not required has lost."""
        if self.required:
            return ()
        notes = []
        if self.failed:
            often = "once" if self.failed == 1 else f"{self.failed} times; the first time"
            notes.append(f"{self.name} failed {often}: {self._because}")
        if self.dropped:
            notes.append(f"{self.name} was too slow: {self.dropped} of {self.given} answers lost")
        return tuple(notes)

    def write(self, frame: Frame, result: Result) -> None:
        """Take one answer, and the frame that it is about.

        Raises EdgeError when it is closed; of a required sink FileError, EdgeError, also for the
        answers before.
        """
        if self._closed:
            raise EdgeError(f"{self.name} is closed", fix="open it again before writing")
        if self._due(result):
            self.given += 1
            if self._worker is None:
                self._take(frame, result)
            elif not self._worker.put(frame, result, self.timeout_s if self.required else 0.0):
                self._lose()
        self._raise()

    def flush(self) -> bool:
        """Wait until all that was given is written; False where that takes longer than `timeout_s`.
        Raises as `write` does.
        """
        done = self._worker is None or self._worker.flush(self.timeout_s)
        self._raise()
        return done

    def close(self) -> None:
        """Write what waits and let it go, but for no longer than `timeout_s`. Closing twice is
        fine. Raises as `write` does: what waited could be lost.
        """
        if not self._closed:
            self._closed = True
            if self._worker is None:
                self._release()
            else:
                self.dropped += self._worker.end(self.timeout_s)
                if self._worker.alive:
                    self._hangs()
            self._raise()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _write(self, frame: Frame, result: Result) -> None:
        """Take one answer."""

    def _due(self, _result: Result) -> bool:
        """True for an answer that is to be written; asked for each, in the thread that answers:
        it must be quick.
        """
        return True

    def _close(self) -> None:  # noqa: B027 (a sink that holds nothing has nothing to do)
        """Release what was opened; called where `_write` is."""

    def _take(self, frame: Frame, result: Result) -> None:
        try:
            self._write(frame, result)
        except Exception as error:
            self._fail(error)

    def _release(self) -> None:
        try:
            self._close()
        except Exception as error:
            self._fail(error)

    def _lose(self) -> None:
        self.dropped += 1
        if self.required:
            self._hangs()

    def _hangs(self) -> None:
        message = f"{self.name} has taken nothing for {self.timeout_s:g} s"
        self._fail(EdgeError(message, fix=self.remedy))

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        known = error if isinstance(error, EdgeError) else self._translated(error)
        if self._because is None:
            self._because = known
            if not self.required:
                import logging  # not before something fails: it takes long to import

                logging.getLogger("edge_device.sinks").warning("%s failed: %s", self.name, known)
        if self.required:
            self._unraised = known

    def _raise(self) -> None:
        if self._unraised is not None:
            error, self._unraised = self._unraised, None
            raise error

    def _translated(self, error: Exception) -> EdgeError:
        kind: Callable[..., EdgeError] = FileError if isinstance(error, OSError) else EdgeError
        if isinstance(error, BrokenPipeError):
            message, fix = f"the reader of {self.name} closed the pipe", "keep it running"
            return FileError(message, fix=f"{fix}, or name a file")
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        translated = kind(f"cannot write to {self.name}: {reason}", fix=self.remedy)
        translated.__cause__ = error
        return translated
