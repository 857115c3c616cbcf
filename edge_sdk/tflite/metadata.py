"""TFLite Metadata: labels and normalisation that a model file may carry.

Source of the layout: TensorFlow Lite Support's metadata_schema.fbs (ModelMetadata 1.x); field
numbers below are those of the schema. Associated files are a zip appended to the model.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flatbuffers import encode, number_types
from flatbuffers.table import Table

from edge_sdk.tflite.graph import Graph

_NORMALIZATION = 1  # ProcessUnitOptions
_LABELS = (2, 3)  # AssociatedFileType: TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS
_MAX_LABEL_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class ModelMetadata:
    """The metadata found: `labels` in the order of the output; mean and std as the model's author
    meant them, `fed = (pixel - mean) / std`. Empty where the file says nothing.
    """

    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def read_metadata(model: bytes, graph: Graph) -> ModelMetadata:
    """The metadata of a model; empty where there is none or it cannot be read."""
    buffer = graph.metadata.get("TFLITE_METADATA")
    if not buffer:
        return ModelMetadata()
    try:
        root = Table(buffer, encode.Get(number_types.UOffsetTFlags.packer_type, buffer, 0))
        subgraph = next(_tables(root, 3), None)
        if subgraph is None:
            return ModelMetadata()
        mean, std = _normalization(subgraph)
        return ModelMetadata(_labels(model, subgraph), mean, std)
    except (struct.error, IndexError, ValueError, TypeError, RecursionError):
        return ModelMetadata()


def _normalization(subgraph: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for tensor in _tables(subgraph, 2):
        for unit in _tables(tensor, 4):
            kind = _offset(unit, 0)
            if kind and unit.Get(number_types.Uint8Flags, unit.Pos + kind) == _NORMALIZATION:
                options = Table(unit.Bytes, 0)
                unit.Union(options, _offset(unit, 1))
                return _floats(options, 0), _floats(options, 1)
    return (), ()


def _labels(model: bytes, subgraph: Table) -> tuple[str, ...]:
    names = [
        _string(file, 0)
        for tensor in _tables(subgraph, 3)
        for file in _tables(tensor, 6)
        if _byte(file, 2) in _LABELS
    ]
    if not names or not zipfile.is_zipfile(io.BytesIO(model)):
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as files:
            entry = files.getinfo(names[0])
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                return ()
            with files.open(entry) as file:
                # The size in its header may be a lie: no more than this is ever unpacked.
                data = file.read(_MAX_LABEL_BYTES + 1)
    except (KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError):
        return ()
    if len(data) > _MAX_LABEL_BYTES:
        return ()
    return tuple(data.decode("utf-8").rstrip("\n").splitlines())


def _offset(table: Table, field: int) -> int:
    return int(table.Offset(4 + 2 * field))


def _tables(table: Table, field: int) -> Iterator[Table]:
    offset = _offset(table, field)
    if not offset:
        return
    start = table.Vector(offset)
    for i in range(min(table.VectorLen(offset), len(table.Bytes) // 4)):
        yield Table(table.Bytes, table.Indirect(start + 4 * i))


def _floats(table: Table, field: int) -> tuple[float, ...]:
    offset = _offset(table, field)
    if not offset:
        return ()
    start = table.Vector(offset)
    count = min(table.VectorLen(offset), len(table.Bytes) // 4)
    return tuple(float(table.Get(number_types.Float32Flags, start + 4 * i)) for i in range(count))


def _string(table: Table, field: int) -> str:
    offset = _offset(table, field)
    raw: Any = table.String(table.Pos + offset) if offset else b""
    return str(raw, "utf-8")


def _byte(table: Table, field: int) -> int:
    offset = _offset(table, field)
    return int(table.Get(number_types.Int8Flags, table.Pos + offset)) if offset else 0
