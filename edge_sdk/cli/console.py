"""The output of commands: one JSON document or text on stdout, progress and errors on stderr."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from edge_sdk.configuration import MAX_THREADS
from edge_sdk.errors import EdgeError, FileError, GateFailed, Interrupted
from edge_sdk.events import Event

F = TypeVar("F", bound=Callable[..., Any])
_answers_on_stderr = False


_INTERRUPTED = Interrupted("interrupted", fix="run the same command again")

PATH = click.Path(readable=False, path_type=Path)
"""A path argument: what is wrong with the file is the command's to say, with a fix."""

THREADS = click.IntRange(1, MAX_THREADS)
"""CPU threads per inference."""


class Finite(click.FloatRange):
    """A FloatRange that takes neither nan nor infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a usage error."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def json_option(command: F) -> F:
    """The option every answering command has: --json, given to the command as `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else."
    )(command)


def answer(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print the document (--json) or its text form. Raises FileError where stdout is full."""
    shown = json.dumps(document, indent=1, ensure_ascii=False) if as_json else text
    if _answers_on_stderr:
        note(shown)
    else:
        _print(shown)


@contextmanager
def answers_on_stderr() -> Iterator[None]:
    """Inside, `answer` prints on stderr: for a command that runs others on its way."""
    global _answers_on_stderr
    _answers_on_stderr = True
    try:
        yield
    finally:
        _answers_on_stderr = False


def note(message: str) -> None:
    """A line for the person at the terminal: stderr. Where that is full, nobody is there."""
    with suppress(OSError):
        click.echo(message, err=True)


def warn(message: str) -> None:
    """A warning line on stderr."""
    note(f"warning: {message}")


class Terminal:
    """Shows events: notes and warnings as lines that stay, progress and epochs as a line on a
    terminal that rewrites itself at most ten times a second and is silent in a pipe. All on stderr.

    Leaving its `with` takes the progress away.
    """

    def __init__(self) -> None:
        self.enabled = sys.stderr is not None and sys.stderr.isatty()  # None: 2>&-
        self._last = 0.0
        self._shown = False

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.kind in ("progress", "epoch"):  # in a pipe a line for each epoch would be noise
            self.status(event.text)
            return
        self.clear()
        note(f"warning: {event.text}" if event.kind == "warning" else event.text)

    def status(self, text: str) -> None:
        """Show `text` as the progress."""
        now = time.monotonic()
        if not self.enabled or now - self._last < 0.1:
            return
        self._last, self._shown = now, True
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Take the progress away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM call `stop` (which must only set a flag) once; a second one
    ends the process the usual way.
    """

    def handler(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        stop()

    before = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def run(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run a command line and turn how it ended into an exit status.

    0 done; 1 an error of the user's or the machine's; 2 usage; 3 a gate failed.
    """
    _hold_closed_descriptors()
    try:
        with _ctrl_c() as pressed:
            return _run(group, arguments, pressed)
    finally:
        _let_go_of_output()


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Yields whether Ctrl-C has been pressed. Native code of a library that KeyboardInterrupt
    passes through may make another exception of it, a SystemError for one.
    """
    pressed = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(
    group: click.Group, arguments: Sequence[str] | None, interrupted: Callable[[], bool]
) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be UTF-8: rather "\udcff" in the answer than no answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        ended = group.main(args=arguments, prog_name="edge-sdk", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return _report(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return int(error.exit_code)
    except EdgeError as error:
        return _report(error)
    except Exception as error:
        if interrupted():
            return _report(_INTERRUPTED, cause=error)
        return _report(
            EdgeError(
                f"unexpected {type(error).__name__}: {error}",
                fix="run it again with EDGE_SDK_DEBUG=1 and report what it prints",
            ),
            cause=error,
        )
    return ended if isinstance(ended, int) else 0  # click hands over what ctx.exit() was given


def _report(error: EdgeError, cause: BaseException | None = None) -> int:
    if os.environ.get("EDGE_SDK_DEBUG") == "1":
        import traceback  # only this needs it

        traceback.print_exception(cause or error)
    if isinstance(error, GateFailed):
        with suppress(OSError):  # the two lines below say it too
            _print(json.dumps(error.document, indent=1, ensure_ascii=False))
    note(f"error: {_flat(str(error))}")
    note(f"fix: {_flat(error.fix)}")
    return error.exit_status


def _print(text: str) -> None:
    """Raises FileError where stdout is full or closed; a reader that has left is click's matter."""
    if sys.stdout is None:
        raise FileError("standard output is closed", fix="leave it open, or send it to a file")
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot print the answer: {error.strerror or error}",
            fix="free some space, or send standard output elsewhere",
        ) from error


def _hold_closed_descriptors() -> None:
    """Open the null device for each of 0, 1 and 2 that is closed (`2>&-`): the next file to be
    opened would get that number, and a library's messages would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            lowest = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
            os.set_inheritable(lowest, True)


def _let_go_of_output() -> None:
    """Drop what stdout or stderr could not take: Python would try again as it ends, and change the
    exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _flat(text: str) -> str:
    return " ".join(text.split())
