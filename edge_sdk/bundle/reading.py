"""The bundle, NAME-VERSION.edge: reading, checking and writing one.

What edge_sdk.archive reads is checked against the list of members in the manifest, each with size
and SHA-256. This is integrity, not authenticity: whoever can write a bundle can write its hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.archive import (
    MAX_BYTES,
    REBUILD,
    check_digest,
    or_convert,
    read_members,
    to_archive,
)
from edge_sdk.bundle.manifest import Manifest, MemberEntry, parse_manifest
from edge_sdk.errors import BundleError, ModelError
from edge_sdk.files import open_file, read_file, write_atomic
from edge_sdk.model.interface import PLAIN

if TYPE_CHECKING:
    from edge_sdk.documents.common import BundleIdentity


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
    build record, build.json of docs/contracts.md; empty where the bundle has none).
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
    def open(cls, path: str | Path, *, verify: bool = True) -> Bundle:
        """Read and check a bundle.

        verify: check each member's hash, too. False leaves it to `verify`, for a bundle that this
        machine may have accepted before: the hash of the file, always checked, then proves them.
        Raises FileError when it is not there or too large, BundleError when anything in it is not
        as it must be.
        """
        path = Path(path)
        with open_file(path, what="bundle", max_bytes=MAX_BYTES) as file:
            found = _state(file)
            sha256 = check_digest(file, path)
            members = read_members(file, path)
            if _state(file) != found:  # else members of one file, proven by the hash of another
                raise BundleError(f"{path} was changed while it was read", fix="run it again")
        manifest = parse_manifest(members["manifest.json"], where=f"{path.name}: manifest.json")
        _check_members(manifest, members, path, hashes=verify)
        return cls(path, sha256, manifest, members)

    def verify(self) -> None:
        """Check each member's hash. Raises BundleError."""
        _check_members(self.manifest, self._members, self.path)

    def read(self, member: str) -> bytes:
        """The bytes of a member. Raises BundleError where the bundle has none of that name."""
        if member not in self._members:
            raise BundleError(f"{self.path} has no {member}", fix=REBUILD)
        return self._members[member]

    def model(self, kind: str = PLAIN) -> bytes:
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
    def identity(self) -> BundleIdentity:
        """The bundle as reports name it: name, version, sha256 of the file, path."""
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


def _state(file: BinaryIO) -> tuple[int, int, int]:
    """Changes with whatever is written into the file."""
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


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
    data = to_archive({"manifest.json": manifest.to_json(), **members}, compressed)
    found = read_members(io.BytesIO(data), Path(path))
    _check_members(parse_manifest(found["manifest.json"], where="manifest.json"), found, Path(path))
    write_atomic(path, data)


def _check_members(
    manifest: Manifest, members: dict[str, bytes], path: Path, *, hashes: bool = True
) -> None:
    needed = {manifest.labels.file, manifest.golden.file}
    needed |= {model.file for model in manifest.models.values()}
    for name in sorted(needed - set(members)):
        raise BundleError(f"{path}: {name} is missing", fix=REBUILD)
    for name in sorted(set(members) - set(manifest.members) - {"manifest.json"}):
        raise BundleError(f"{path}: {name} is not in the manifest's list", fix=REBUILD)
    for name, entry in manifest.members.items():
        data = members.get(name)
        if data is None:
            raise BundleError(f"{path}: {name} is missing", fix=REBUILD)
        wrong = hashes and hashlib.sha256(data).hexdigest() != entry.sha256
        if wrong or len(data) != entry.bytes:
            raise BundleError(f"{path}: {name} does not match its SHA-256", fix=REBUILD)
    _check_labels(manifest, members[manifest.labels.file], path)
    if "build.json" in members:
        _check_json(members["build.json"], path)


def _check_labels(manifest: Manifest, data: bytes, path: Path) -> None:
    try:
        labels = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: {manifest.labels.file} is not UTF-8", fix=REBUILD) from error
    if len(labels) != manifest.labels.count:
        raise BundleError(
            f"{path}: {manifest.labels.file} has {len(labels)} labels, "
            f"the manifest says {manifest.labels.count}",
            fix=REBUILD,
        )


def _check_json(data: bytes, path: Path) -> None:
    try:
        if not isinstance(json.loads(data), dict):
            raise ValueError("not an object")
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: build.json is not JSON: {error}", fix=REBUILD) from error


def _read_golden(data: bytes, manifest: Manifest, path: Path) -> Golden:
    entry = manifest.golden
    inputs = manifest.interface.inputs
    wanted = {f"input_{i}": entry.tensor for i, entry in enumerate(inputs)}
    wanted |= {f"output_{i}": output.tensor for i, output in enumerate(manifest.outputs)}
    try:
        loaded = _load_arrays(data, wanted)
    except Exception as error:  # numpy and zipfile raise many kinds on crafted files
        raise BundleError(f"{path}: {entry.file} cannot be read: {error}", fix=REBUILD) from error
    for name, tensor in wanted.items():
        array = loaded.get(name)
        shape = (entry.samples, *tensor.shape)
        if array is None or array.shape != shape or array.dtype != tensor.dtype:
            raise BundleError(
                f"{path}: {entry.file} has no {name} of {tensor.dtype}{list(shape)}", fix=REBUILD
            )
    return Golden(
        tuple(loaded[f"input_{i}"] for i in range(len(inputs))),
        tuple(loaded[f"output_{i}"] for i in range(len(manifest.outputs))),
    )


def _load_arrays(data: bytes, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that an .npz file has."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ValueError("it is too large")
    if not {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError("it is compressed in an unknown way")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names if name in arrays.files}


def load_model(path: str | Path) -> tuple[bytes, Bundle | None]:
    """The model in a bundle (checked) or in a bare .tflite file. Raises EdgeError."""
    path = Path(path)
    data = read_file(path, what="bundle or .tflite model", max_bytes=MAX_BYTES)
    if data[4:8] == b"TFL3":
        return data, None
    if data[:2] == b"PK":
        bundle = Bundle.open(path)
        return bundle.model(), bundle
    raise ModelError(
        f"{path} is neither a bundle nor a .tflite model",
        fix=or_convert(path, "name a .edge or .tflite file"),
    )
