"""Labelled images by name."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.data.samples import Image
from edge_sdk.data.sources import open_source, split_spec
from edge_sdk.errors import (
    ConfigError,
    DataError,
    EdgeError,
    FileError,
    ImageError,
    MissingPackage,
)


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
        ("C:images", ("folder", "C:images")),
    ],
)
def test_what_a_source_means(spec: str, parts: tuple[str, str]) -> None:
    assert split_spec(spec) == parts


def installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_an_unknown_kind_lists_those_that_can_be_opened() -> None:
    with pytest.raises(ConfigError, match="unknown data source 'foldr:images'") as caught:
        split_spec("foldr:images")
    more = "csv:…, digits, keras:…, video:…, " if installed("edge-sdk-converter") else ""
    wanted = f"use one of: folder:…, coco:…, {more}".removesuffix(", ") + " or a folder"
    assert caught.value.fix == wanted


def test_a_home_folder(
    tmp_path: Path, write_images: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "images" / "cat", 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("folder:~/images").labels == ("cat",)
    with pytest.raises(FileError, match="does not exist"):
        open_source("folder:~nobody-of-this-name/images")


def test_names_that_no_file_can_have() -> None:
    for spec in (f"foldr:{'x' * 300}", f"folder:{'x' * 300}", "x" * 300):
        with pytest.raises(FileError, match="File name too long"):
            open_source(spec)


OPEN = """
import sys
from edge_sdk.errors import FileError
from edge_sdk.data.sources import open_source
try:
    open_source(sys.argv[1])
except FileError as error:
    print(error)
"""


def as_anybody() -> None:
    """Before the program starts: root gives up reading what it may not (<linux/capability.h>)."""
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for power in (override, search):
        ctypes.CDLL(None).prctl(drop, power, 0, 0, 0)


def test_a_folder_that_may_not_be_read_is_never_an_empty_one(
    tmp_path: Path, write_images: Callable[..., Any]
) -> None:
    write_images(tmp_path / "cat", 1)
    closed = tmp_path / "cat" / "closed"
    write_images(closed, 1)
    closed.chmod(0o000)
    line = [sys.executable, "-c", OPEN, tmp_path]
    done = subprocess.run(line, preexec_fn=as_anybody, capture_output=True, text=True, check=True)
    closed.chmod(0o700)
    assert done.stdout == f"cannot read {closed}: Permission denied\n"


def test_a_folder_whose_name_looks_like_a_kind(
    tmp_path: Path, write_images: Callable[..., Any]
) -> None:
    write_images(tmp_path / "old:images" / "cat", 1)
    with contextlib.chdir(tmp_path):
        assert open_source("old:images").labels == ("cat",)


def test_a_folder_of_classes(tmp_path: Path, write_images: Callable[..., list[Path]]) -> None:
    dogs = write_images(tmp_path / "dog", 2)
    cats = write_images(tmp_path / "cat" / "indoors", 1)
    source = open_source(f"folder:{tmp_path}")
    assert (source.labels, source.part) == (("cat", "dog"), "all")
    assert [(p.label, p.path) for p in source.images] == [
        (0, cats[0]),
        (1, dogs[0]),
        (1, dogs[1]),
    ]
    assert open_source(str(tmp_path)).labels == source.labels


def test_the_test_part_is_taken_where_there_is_one(
    tmp_path: Path, write_images: Callable[..., list[Path]]
) -> None:
    for part in ("train", "val", "test"):
        write_images(tmp_path / part / "cat", 1)
    (wanted,) = write_images(tmp_path / "test" / "dog", 1)
    source = open_source(str(tmp_path))
    assert (source.labels, source.part, len(source.images)) == (("cat", "dog"), "test", 2)
    assert source.images[1].path == wanted


def test_test_alone_is_a_class_like_any_other(
    tmp_path: Path, write_images: Callable[..., Any]
) -> None:
    write_images(tmp_path / "test" / "cat", 1)
    assert open_source(str(tmp_path)).labels == ("test",)


def test_no_source(tmp_path: Path, write_images: Callable[..., Any]) -> None:
    with pytest.raises(FileError, match="does not exist"):
        open_source(f"folder:{tmp_path / 'x'}")
    with pytest.raises(FileError, match="cannot read"):
        open_source("x" * 300)
    with pytest.raises(DataError, match="no class folders"):
        open_source(str(tmp_path))
    write_images(tmp_path / "cat", 1)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match="class folder without images: dog"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("spec", ["csv:x.csv", "video:x.mp4"])
def test_a_kind_of_the_converter(spec: str) -> None:
    here = installed("edge-sdk-converter")
    with pytest.raises(EdgeError) as caught:
        open_source(spec)
    assert isinstance(caught.value, ConfigError if here else MissingPackage)
    assert ("needs a bundle for sequences" in str(caught.value)) is here
    assert (caught.value.fix == "pip install edge-sdk-converter") is not here


def test_a_package_offers_a_kind_of_its_own(plug_in: Callable[..., None]) -> None:
    plug_in(
        "edge_sdk.sources",
        "solid = solid_images:open_source",
        """
        import numpy as np
        from edge_sdk.data.samples import Image, LabelledImages

        def open_source(rest, sequence):
            pixels = np.full((2, 2), int(rest), np.uint8)
            image = Image(0, "solid", pixels=pixels, color="gray")
            return LabelledImages(("grey",), [image], "test")
        """,
    )
    assert split_spec("solid:7") == ("solid", "7")
    (image,) = open_source("solid:7").images
    assert image.target == 0 and image.read().pixels.tolist() == [[7, 7], [7, 7]]
    with pytest.raises(ConfigError) as caught:
        open_source("sold:7")
    assert "solid:…" in caught.value.fix


def test_an_image_on_disk_and_one_in_memory(
    tmp_path: Path, write_images: Callable[..., list[Path]]
) -> None:
    (path,) = write_images(tmp_path, 1)
    stored = Image(0, "a", path=path)
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stored.read().source == str(path)
    pixels = np.zeros((2, 3), np.uint8)
    held = Image(1, "digit 7", pixels=pixels, color="gray")
    frame = held.read()
    assert (frame.source, frame.color, frame.width) == ("digit 7", "gray", 3)
    assert held.sha256 == hashlib.sha256(bytes(6)).hexdigest()


def test_a_image_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(ImageError):
        Image(0, "a", path=tmp_path / "a.jpg").read()
    with pytest.raises(FileError):
        Image(0, "a", path=tmp_path / "b.jpg").read()
