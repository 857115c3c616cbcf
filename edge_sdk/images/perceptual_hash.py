"""Images that look alike: the same one saved again, smaller, brighter or with noise.

A 64-bit perceptual hash from the lowest frequencies of the discrete cosine transform: N. Krawetz,
"Looks Like It" (2011); C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions" (2010).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_sdk.frames import YUV, Frame
from edge_sdk.images.color import to_gray

MAX_BITS = 4
"""Hashes that differ in so many bits or fewer are near-duplicates.

Measured on 206 photos of 100x100: the same photo as a JPEG of quality 60, at half its size, 20
levels brighter, with 1.2 times the contrast or with noise of 6 levels is within 4 bits each time.
Of the 1.3 million pairs of 1,643 different photos of hands 5 are (photos of one hand, one after
another).
"""

GRID = 32
"""Images are hashed at GRID x GRID pixels. Smaller ones are not: two that differ look the same
with so few pixels, and only equal files count as duplicates.
"""

MIN_CONTRAST = 2.0
"""Standard deviation of the grey levels (0..255) below which an image is blank: all are alike."""

_BITS = 64
_ROWS = 512
"""Hashes compared at once with all others: 512 x 50,000 distances take 100 MB."""

Hash = int | None


@dataclass(frozen=True)
class SimilarPair:
    """Image `index` of a part looks like `other` of an earlier part; `bits` of 64 differ."""

    part: str
    index: int
    other_part: str
    other: int
    bits: int


def perceptual_hash(frame: Frame) -> Hash:
    """64 bits; None for an image that has too few pixels or too little contrast to be told."""
    if min(frame.height, frame.width) < GRID:
        return None
    values = cv2.resize(_gray(frame), (GRID, GRID), interpolation=cv2.INTER_AREA)
    if cv2.meanStdDev(values)[1].item() < MIN_CONTRAST:
        return None
    lowest = cv2.dct(values.astype(np.float32))[1:9, 1:9].ravel()
    bits = lowest > np.partition(lowest, _BITS // 2 - 1)[_BITS // 2 - 1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _gray(frame: Frame) -> NDArray[np.uint8]:
    """Grey levels. Of a large image only every n-th pixel: a cell of the grid keeps 64 of them or
    more.
    """
    step = max(1, min(frame.height, frame.width) // (8 * GRID))
    if frame.color in YUV:
        return np.ascontiguousarray(to_gray(frame)[::step, ::step])
    pixels = np.ascontiguousarray(frame.pixels[::step, ::step])
    return to_gray(Frame(pixels, frame.color))


def near_duplicates(
    hashes_by_part: Mapping[str, Sequence[Hash]], max_bits: int = MAX_BITS
) -> list[SimilarPair]:
    """Each image that looks like one of an earlier part, with the nearest of those.

    At most one entry an image: the frames of a fixed camera all look alike.
    """
    names = list(hashes_by_part)
    owners = [(name, i) for name in names for i in range(len(hashes_by_part[name]))]
    signs, known = _signs([value for name in names for value in hashes_by_part[name]])
    part = np.array([names.index(owners[i][0]) for i in known], np.int64)
    found = []
    for number in range(1, len(names)):
        rows = np.flatnonzero(part == number)
        columns = np.flatnonzero(part < number)
        for row, column, bits in _nearest(signs[rows], signs[columns], max_bits):
            later, index = owners[known[rows[row]]]
            earlier, other = owners[known[columns[column]]]
            found.append(SimilarPair(later, index, earlier, other, bits))
    return found


def look_alikes(hashes: Sequence[Hash], max_bits: int = MAX_BITS) -> list[tuple[int, int, int]]:
    """(index, other, bits) of each image that looks like one before it, with the nearest."""
    signs, known = _signs(hashes)
    return [
        (int(known[row]), int(known[column]), bits)
        for row, column, bits in _nearest(signs, signs, max_bits, before=True)
    ]


def _signs(hashes: Sequence[Hash]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The hashes there are as rows of 64 numbers, 1 or -1, and whose they are."""
    known = np.array([i for i, value in enumerate(hashes) if value is not None], np.int64)
    values = np.array([value for value in hashes if value is not None], ">u8")
    bits = np.unpackbits(values.view(np.uint8)).reshape(-1, _BITS)
    return bits.astype(np.float32) * 2 - 1, known


def _nearest(
    rows: NDArray[np.float32], columns: NDArray[np.float32], max_bits: int, *, before: bool = False
) -> Iterator[tuple[int, int, int]]:
    """(row, nearest column, bits) for rows that have one. before: only columns before the row.

    The product of two rows of signs is 64 - 2 x the bits that differ, so that one matrix product
    compares thousands at once: 50,000 with 50,000 in seconds.
    """
    if not len(columns):
        return
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS]
        others = columns[: start + len(block)] if before else columns
        product = block @ others.T
        if before:
            product[:, start:][np.triu_indices(len(block))] = -_BITS
        best = product.argmax(axis=1)
        bits = (_BITS - product[np.arange(len(block)), best]) / 2
        for row in np.flatnonzero(bits <= max_bits):
            yield start + int(row), int(best[row]), int(bits[row])
