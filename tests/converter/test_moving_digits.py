"""Clips of digits that move, written as the built-in recipe wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter.datasets.moving_digits import main, write_clips
from edge_sdk import Frame
from edge_sdk.errors import FileError
from edge_sdk.images.video import count_frames, read_clip

pytestmark = pytest.mark.slow

MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
CLIPS, FRAMES, SIDE = 2, 8, 48


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips a direction; nobody may change them."""
    folder = tmp_path_factory.mktemp("moving")
    write_clips(folder, CLIPS)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """{path in `folder`: bytes} of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def centre(frame: Frame) -> np.ndarray[Any, Any]:
    """The centre of mass (x, y) of an image's light, in pixels."""
    light = frame.pixels.sum(axis=2, dtype=np.float64)
    rows, columns = np.indices(light.shape)
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


def test_a_folder_for_each_direction_with_as_many_clips(clips: Path) -> None:
    names = {f"{direction}/{number:04d}.avi" for direction in MOVES for number in range(CLIPS)}
    assert set(contents(clips)) == names


@pytest.mark.parametrize("direction", MOVES)
@pytest.mark.parametrize("number", range(CLIPS))
def test_the_digit_moves_in_the_direction_of_its_folder(
    clips: Path, direction: str, number: int
) -> None:
    """At 1 or 2 pixels a frame, the same in all of them, and all of it stays in the image."""
    path = clips / direction / f"{number:04d}.avi"
    assert count_frames(path) == FRAMES
    frames = read_clip(path, 0, FRAMES)
    assert {(frame.width, frame.height) for frame in frames} == {(SIDE, SIDE)}
    steps = np.diff([centre(frame) for frame in frames], axis=0)
    along = steps @ MOVES[direction]
    speed = round(float(along.mean()))
    assert speed in (1, 2)
    np.testing.assert_allclose(
        steps, np.outer(np.full(FRAMES - 1, speed), MOVES[direction]), atol=0.25
    )


def test_the_seed_draws_the_clips(clips: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "same", CLIPS)
    write_clips(tmp_path / "other", CLIPS, seed=1)
    assert contents(tmp_path / "same") == contents(clips)
    other = contents(tmp_path / "other")
    assert all(other[name] != content for name, content in contents(clips).items())


def test_a_folder_with_something_in_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="is not empty") as caught:
        write_clips(tmp_path, CLIPS)
    assert caught.value.fix == "name a new folder"
    assert main([str(tmp_path)]) == 1
    error, fix = capsys.readouterr().err.splitlines()
    assert (error, fix) == (f"error: {tmp_path} is not empty", "fix: name a new folder")
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_one_folder_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "moving_digits DIR" in capsys.readouterr().err
