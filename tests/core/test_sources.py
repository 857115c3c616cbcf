"""Labelled pictures by name."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.errors import ConfigError, DataError, FileError, ImageError, MissingPackage
from edge_sdk.sources import Picture, open_source, split_spec


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("folder:images/test", ("folder", "images/test")),
        ("images/test", ("folder", "images/test")),
        ("folder:a:b", ("folder", "a:b")),
        ("digits", ("digits", "")),
        ("./digits", ("folder", "./digits")),
        ("keras:mnist", ("keras", "mnist")),
        ("coco:annotations.json", ("coco", "annotations.json")),
        ("keras", ("folder", "keras")),
        ("C:pictures", ("folder", "C:pictures")),
    ],
)
def test_what_a_source_means(spec: str, parts: tuple[str, str]) -> None:
    assert split_spec(spec) == parts


def test_an_unknown_kind_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="unknown data source 'foldr:images'") as caught:
        split_spec("foldr:images")
    for kind in ("folder:", "digits:", "keras:", "csv:", "video:"):
        assert kind in caught.value.fix


def test_a_folder_whose_name_looks_like_a_kind(
    tmp_path: Path, write_pictures: Callable[..., Any]
) -> None:
    write_pictures(tmp_path / "old:pictures" / "cat", 1)
    with contextlib.chdir(tmp_path):
        assert open_source("old:pictures").labels == ("cat",)


def test_a_folder_of_classes(tmp_path: Path, write_pictures: Callable[..., list[Path]]) -> None:
    dogs = write_pictures(tmp_path / "dog", 2)
    cats = write_pictures(tmp_path / "cat" / "indoors", 1)
    source = open_source(f"folder:{tmp_path}")
    assert (source.labels, source.part) == (("cat", "dog"), "all")
    assert [(p.label, p.path) for p in source.pictures] == [
        (0, cats[0]),
        (1, dogs[0]),
        (1, dogs[1]),
    ]
    assert open_source(str(tmp_path)).labels == source.labels


def test_the_test_part_is_taken_where_there_is_one(
    tmp_path: Path, write_pictures: Callable[..., list[Path]]
) -> None:
    for part in ("train", "val", "test"):
        write_pictures(tmp_path / part / "cat", 1)
    (wanted,) = write_pictures(tmp_path / "test" / "dog", 1)
    source = open_source(str(tmp_path))
    assert (source.labels, source.part, len(source.pictures)) == (("cat", "dog"), "test", 2)
    assert source.pictures[1].path == wanted


def test_test_alone_is_a_class_like_any_other(
    tmp_path: Path, write_pictures: Callable[..., Any]
) -> None:
    write_pictures(tmp_path / "test" / "cat", 1)
    assert open_source(str(tmp_path)).labels == ("test",)


def test_no_source(tmp_path: Path, write_pictures: Callable[..., Any]) -> None:
    with pytest.raises(FileError, match="does not exist"):
        open_source(f"folder:{tmp_path / 'x'}")
    with pytest.raises(FileError, match="cannot read"):
        open_source("x" * 300)
    with pytest.raises(DataError, match="no class folders"):
        open_source(str(tmp_path))
    write_pictures(tmp_path / "cat", 1)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match="class folder without pictures: dog"):
        open_source(str(tmp_path))


def test_a_kind_that_is_not_there_yet() -> None:
    with pytest.raises(ConfigError, match="'coco' is not available yet"):
        open_source("coco:annotations.json")


@pytest.mark.parametrize("kind", ["csv:x.csv", "video:x.mp4"])
def test_a_kind_of_the_converter_that_is_not_installed(kind: str) -> None:
    name = kind.partition(":")[0]
    if importlib.metadata.entry_points(group="edge_sdk.sources", name=name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(MissingPackage, match="comes with edge-sdk-converter") as caught:
        open_source(kind)
    assert caught.value.fix == "pip install edge-sdk-converter"


def test_a_picture_on_disk_and_one_in_memory(
    tmp_path: Path, write_pictures: Callable[..., list[Path]]
) -> None:
    (path,) = write_pictures(tmp_path, 1)
    stored = Picture(0, "a", path=path)
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stored.read().source == str(path)
    pixels = np.zeros((2, 3), np.uint8)
    held = Picture(1, "digit 7", pixels=pixels, color="gray")
    frame = held.read()
    assert (frame.source, frame.color, frame.width) == ("digit 7", "gray", 3)
    assert held.sha256 == hashlib.sha256(bytes(6)).hexdigest()


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(ImageError):
        Picture(0, "a", path=tmp_path / "a.jpg").read()
    with pytest.raises(FileError):
        Picture(0, "a", path=tmp_path / "b.jpg").read()
