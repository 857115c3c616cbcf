"""Clips of digits that move left, right, up or down:

    python -m edge_converter.datasets.moving_digits DIR

One class folder a direction. The digit, its place and its speed are drawn at random: what tells the
classes apart is the motion.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_converter.datasets.digits import open_source
from edge_sdk.data.samples import Image
from edge_sdk.errors import FileError
from edge_sdk.images.color import convert

DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SIZE, FRAMES = 48, 8


def write_clips(folder: Path, clips: int = 200, *, seed: int = 0) -> None:
    """Write `clips` AVI files (Motion JPEG, SIZE x SIZE, FRAMES frames) a direction.

    Raises FileError where the folder has something in it or cannot be written, MissingPackage.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileError(f"{folder} is not empty", fix="name a new folder")
    random = np.random.default_rng(seed)
    digits = [p for part in open_source().parts.values() for p in part if isinstance(p, Image)]
    for name, (x, y) in DIRECTIONS.items():
        for number in range(clips):
            digit = digits[random.integers(len(digits))].pixels
            _write(folder / name / f"{number:04d}.avi", _frames(random, digit, x, y))


def _frames(random: np.random.Generator, digit: Any, x: int, y: int) -> list[NDArray[np.uint8]]:
    """FRAMES images of `digit` on its way, at 1 or 2 pixels a frame, all of it in the image."""
    speed = int(random.integers(1, 3))
    room, way = SIZE - digit.shape[0], speed * (FRAMES - 1)
    left, top = (
        int(random.integers(0, room + 1 - way * abs(step))) + way * (step < 0) for step in (x, y)
    )
    found = []
    for number in range(FRAMES):
        image = np.zeros((SIZE, SIZE), np.uint8)
        row, column = top + y * speed * number, left + x * speed * number
        image[row : row + digit.shape[0], column : column + digit.shape[1]] = digit
        found.append(image)
    return found


def _write(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"cannot write {path.parent}: {error.strerror}", fix="name a folder you may write to"
        ) from error
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (SIZE, SIZE))
    try:
        if not video.isOpened():
            raise FileError(f"cannot write {path}", fix="free some space, or name another folder")
        for frame in frames:
            video.write(convert(frame, "gray", "bgr"))
    finally:
        video.release()


def main(arguments: list[str]) -> int:
    """Write the clips into the folder that the command line names."""
    if len(arguments) != 1:
        print("usage: python -m edge_converter.datasets.moving_digits DIR", file=sys.stderr)
        return 2
    try:
        write_clips(Path(arguments[0]))
    except FileError as error:
        print(f"error: {error}\nfix: {error.fix}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
