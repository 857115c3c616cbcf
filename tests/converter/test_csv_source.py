"""csv: sequences of features, and every way in which a file can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.datasets import Dataset, open_dataset
from edge_sdk.data.samples import FeatureRow
from edge_sdk.data.sources import open_source
from edge_sdk.errors import ConfigError, DataError, EdgeError, FileError
from edge_sdk.model.interface import SequenceEntry

PARTS = ("train", "val", "test")


def opened(path: Path, *, frames: int = 2, seed: int = 0, **data: Any) -> Dataset:
    return open_dataset(
        Recipe.parse(
            {
                "name": "x",
                "task": "sequence",
                "seed": seed,
                "data": {"source": f"csv:{path}", **data},
                "model": {"name": "features"},
                "sequence": {"frames": frames},
            }
        )
    )


def refused(path: Path, kind: type[EdgeError] = DataError, **options: Any) -> EdgeError:
    with pytest.raises(kind) as caught:
        opened(path, **options)
    assert caught.value.fix
    return caught.value


def write(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, "utf-8")
    return path


def rows(*labels: str, width: int = 4) -> str:
    """A line for each label, with numbers of its own."""
    return "".join(
        ",".join([label, *(f"{line}.{number}" for number in range(width))]) + "\n"
        for line, label in enumerate(labels)
    )


def everything(data: Dataset) -> list[Any]:
    return [sample for part in PARTS for sample in getattr(data, part)]


def test_a_line_is_a_sequence_step_by_step(tmp_path: Path) -> None:
    data = opened(write(tmp_path, "up,1,2,3,4,5,-6e-1\n" + rows(*["down", "up"] * 5, width=6)))
    assert (data.labels, data.what, len(everything(data))) == (("down", "up"), "sequence", 11)
    (first,) = (sample for sample in everything(data) if sample.name == "line 1")
    assert isinstance(first, FeatureRow) and first.label == 1
    np.testing.assert_array_equal(first.read(), np.float32([[1, 2, 3], [4, 5, -0.6]]))
    assert first.read().dtype == np.float32


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    text = "\ufeff" + '"a, b",1,2\r\n\r\n' + "c , 1e3,-2\r\n" * 3 + '"a, b",3,4\r\n"a, b",5,6'
    data = opened(write(tmp_path, text))
    assert data.labels == ("a, b", "c") and len(everything(data)) == 6


def test_classes_are_stratified_and_the_split_is_the_seeds(tmp_path: Path) -> None:
    path = write(tmp_path, rows(*(["a"] * 20 + ["b"] * 40)))
    data = opened(path)
    assert data.per_class == {
        "a": {"train": 14, "val": 3, "test": 3},
        "b": {"train": 28, "val": 6, "test": 6},
    }
    assert [s.name for s in opened(path).test] == [s.name for s in data.test]
    assert [s.name for s in opened(path, seed=1).test] != [s.name for s in data.test]


def test_equal_lines_are_duplicates(tmp_path: Path) -> None:
    data = opened(write(tmp_path, rows(*["a", "b"] * 5) + "a,7,7,7,7\n" * 3))
    assert data.duplicates == 2 and data.near == ()


# --- labels --------------------------------------------------------------------------------------


def test_values_get_the_names_of_data_labels_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, rows(*["2", "0", "1"] * 4))
    plain, named = opened(path), opened(path, labels=["stop", "left", "right"])
    assert (plain.labels, named.labels) == (("0", "1", "2"), ("stop", "left", "right"))
    assert [s.label for s in named.test] == [s.label for s in plain.test]
    assert named.sha256 == plain.sha256


def test_the_values_themselves_can_be_put_in_another_order(tmp_path: Path) -> None:
    data = opened(write(tmp_path, "up,1,1\n" * 4 + "down,2,2\n" * 4), labels=["up", "down"])
    assert data.labels == ("up", "down")
    for sample in everything(data):
        assert sample.read()[0, 0] == (1 if data.labels[sample.label] == "up" else 2)


@pytest.mark.parametrize("labels", [["stop"], ["stop", "go", "turn"]])
def test_a_labels_list_that_disagrees(tmp_path: Path, labels: list[str]) -> None:
    error = refused(write(tmp_path, rows(*["0", "1"] * 4)), labels=labels)
    assert "data.labels does not match" in str(error) and "0, 1" in error.fix


def test_numbers_that_sort_as_text_are_not_named_by_place(tmp_path: Path) -> None:
    path = write(tmp_path, rows(*[str(number) for number in range(11)] * 3))
    assert opened(path).labels[:3] == ("0", "1", "10")
    error = refused(path, labels=[f"name{number}" for number in range(11)])
    assert "0, 1, 10, 2" in str(error) and "00, 01" in error.fix
    padded = write(tmp_path, rows(*[f"{number:02}" for number in range(11)] * 3))
    assert opened(padded, labels=[f"name{n}" for n in range(11)]).labels[10] == "name10"


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says", "fix"),
    [
        ("a,1,2,3", "line 3: 3 numbers, but 4 on line 1", "as many numbers"),
        ("a,1,2,3,4,5", "line 3: 5 numbers, but 4 on line 1", "as many numbers"),
        ("a,1,2,3,", "line 3: '' is not a number", "fix or remove"),
        ("a,1,2,x,4", "line 3: 'x' is not a number", "fix or remove"),
        ("a,1,nan,3,4", "line 3: 'nan' is not a finite number", "fix or remove"),
        ("a,1,2,3,-inf", "line 3: '-inf' is not a finite number", "fix or remove"),
        ("a,1,2,1e39,4", "line 3: '1e39' is not a finite number of 32 bits", "fix or remove"),
        ("a;1;2;3;4", "line 3: no comma in 'a;1;2;3;4'", "commas"),
        ("", "", ""),
    ],
    ids=lambda value: value or "blank",
)
def test_lines_that_are_wrong_are_named(tmp_path: Path, line: str, says: str, fix: str) -> None:
    path = write(tmp_path, rows("a", "b") + line + "\n" + rows(*["a", "b"] * 3))
    if not line:
        assert len(everything(opened(path))) == 8
        return
    error = refused(path)
    assert f"{path}, {says}" in str(error) and fix in error.fix


def test_a_header_is_refused(tmp_path: Path) -> None:
    error = refused(write(tmp_path, "class,x0,y0,x1,y1\n" + rows(*["a", "b"] * 4)))
    assert "line 1: 'x0' is not a number" in str(error) and "no header" in error.fix


def test_numbers_that_are_not_divisible_into_steps(tmp_path: Path) -> None:
    error = refused(write(tmp_path, rows(*["a", "b"] * 4, width=12)), frames=5)
    assert "12 numbers after the class are not divisible into sequence.frames = 5" in str(error)
    assert error.fix == "set sequence.frames to one of 1, 2, 3, 4, 6, 12"


def test_one_class_only(tmp_path: Path) -> None:
    error = refused(write(tmp_path, rows(*["a"] * 8)))
    assert "only one class: a" in str(error) and "second class" in error.fix


def test_a_class_of_two(tmp_path: Path) -> None:
    error = refused(write(tmp_path, rows(*["a"] * 8, "b", "b")))
    assert "class 'b' has 2 readable sequences, at least 3 needed" in str(error)


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    assert "has no rows" in str(refused(write(tmp_path, content)))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    assert "not UTF-8" in str(refused(path))
    path.write_bytes(b"a,1,2,3,4\nb,\0,2,3,4\n")
    assert "line 2" in str(refused(path))
    assert "does not exist" in str(refused(tmp_path / "none.csv", FileError))
    assert "is a folder" in str(refused(tmp_path, FileError))


# --- evaluate ------------------------------------------------------------------------------------


def test_evaluate_takes_every_row(tmp_path: Path) -> None:
    path = write(tmp_path, rows(*["b", "a"] * 4))
    source = open_source(f"csv:{path}", SequenceEntry(frames=4, stride=1))
    assert (source.labels, source.part, len(source.images)) == (("a", "b"), "all", 8)
    assert [sample.label for sample in source.images[:2]] == [1, 0]
    assert np.shape(source.images[0].read()) == (4, 1)
    with pytest.raises(ConfigError, match="bundle for sequences"):
        open_source(f"csv:{path}", None)


def test_recorded_gestures(shared_data: Path) -> None:
    path = shared_data / "sequences" / "point_history.csv"
    data = opened(path, frames=16, labels=["stop", "clockwise", "counter-clockwise", "move"])
    assert [sum(parts.values()) for parts in data.per_class.values()] == [1481, 1234, 1279, 1302]
    assert {np.shape(sample.read()) for sample in data.test} == {(16, 2)}
