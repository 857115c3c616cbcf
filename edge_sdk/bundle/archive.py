"""The file of a bundle: a zip whose comment is the SHA-256 (hex) of all bytes before it, so that
damage anywhere is seen before anything is parsed.
"""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import stat
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from edge_sdk.errors import BundleError

MAX_ENTRIES = 64
MAX_BYTES = 256 * 1024 * 1024
MAX_RATIO = 20
MEMBERS = (
    "manifest.json",
    "model.tflite",
    "model_edgetpu.tflite",
    "labels.txt",
    "golden.npz",
    "build.json",
)
REBUILD = "build it again, or copy it again from where it was built"
"""The fix for nearly all that may be wrong with a bundle."""

_PIECE = 4096
_HASHED = 64 * 1024
_DIGEST_BYTES = 64
_TIME = (1980, 1, 1, 0, 0, 0)
_CONVERTIBLE = (".keras", ".h5", ".onnx")
"""Models that `edge-sdk convert` makes a bundle of. A .keras file is a zip file, too."""
_DIGEST = re.compile(rb"[0-9a-f]{64}")


def to_archive(members: Mapping[str, bytes], compressed: Collection[str] = ()) -> bytes:
    """The bytes of a bundle with these members, in this order. compressed: names of those that are
    packed by LZMA; the others are stored as they are. The same members give the same bytes.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            _write_member(archive, name, data, compressed=name in compressed)
        archive.comment = b"0" * _DIGEST_BYTES
    body = file.getvalue()[:-_DIGEST_BYTES]
    return body + hashlib.sha256(body).hexdigest().encode()


def check_digest(file: BinaryIO, path: Path) -> str:
    """The SHA-256 (hex) of the whole file. Its end is the one of all before it.

    It is read in pieces: a bundle is never in memory as a whole. Raises BundleError.
    """
    head = file.read(4)
    end = file.seek(0, io.SEEK_END) - _DIGEST_BYTES
    file.seek(max(0, end))
    tail = file.read()
    if head != b"PK\x03\x04":
        fix = or_convert(path, "name a .edge file made by edge-sdk build")
        raise BundleError(f"{path} is not a bundle", fix=fix)
    if not _DIGEST.fullmatch(tail):
        fix = or_convert(path, REBUILD)
        raise BundleError(f"{path} is truncated or is not a bundle", fix=fix)
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(min(_HASHED, end - file.tell())):
        digest.update(piece)
    if digest.hexdigest().encode() != tail:
        raise BundleError(f"{path} is damaged: its SHA-256 does not match", fix=REBUILD)
    digest.update(tail)
    return digest.hexdigest()


def or_convert(path: Path, fix: str) -> str:
    """`fix`, or the command that makes a bundle of what has the name of a model."""
    known = path.suffix.lower() in _CONVERTIBLE
    return shlex.join(["edge-sdk", "convert", str(path)]) if known else fix


def packed_bytes(data: bytes) -> int:
    """The size of `data` as a compressed member, in bytes."""
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        _write_member(archive, "model.tflite", data, compressed=True)
        return archive.infolist()[0].compress_size


def read_members(file: BinaryIO, path: Path) -> dict[str, bytes]:
    """The members by name, each of a known one, within the limits. Raises BundleError."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_entries(entries, path)
            return {entry.filename: _read_member(archive, entry) for entry in entries}
    except BundleError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds on crafted files
        raise BundleError(f"{path} cannot be unpacked: {error}", fix=REBUILD) from error


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """As ZipFile.read does, but LZMA in small pieces: read at once, it is unpacked to whatever size
    it has before it is cut to the one that the entry states, and that may be a lie.
    """
    with archive.open(entry) as file:
        if entry.compress_type == zipfile.ZIP_STORED:
            return file.read()
        return b"".join(iter(lambda: file.read(_PIECE), b""))


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BundleError(f"{path} has {len(entries)} members, at most {MAX_ENTRIES}", fix=REBUILD)
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name not in MEMBERS:
            raise BundleError(f"{path} has an unknown member {name!r}", fix=REBUILD)
        if name in seen:
            raise BundleError(f"{path} has {name} twice", fix=REBUILD)
        seen.add(name)
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BundleError(f"{path}: {name} is not a plain file", fix=REBUILD)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_LZMA):
            raise BundleError(f"{path}: {name} is compressed in an unknown way", fix=REBUILD)
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise BundleError(f"{path}: {name} has two sizes", fix=REBUILD)
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise BundleError(f"{path}: {name} expands more than {MAX_RATIO} times", fix=REBUILD)
    total = sum(entry.file_size for entry in entries)
    if total > MAX_BYTES:
        raise BundleError(f"{path} holds {total} bytes, at most {MAX_BYTES}", fix=REBUILD)
    if "manifest.json" not in seen:
        raise BundleError(f"{path} has no manifest.json", fix=REBUILD)


def _write_member(archive: zipfile.ZipFile, name: str, data: bytes, *, compressed: bool) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o644 << 16
    archive.writestr(info, data, zipfile.ZIP_LZMA if compressed else zipfile.ZIP_STORED)
