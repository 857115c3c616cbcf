"""The bundle, NAME-VERSION.edge: reading, checking and writing one.

A zip whose comment is the SHA-256 (hex) of all bytes before it, so that damage anywhere is seen
before anything is parsed; then the list of members in the manifest, each with size and SHA-256.
This is integrity, not authenticity: whoever can write a bundle can write its hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import stat
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import BundleError, ModelError
from edge_sdk.files import read_file, write_atomic
from edge_sdk.manifest import Manifest, MemberEntry, parse_manifest

MOST_ENTRIES = 64
MOST_BYTES = 256 * 1024 * 1024
MOST_RATIO = 20
MEMBERS = (
    "manifest.json",
    "model.tflite",
    "model_edgetpu.tflite",
    "labels.txt",
    "golden.npz",
    "build.json",
)
_PIECE = 4096
_TIME = (1980, 1, 1, 0, 0, 0)
_CONVERTIBLE = (".keras", ".h5", ".onnx")
"""Models that `edge-sdk convert` makes a bundle of. A .keras file is a zip file, too."""
_REBUILD = "build it again, or copy it again from where it was built"
_DIGEST = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Golden:
    """Samples with their outputs. inputs[i], outputs[i]: (samples, *tensor shape), the tensor's
    dtype, in the order of the manifest.
    """

    inputs: tuple[NDArray[Any], ...]
    outputs: tuple[NDArray[Any], ...]

    def to_npz(self) -> bytes:
        """The bytes of golden.npz: no pickles, fixed timestamps."""
        file = io.BytesIO()
        arrays = {f"input_{i}": value for i, value in enumerate(self.inputs)}
        arrays |= {f"output_{i}": value for i, value in enumerate(self.outputs)}
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return file.getvalue()


class Bundle:
    """An opened bundle: everything in it has been checked against its hashes.

    with Bundle.open("doors-1.0.0.edge") as bundle: ...

    manifest, labels (in the order of the scores), sha256 (hex, of the whole file), path, build (the
    build record, build.json of CONTRACTS.md; empty where the bundle has none).
    """

    def __init__(
        self, path: Path, sha256: str, manifest: Manifest, members: dict[str, bytes]
    ) -> None:
        self.path = path
        self.sha256 = sha256
        self.manifest = manifest
        self._members = members
        self.labels = tuple(members[manifest.labels.file].decode("utf-8").splitlines())
        self.build: dict[str, Any] = json.loads(members.get("build.json", b"{}"))

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read and check a bundle.

        Raises FileError when it is not there or too large, BundleError when anything in it is not
        as it must be.
        """
        path = Path(path)
        data = read_file(path, what="bundle", most_bytes=MOST_BYTES)
        sha256 = _check_digest(data, path)
        members = _read_members(data, path)
        del data  # the members are copies of all that is in it
        manifest = parse_manifest(members["manifest.json"], where=f"{path.name}: manifest.json")
        _check_members(manifest, members, path)
        return cls(path, sha256, manifest, members)

    def read(self, member: str) -> bytes:
        """The bytes of a member. Raises BundleError where the bundle has none of that name."""
        if member not in self._members:
            raise BundleError(f"{self.path} has no {member}", fix=_REBUILD)
        return self._members[member]

    def model(self, kind: str = "litert") -> bytes:
        """The bytes of a model by its key in the manifest. Raises BundleError."""
        entry = self.manifest.models.get(kind)
        if entry is None:
            raise BundleError(
                f"{self.path} has no model for {kind}",
                fix=f"it has: {', '.join(self.manifest.models)}",
            )
        return self.read(entry.file)

    def golden(self) -> Golden:
        """The golden samples. Raises BundleError when they do not fit the manifest."""
        return _read_golden(self.read(self.manifest.golden.file), self.manifest, self.path)

    @property
    def identity(self) -> dict[str, str]:
        """How reports name the bundle: name, version, sha256 of the file, path."""
        manifest = self.manifest
        return {
            "name": manifest.name,
            "version": manifest.version,
            "sha256": self.sha256,
            "path": str(self.path),
        }

    def close(self) -> None:
        """Let the members go."""
        self._members = {}

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def write_bundle(
    path: str | Path,
    manifest: Manifest,
    members: Mapping[str, bytes],
    *,
    compressed: Collection[str] = (),
) -> None:
    """Write a bundle: the old file stays until the new one is whole and on disk.

    compressed: names of members that are packed by LZMA; the others are stored as they are.
    `manifest.members` is filled in here. The same contents give the same bytes. What is written
    is read back and checked as `Bundle.open` does, before it takes its name.
    Raises BundleError when the contents do not fit each other, FileError when it cannot be written.
    """
    members = dict(sorted(members.items()))
    listed = {
        name: MemberEntry(len(data), hashlib.sha256(data).hexdigest())
        for name, data in members.items()
    }
    manifest = replace(manifest, members=listed)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (("manifest.json", manifest.to_json()), *members.items()):
            _write_member(archive, name, data, compressed=name in compressed)
        archive.comment = b"0" * 64
    body = file.getvalue()[:-64]
    data = body + hashlib.sha256(body).hexdigest().encode()
    found = _read_members(data, Path(path))
    _check_members(parse_manifest(found["manifest.json"], where="manifest.json"), found, Path(path))
    write_atomic(path, data)


def packed_bytes(data: bytes) -> int:
    """How many bytes `data` takes as a compressed member."""
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        _write_member(archive, "model.tflite", data, compressed=True)
        return archive.infolist()[0].compress_size


def _write_member(archive: zipfile.ZipFile, name: str, data: bytes, *, compressed: bool) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o644 << 16
    archive.writestr(info, data, zipfile.ZIP_LZMA if compressed else zipfile.ZIP_STORED)


def _check_digest(data: bytes, path: Path) -> str:
    """The SHA-256 (hex) of the whole file. Its end is the one of all before it."""
    if data[:4] != b"PK\x03\x04":
        fix = _or_convert(path, "name a .edge file made by edge-sdk build")
        raise BundleError(f"{path} is not a bundle", fix=fix)
    if not _DIGEST.fullmatch(data[-64:]):
        fix = _or_convert(path, _REBUILD)
        raise BundleError(f"{path} is truncated or is not a bundle", fix=fix)
    digest = hashlib.sha256(memoryview(data)[:-64])
    if digest.hexdigest().encode() != data[-64:]:
        raise BundleError(f"{path} is damaged: its SHA-256 does not match", fix=_REBUILD)
    digest.update(data[-64:])
    return digest.hexdigest()


def _or_convert(path: Path, fix: str) -> str:
    """`fix`, or the command that makes a bundle of what has the name of a model."""
    known = path.suffix.lower() in _CONVERTIBLE
    return shlex.join(["edge-sdk", "convert", str(path)]) if known else fix


def _read_members(data: bytes, path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, path)
            return {entry.filename: _read_member(archive, entry) for entry in entries}
    except BundleError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds on crafted files
        raise BundleError(f"{path} cannot be unpacked: {error}", fix=_REBUILD) from error


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """As ZipFile.read does, but LZMA in small pieces: read at once, it is unpacked to whatever size
    it has before it is cut to the one that the entry states, and that may be a lie.
    """
    with archive.open(entry) as file:
        if entry.compress_type == zipfile.ZIP_STORED:
            return file.read()
        return b"".join(iter(lambda: file.read(_PIECE), b""))


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > MOST_ENTRIES:
        raise BundleError(
            f"{path} has {len(entries)} members, at most {MOST_ENTRIES}", fix=_REBUILD
        )
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name not in MEMBERS:
            raise BundleError(f"{path} has an unknown member {name!r}", fix=_REBUILD)
        if name in seen:
            raise BundleError(f"{path} has {name} twice", fix=_REBUILD)
        seen.add(name)
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BundleError(f"{path}: {name} is not a plain file", fix=_REBUILD)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_LZMA):
            raise BundleError(f"{path}: {name} is compressed in an unknown way", fix=_REBUILD)
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise BundleError(f"{path}: {name} has two sizes", fix=_REBUILD)
        if entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
            raise BundleError(f"{path}: {name} expands more than {MOST_RATIO} times", fix=_REBUILD)
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        raise BundleError(f"{path} holds {total} bytes, at most {MOST_BYTES}", fix=_REBUILD)
    if "manifest.json" not in seen:
        raise BundleError(f"{path} has no manifest.json", fix=_REBUILD)


def _check_members(manifest: Manifest, members: dict[str, bytes], path: Path) -> None:
    needed = {manifest.labels.file, manifest.golden.file}
    needed |= {model.file for model in manifest.models.values()}
    for name in sorted(needed - set(members)):
        raise BundleError(f"{path}: {name} is missing", fix=_REBUILD)
    for name in sorted(set(members) - set(manifest.members) - {"manifest.json"}):
        raise BundleError(f"{path}: {name} is not in the manifest's list", fix=_REBUILD)
    for name, entry in manifest.members.items():
        data = members.get(name)
        if data is None:
            raise BundleError(f"{path}: {name} is missing", fix=_REBUILD)
        if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{path}: {name} does not match its SHA-256", fix=_REBUILD)
    _check_labels(manifest, members[manifest.labels.file], path)
    if "build.json" in members:
        _check_json(members["build.json"], path)


def _check_labels(manifest: Manifest, data: bytes, path: Path) -> None:
    try:
        labels = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: {manifest.labels.file} is not UTF-8", fix=_REBUILD) from error
    if len(labels) != manifest.labels.count:
        raise BundleError(
            f"{path}: {manifest.labels.file} has {len(labels)} labels, "
            f"the manifest says {manifest.labels.count}",
            fix=_REBUILD,
        )


def _check_json(data: bytes, path: Path) -> None:
    try:
        if not isinstance(json.loads(data), dict):
            raise ValueError("not an object")
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: build.json is not JSON: {error}", fix=_REBUILD) from error


def _read_golden(data: bytes, manifest: Manifest, path: Path) -> Golden:
    entry = manifest.golden
    wanted = {"input_0": manifest.input.tensor}
    wanted |= {f"output_{i}": output.tensor for i, output in enumerate(manifest.outputs)}
    try:
        loaded = _load_arrays(data, wanted)
    except Exception as error:  # numpy and zipfile raise many kinds on crafted files
        raise BundleError(f"{path}: {entry.file} cannot be read: {error}", fix=_REBUILD) from error
    for name, tensor in wanted.items():
        array = loaded.get(name)
        shape = (entry.samples, *tensor.shape)
        if array is None or array.shape != shape or array.dtype != tensor.dtype:
            raise BundleError(
                f"{path}: {entry.file} has no {name} of {tensor.dtype}{list(shape)}", fix=_REBUILD
            )
    outputs = tuple(loaded[f"output_{i}"] for i in range(len(manifest.outputs)))
    return Golden((loaded["input_0"],), outputs)


def _load_arrays(data: bytes, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that an .npz file has."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise ValueError("it is too large")
    if not {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError("it is compressed in an unknown way")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names if name in arrays.files}


def load_model(path: str | Path) -> tuple[bytes, Bundle | None]:
    """The model in a bundle (checked) or in a bare .tflite file. Raises EdgeError."""
    path = Path(path)
    data = read_file(path, what="bundle or .tflite model", most_bytes=MOST_BYTES)
    if data[4:8] == b"TFL3":
        return data, None
    if data[:2] == b"PK":
        bundle = Bundle.open(path)
        return bundle.model(), bundle
    raise ModelError(
        f"{path} is neither a bundle nor a .tflite model",
        fix=_or_convert(path, "name a .edge or .tflite file"),
    )
