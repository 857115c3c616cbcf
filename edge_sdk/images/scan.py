"""One look at each image file: does it decode, and what are its hashes and its size."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_sdk.errors import EdgeError, FileError
from edge_sdk.files import read_file
from edge_sdk.images.files import decode_image
from edge_sdk.images.perceptual_hash import perceptual_hash
from edge_sdk.processes import how_it_ended

T = TypeVar("T")
R = TypeVar("R")

MAX_AT_ONCE = 8
"""An image of 48 megapixels takes 144 MB while it is decoded; so many may be at once."""

MANY = 2000
"""Images from which on child processes, which start in 0.3 s, are worth it: threads of one
process spend most of the time waiting for each other.
"""

_WAITING = 256
"""Tasks given out at a time: Ctrl-C waits for no more than these."""


@dataclass(frozen=True)
class Look:
    """sha256: of the file's bytes (hex). hash: the perceptual one, None where there is none."""

    sha256: str
    hash: int | None
    width: int
    height: int


def look_at(path: Path) -> Look:
    """Read and decode an image file once. Raises FileError, ImageError."""
    data = read_file(path, what="image")
    frame = decode_image(data, name=str(path))
    digest = hashlib.sha256(data).hexdigest()
    return Look(digest, perceptual_hash(frame), frame.width, frame.height)


def look_at_all(paths: Sequence[Path]) -> Iterator[Look | str]:
    """A look at each image file, in their order, or why it cannot be read. Raises FileError where
    one ends the process that decodes it.
    """
    return in_threads(look_or_why, paths) if len(paths) < MANY else _in_children(paths)


def look_or_why(path: Path) -> Look | str:
    """A look at one, or why it cannot be read."""
    try:
        return look_at(path)
    except EdgeError as error:
        return str(error)


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`function` of each item, in their order."""
    with ThreadPoolExecutor(min(MAX_AT_ONCE, (os.cpu_count() or 1) + 1)) as pool:
        for start in range(0, len(items), _WAITING):
            yield from pool.map(function, items[start : start + _WAITING])


def _in_children(paths: Sequence[Path]) -> Iterator[Look | str]:
    parts = [paths[start : start + _WAITING] for start in range(0, len(paths), _WAITING)]
    with ExitStack() as stack:
        count = min(MAX_AT_ONCE, os.cpu_count() or 1, len(parts))
        children = [stack.enter_context(_child()) for _ in range(count)]
        for child, part in zip(children, parts, strict=False):
            _ask(child, part)
        for number, part in enumerate(parts):
            child = children[number % count]
            found = _answer(child, part)
            if number + count < len(parts):
                _ask(child, parts[number + count])
            yield from found


@contextmanager
def _child() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "edge_sdk.images.scan_worker", str(os.getpid())]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        with suppress(BrokenPipeError):  # what it was asked and has not read
            child.stdin.close()


def _ask(child: subprocess.Popen[bytes], part: Sequence[Path]) -> None:
    """It waits for a line, so that this one never fills the pipe. A child that has gone shows when
    it is to answer.
    """
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps([str(path) for path in part]).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return


def _answer(child: subprocess.Popen[bytes], part: Sequence[Path]) -> list[Look | str]:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.endswith(b"\n"):
        raise FileError(
            f"one of the images from {part[0]} to {part[-1]} ended the process that decodes them "
            f"({how_it_ended(child.wait())})",
            fix="move these images away, half of them at a time, to find which; close other "
            "programs where memory is short",
        )
    return [one if isinstance(one, str) else Look(*one) for one in json.loads(line)]
