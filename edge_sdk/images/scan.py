"""One look at each image file: does it decode, and what are its hashes and its size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_sdk.errors import EdgeError, FileError
from edge_sdk.files import read_file
from edge_sdk.images.image_files import decode_image
from edge_sdk.images.perceptual_hash import perceptual_hash
from edge_sdk.processes.worker import Worker, WorkerEnded

_PROGRAM = ("-m", "edge_sdk.images.scan_worker")

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
class ImageScan:
    """sha256: of the file's bytes (hex). hash: the perceptual one, None where there is none."""

    sha256: str
    hash: int | None
    width: int
    height: int


def scan_image(path: Path) -> ImageScan:
    """Read and decode an image file once. Raises FileError, ImageError."""
    data = read_file(path, what="image")
    frame = decode_image(data, name=str(path))
    digest = hashlib.sha256(data).hexdigest()
    return ImageScan(digest, perceptual_hash(frame), frame.width, frame.height)


def scan_images(paths: Sequence[Path]) -> Iterator[ImageScan | str]:
    """A look at each image file, in their order, or why it cannot be read. Raises FileError where
    one ends the process that decodes it.
    """
    return in_threads(scan_or_error, paths) if len(paths) < MANY else _in_workers(paths)


def scan_or_error(path: Path) -> ImageScan | str:
    """A look at one, or why it cannot be read."""
    try:
        return scan_image(path)
    except EdgeError as error:
        return str(error)


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`function` of each item, in their order."""
    with ThreadPoolExecutor(min(MAX_AT_ONCE, (os.cpu_count() or 1) + 1)) as pool:
        for start in range(0, len(items), _WAITING):
            yield from pool.map(function, items[start : start + _WAITING])


def _in_workers(paths: Sequence[Path]) -> Iterator[ImageScan | str]:
    parts = [paths[start : start + _WAITING] for start in range(0, len(paths), _WAITING)]
    with ExitStack() as stack:
        count = min(MAX_AT_ONCE, os.cpu_count() or 1, len(parts))
        workers = [stack.enter_context(closing(Worker(_PROGRAM))) for _ in range(count)]
        for worker, part in zip(workers, parts, strict=False):
            _ask(worker, part)
        for number, part in enumerate(parts):
            worker = workers[number % count]
            found = _answer(worker, part)
            if number + count < len(parts):
                _ask(worker, parts[number + count])
            yield from found


def _ask(worker: Worker, part: Sequence[Path]) -> None:
    worker.ask([str(path) for path in part])


def _answer(worker: Worker, part: Sequence[Path]) -> list[ImageScan | str]:
    try:
        found = worker.answer()
    except WorkerEnded as ended:
        raise FileError(
            f"one of the images from {part[0]} to {part[-1]} crashed the process that decodes them "
            f"({ended})",
            fix="move these images away, half at a time, to find which one; if memory is "
            "short, close other programs",
        ) from ended
    return [one if isinstance(one, str) else ImageScan(*one) for one in found]
