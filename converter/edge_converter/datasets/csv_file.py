"""`csv:PATH`: sequences of features, one a line: class, then frames x features numbers.

No header; the numbers of the first step, then those of the second, and so on. Class names are the
values as text, sorted, unless `data.labels` names them in that order.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_converter.datasets import Source
from edge_sdk.data.samples import FeatureRow, LabelledImages
from edge_sdk.errors import ConfigError, DataError
from edge_sdk.files import read_file
from edge_sdk.model.interface import SequenceEntry

Row = tuple[int, str, NDArray[np.float32]]
"""Line number, class, numbers."""


def open_source(path: str, sequence: SequenceEntry) -> Source:
    """The rows of a file, each of shape (sequence.frames, features). Raises FileError, DataError
    naming the line.
    """
    rows = _rows(path)
    count = len(rows[0][2])
    if count % sequence.frames:
        fitting = [n for n in range(1, count + 1) if count % n == 0]
        raise DataError(
            f"{path}: {count} numbers after the class are not divisible into "
            f"sequence.frames = {sequence.frames} steps",
            fix=f"set sequence.frames to one of {', '.join(map(str, fitting))}",
        )
    labels = tuple(sorted({label for _, label, _ in rows}))
    number = {label: index for index, label in enumerate(labels)}
    samples = [
        FeatureRow(number[label], f"line {line}", values=values.reshape(sequence.frames, -1))
        for line, label, values in rows
    ]
    return Source(labels, {"all": samples}, what="sequence", numbered=True)


def test_samples(path: str, sequence: SequenceEntry | None) -> LabelledImages:
    """All rows, for `evaluate --data csv:PATH`. Raises ConfigError without `sequence`, and as
    `open_source`.
    """
    if sequence is None:
        raise ConfigError(
            "data source csv: needs a bundle for sequences of features",
            fix="use folder: for a bundle for images",
        )
    source = open_source(path, sequence)
    return LabelledImages(source.labels, source.parts["all"], "all", numbered=True)


def _rows(path: str) -> list[Row]:
    """The file's rows, all of one length. Blank lines are passed over."""
    try:
        text = read_file(Path(path), what="csv").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", fix="save it as UTF-8") from error
    reader = csv.reader(text.splitlines())
    rows: list[Row] = []
    try:
        for cells in reader:
            if cells:
                rows.append(_row(path, reader.line_num, cells, rows[0] if rows else None))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}", fix="fix or remove the line"
        ) from error
    if not rows:
        raise DataError(f"{path} has no rows", fix="write one sequence per line: class, numbers")
    return rows


def _row(path: str, line: int, cells: list[str], first: Row | None) -> Row:
    where = f"{path}, line {line}"
    if len(cells) < 2:
        raise DataError(
            f"{where}: no comma in {cells[0][:40]!r}",
            fix="write class, then numbers, with commas between them",
        )
    if first is not None and len(cells) != len(first[2]) + 1:
        raise DataError(
            f"{where}: {len(cells) - 1} numbers, but {len(first[2])} on line {first[0]}",
            fix="give every line as many numbers, or remove the line",
        )
    return line, cells[0].strip(), _numbers(where, cells[1:], header=first is None)


def _numbers(where: str, cells: list[str], *, header: bool) -> NDArray[np.float32]:
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError as error:
        odd = next(cell for cell in cells if not _is_number(cell))
        raise DataError(
            f"{where}: {odd!r} is not a number",
            fix="remove the line: csv: has no header" if header else "fix or remove the line",
        ) from error
    wrong = ~(np.abs(values) <= np.finfo(np.float32).max)  # nan compares false
    if wrong.any():
        odd = cells[int(wrong.argmax())]
        raise DataError(
            f"{where}: {odd!r} is not a finite number of 32 bits", fix="fix or remove the line"
        )
    return values.astype(np.float32)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
