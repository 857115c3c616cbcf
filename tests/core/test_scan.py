"""A look at many images: the same in child processes as in threads, and no end without a word."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Frame
from edge_sdk.errors import FileError
from edge_sdk.images.image_files import write_image
from edge_sdk.images.scan import MANY, ImageScan, scan_images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """More than MANY files: copies of ten images, one in seven broken, one name not UTF-8."""
    folder, random = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    for number in range(10):
        frame = Frame(random.integers(0, 256, (40, 48, 3), np.uint8), "bgr")
        write_image(folder / f"{number}.png", frame)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:200])
    paths = []
    for number in range(MANY + 100):
        paths.append(folder / "copies" / (f"{number}.png" if number else os.fsdecode(b"\xff.png")))
        paths[-1].parent.mkdir(exist_ok=True)
        source = "broken" if number % 7 == 6 else str(number % 10)
        shutil.copyfile(folder / f"{source}.png", paths[-1])
    paths.append(folder / "copies" / "none.png")
    return paths


def test_children_see_what_threads_see(images: list[Path]) -> None:
    apart = list(scan_images(images))
    half = len(images) // 2
    together = [*scan_images(images[:half]), *scan_images(images[half:])]
    assert apart == together
    first, broken = apart[0], apart[6]
    assert isinstance(first, ImageScan) and (first.width, first.height) == (48, 40)
    assert broken == f"{images[6]} is a truncated PNG"
    assert apart[-1] == f"{images[-1]} does not exist"


def test_a_child_that_is_killed_is_told(images: list[Path]) -> None:
    looks = scan_images(images)
    next(looks)
    children = looking_children()
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)
    with pytest.raises(FileError, match=r"one of the images from .* \(SIGKILL\)") as caught:
        list(looks)
    assert "move these images away" in caught.value.fix
    assert looking_children() == []


def test_who_stops_early_leaves_no_process(images: list[Path]) -> None:
    looks = scan_images(images)
    next(looks)
    assert looking_children()
    looks.close()  # type: ignore[attr-defined]
    assert looking_children() == []


def looking_children() -> list[int]:
    """Ours that are still there."""
    mine = f"edge_sdk.images.scan_worker\0{os.getpid()}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
