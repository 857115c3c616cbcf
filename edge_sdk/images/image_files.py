"""The one image decoder, folder listing and image writer.

Decoded: whatever OpenCV reads, as 8-bit BGR. Rotation by EXIF is applied, 16-bit values are
scaled down, transparency is laid over white. A truncated file is an error, not a half-grey image.
Written images carry pixels only: no EXIF, no GPS position.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DataError, FileError, ImageError
from edge_sdk.files import read_file, reading, write_atomic
from edge_sdk.frames import YUV, Frame
from edge_sdk.images.color import to_bgr

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm")
)

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
"""The last chunk of every PNG with its CRC (PNG specification, 11.2.5)."""

# Corrupt files are answered by ImageError; OpenCV's own lines on stderr would only repeat it.
if hasattr(cv2, "setLogLevel"):  # OpenCV 4
    cv2.setLogLevel(0)
else:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_image(path: str | Path) -> Frame:
    """Decode one file. Raises FileError where there is none, ImageError where it is no image."""
    return decode_image(read_file(path, what="image"), name=str(path))


def decode_image(data: bytes, *, name: str = "image") -> Frame:
    """Decode the bytes of an image file into a BGR frame. Raises ImageError, naming `name`."""
    if not data:
        raise ImageError(f"{name} is empty", fix="remove it or copy it again")
    if data[:2] == b"\xff\xd8" and not _jpeg_is_complete(data):
        raise ImageError(f"{name} is a truncated JPEG", fix="remove it or copy it again")
    if data[:4] == b"\x89PNG" and _PNG_END not in data:
        raise ImageError(f"{name} is a truncated PNG", fix="remove it or copy it again")
    buffer = np.frombuffer(data, np.uint8)
    try:
        pixels = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
        if pixels is not None and _has_alpha(data):
            pixels = _over_white(cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED), pixels)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageError(
            f"{name} cannot be decoded: truncated, damaged or not an image",
            fix="remove it or copy it again",
        )
    return Frame(pixels, "bgr", source=name)


def list_images(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """Image files (by suffix) in `folder`, sorted by name; hidden ones are left out.

    Raises FileError when `folder` is missing or not a folder, or one in it may not be read.
    """
    folder = Path(folder)
    with reading(folder, what="folder of images"):
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise FileError(f"{folder} is not a folder", fix="give a folder of images")
        return sorted(
            path
            for path in (walk(folder) if recursive else folder.iterdir())
            if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()
        )


def list_classes(folder: str | Path) -> dict[str, list[Path]]:
    """`folder/CLASS/**/image` as {class: images}, classes sorted by name.

    Raises FileError when `folder` is missing, DataError when it has no class folder, or an
    empty one.
    """
    folder = Path(folder)
    classes = class_folders(folder)
    if not classes:
        raise DataError(
            f"{folder} has no class folders",
            fix=f"make a folder in it for each class, e.g. {folder / 'cat'}, with images inside",
        )
    empty = [name for name, images in classes.items() if not images]
    if empty:
        raise DataError(
            f"class folder without images: {', '.join(empty)} in {folder}",
            fix="add images to it, or remove it",
        )
    return classes


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """As `list_classes`, but whatever is there: empty classes, or none. Raises FileError."""
    list_images(folder)
    with reading(folder, what="folder of classes"), os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and e.name[0] != ".")
    return {name: list_images(folder / name, recursive=True) for name in names}


def write_image(path: str | Path, frame: Frame, *, durable: bool = True) -> None:
    """Encode `frame`, of any format, by the path's suffix and write it whole, as write_atomic does.
    Raises FileError.
    """
    path = Path(path)
    pixels = frame.pixels[:, :, ::-1] if frame.color == "rgb" else frame.pixels
    if frame.color in YUV:
        pixels = to_bgr(frame)
    try:
        done, encoded = cv2.imencode(path.suffix or ".png", pixels)
    except cv2.error:
        done = False
    if not done:
        raise FileError(f"cannot write {path} as an image", fix="end it in .png or .jpg")
    write_atomic(path, encoded.tobytes(), durable=durable)


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder. Hidden folders are not entered; one that may not be read is an
    error, where Path.rglob would leave its images out without a word. Raises FileError.
    """

    def refuse(error: OSError) -> None:
        raise FileError(
            f"cannot read {error.filename}: {error.strerror}",
            fix="check its permissions, or move it elsewhere",
        ) from error

    for base, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "."]
        yield from (Path(base, name) for name in names)


def _has_alpha(data: bytes) -> bool:
    """True for a PNG of colour type 4 or 6, or with a transparency chunk (PNG specification, 11),
    and for a WebP that may have an alpha channel (WebP container specification).
    """
    if data[:4] == b"\x89PNG":
        return data[25:26] in (b"\x04", b"\x06") or b"tRNS" in data[: data.find(b"IDAT")]
    return data[8:15] == b"WEBPVP8" and data[15:16] in (b"L", b"X")


def _over_white(raw: NDArray[Any] | None, color: NDArray[Any]) -> NDArray[Any]:
    """`color`, with the pixels that `raw`'s alpha channel hides turned white."""
    if raw is None or raw.ndim != 3 or raw.shape[2] != 4 or raw.shape[:2] != color.shape[:2]:
        return color
    top = np.iinfo(raw.dtype).max
    alpha = raw[:, :, 3:].astype(np.float32) / top
    return np.rint(color * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _jpeg_is_complete(data: bytes) -> bool:
    """True when an end-of-image marker follows the first scan (ITU-T T.81, B.1.1).

    Some OpenCV versions decode a JPEG that stops half-way, filling the rest with grey. Inside
    scan data FF is always stuffed, so FF D9 can only be the marker; before the scan, thumbnails
    carry one of their own, hence the walk over the segments.
    """
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position) >= 0
    return False
