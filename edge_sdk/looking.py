"""One look at each picture file: does it decode, and what are its hashes and its size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_sdk.files import read_file
from edge_sdk.images import decode_image
from edge_sdk.similar import perceptual_hash

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 8
"""A picture of 48 megapixels takes 144 MB while it is decoded; so many may be at once."""

_WAITING = 256
"""Tasks given to the threads at a time: Ctrl-C waits for no more than these."""


@dataclass(frozen=True)
class Look:
    """sha256: of the file's bytes (hex). hash: the perceptual one, None where there is none."""

    sha256: str
    hash: int | None
    width: int
    height: int


def look_at(path: Path) -> Look:
    """Read and decode a picture file once. Raises FileError, ImageError."""
    data = read_file(path, what="picture")
    frame = decode_image(data, name=str(path))
    digest = hashlib.sha256(data).hexdigest()
    return Look(digest, perceptual_hash(frame), frame.width, frame.height)


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`function` of each item, in their order."""
    with ThreadPoolExecutor(min(MOST_THREADS, (os.cpu_count() or 1) + 1)) as pool:
        for start in range(0, len(items), _WAITING):
            yield from pool.map(function, items[start : start + _WAITING])
