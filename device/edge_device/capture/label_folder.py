"""Class folders that are filled image by image: DIR/LABEL/LABEL-0001.jpg and so on.

JPEG at OpenCV's quality of 95, not PNG: a fifth of the bytes and a tenth of the time, and what it
changes is about one level of 255 at a model's size, less than a camera's noise (14 photos).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_sdk.data.sources import PARTS, part_folders
from edge_sdk.errors import ConfigError, FileError
from edge_sdk.files import is_folder, prepare_folder, reading
from edge_sdk.frames import Frame
from edge_sdk.images.image_files import SUFFIXES, write_image

SUFFIX = ".jpg"

_LONGEST = 200
"""Bytes of a label: with a number, a suffix and what a temporary file adds, Linux takes 255."""


def check_label(label: str) -> None:
    """Raise ConfigError where `label` cannot name a class and its folder."""
    wrong = _wrong(label)
    if wrong:
        raise ConfigError(
            f"label {label!r} {wrong}", fix="write a short word for the class, as in --label open"
        )


def _wrong(label: str) -> str:
    if label in ("", ".", ".."):
        return "names no folder"
    if "/" in label:
        return "holds a slash: it is one folder's name"
    if label[0] == ".":
        return "begins with a dot: hidden folders are no classes"
    if label != label.strip():
        return "begins or ends with a space"
    if not label.isprintable():
        return "holds characters that cannot be shown"
    if len(label.encode()) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    return "names a part of a data set, not a class" if label in PARTS else ""


def check_out(out: Path) -> None:
    """Raise FileError where class folders cannot be made in `out`."""
    if parts := part_folders(out):
        raise FileError(
            f"{out} is split into {', '.join(parts)}: a class beside them is never looked at",
            fix=f"name one of them: --out {parts['train']}",
        )


class ClassFolder:
    """A folder to fill; what is there already stays. Nothing is made before the first image.

    Several programs may fill the same one. Raises FileError where it cannot be written.
    """

    def __init__(self, out: Path, label: str) -> None:
        self.label = label
        self.path = out / label
        _try(self.path)
        self._number = _last_number(self.path, label)

    def save(self, image: Frame) -> Path:
        """Write an "rgb", "bgr" or "gray" image under the next free number. Raises FileError."""
        with _alone(self.path):
            while os.path.lexists(path := self._next()):
                pass
            try:
                write_image(path, image)
            except FileError:
                with suppress(OSError):  # an empty folder would be a class without images
                    self.path.rmdir()
                raise
        return path

    def _next(self) -> Path:
        self._number += 1
        return self.path / f"{self.label}-{self._number:04}{SUFFIX}"


def _try(folder: Path) -> None:
    """That files can be made in it, or it itself, before anybody poses for an image."""
    there = is_folder(folder)
    if not there and os.path.lexists(folder):
        raise FileError(f"{folder} is not a folder", fix="rename it, or choose another --label")
    prepare_folder(folder if there else folder.parent, what="images", option="--out")


def _last_number(folder: Path, label: str) -> int:
    """The highest number of an image that is there, whatever its kind; 0 without one."""
    if not folder.is_dir():
        return 0
    name = re.compile(re.escape(label) + r"-([0-9]{1,18})")
    with reading(folder, what="class folder"):
        stems = [path.stem for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return max((int(found[1]) for found in map(name.fullmatch, stems) if found), default=0)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While inside, nobody else who asks is inside: two cameras may fill one folder. Where the file
    system has no locks, everybody is.
    """
    with suppress(OSError):  # write_image says what is wrong with the folder
        folder.mkdir(exist_ok=True)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
