"""video: clips cut into windows, and no clip in two parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.datasets import Dataset, open_dataset, warnings
from edge_sdk.data.samples import Clip
from edge_sdk.data.sources import open_source
from edge_sdk.errors import ConfigError, DataError, EdgeError
from edge_sdk.model.interface import SequenceEntry

PARTS = ("train", "val", "test")


def write_clip(path: Path, frames: int, seed: int = 0) -> Path:
    """Frame i is flat, of grey level 4 x i; one of its corners is the clip's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 25, (32, 32))
    assert writer.isOpened()
    corner = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    for index in range(frames):
        pixels = np.full((32, 32, 3), 4 * index, np.uint8)
        pixels[:8, :8] = corner
        writer.write(pixels)
    writer.release()
    return path


def write_clips(folder: Path, classes: Mapping[str, Mapping[str, int]]) -> Path:
    """{class: {file: frames}}."""
    for label, clips in classes.items():
        for name, frames in clips.items():
            write_clip(folder / label / name, frames, seed=crc32(f"{label}/{name}".encode()))
    return folder


def recipe(folder: Path, *, frames: int = 8, stride: int = 4, seed: int = 0, **data: Any) -> Recipe:
    return Recipe.parse(
        {
            "name": "x",
            "task": "sequence",
            "seed": seed,
            "data": {"source": f"video:{folder}", **data},
            "model": {"name": "edge_net"},
            "sequence": {"frames": frames, "stride": stride},
        }
    )


def opened(folder: Path, **options: Any) -> Dataset:
    return open_dataset(recipe(folder, **options))


def refused(folder: Path, kind: type[EdgeError] = DataError, **options: Any) -> EdgeError:
    with pytest.raises(kind) as caught:
        opened(folder, **options)
    assert caught.value.fix
    return caught.value


def windows(data: Dataset, part: str) -> dict[str, list[int]]:
    """{file: beginnings of its windows}."""
    found: dict[str, list[int]] = {}
    for clip in getattr(data, part):
        assert isinstance(clip, Clip) and clip.path is not None
        found.setdefault(clip.path.name, []).append(clip.start)
    return found


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two classes of six clips, of 8 to 23 frames."""
    lengths = {f"{number}.avi": 8 + 3 * number for number in range(6)}
    return write_clips(tmp_path / "clips", {"left": lengths, "right": lengths})


def test_clips_are_cut_into_windows(clips: Path) -> None:
    data = opened(clips)
    assert (data.labels, data.what) == (("left", "right"), "clip")
    every = sorted({(c.path, c.start) for part in PARTS for c in getattr(data, part)})
    assert len(every) == sum(len(getattr(data, part)) for part in PARTS)
    left = [(path.name, start) for path, start in every if path.parent.name == "left"]
    # Clip n has 8 + 3 n frames: 8 and 11 hold one window of 8, 14 a second one from 4 on.
    assert left == [
        *(("0.avi", 0), ("1.avi", 0)),
        *(("2.avi", start) for start in (0, 4)),
        *(("3.avi", start) for start in (0, 4, 8)),
        *(("4.avi", start) for start in (0, 4, 8, 12)),
        *(("5.avi", start) for start in (0, 4, 8, 12)),
    ]


def test_a_window_holds_its_frames(clips: Path) -> None:
    data = opened(clips, frames=6, stride=5)
    for clip in (*data.train, *data.test):
        assert isinstance(clip, Clip)
        frames = clip.read()
        assert [int(frame.pixels[20, 20, 0]) // 4 for frame in frames] == list(
            range(clip.start, clip.start + 6)
        )
        assert clip.name == f"{clip.path}#{clip.start}"


@pytest.mark.parametrize("seed", range(5))
def test_no_clip_is_in_two_parts(clips: Path, seed: int) -> None:
    data = opened(clips, stride=1, seed=seed, split=[0.4, 0.3, 0.3])
    files = [{clip.path for clip in getattr(data, part)} for part in PARTS]
    assert [len(own) for own in files] == [4, 4, 4]
    assert len(set.union(*files)) == 12
    for part in PARTS:
        assert {clip.label for clip in getattr(data, part)} == {0, 1}


def test_the_split_depends_on_the_seed_alone(clips: Path) -> None:
    assert windows(opened(clips), "test") == windows(opened(clips), "test")
    assert any(
        windows(opened(clips, seed=seed), "test") != windows(opened(clips), "test")
        for seed in range(1, 5)
    )


def test_parts_that_are_there_are_kept(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        own = {f"{part}{number}.avi": 12 for number in range(count)}
        write_clips(tmp_path / part, {"a": own, "b": own})
    data = opened(tmp_path)
    assert data.per_class["a"] == {"train": 6, "val": 2, "test": 4}
    for part in PARTS:
        assert all(name.startswith(part) for name in windows(data, part))


def test_val_is_held_out_by_clip(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 1)):
        own = {f"{part}{number}.avi": 20 for number in range(count)}
        write_clips(tmp_path / part, {"a": own, "b": own})
    data = opened(tmp_path, split=[0.5, 0.25, 0.25])
    held = {clip.path for clip in data.val}
    assert len(held) == 2 and not held & {clip.path for clip in data.train}
    assert data.per_class["b"] == {"train": 12, "val": 4, "test": 4}


# --- what is wrong -------------------------------------------------------------------------------


def test_a_clip_that_is_too_short_is_left_out_and_named(clips: Path) -> None:
    short = write_clip(clips / "left" / "short.avi", 7)
    data = opened(clips, max_unreadable=0.1)
    assert data.unreadable == (f"{short} has 7 frames, sequence.frames = 8 are needed",)
    assert all(clip.path != short for part in PARTS for clip in getattr(data, part))
    error = refused(clips, max_unreadable=0.05)
    assert "1 of 13" in str(error) and f"{short} has 7 frames" in str(error)
    assert "lower sequence.frames" in error.fix


def test_a_class_of_short_clips(tmp_path: Path) -> None:
    write_clips(
        tmp_path,
        {"a": {f"{n}.avi": 12 for n in range(3)}, "b": {f"{n}.avi": 5 for n in range(3)}},
    )
    error = refused(tmp_path, max_unreadable=1.0)
    assert "class 'b' has 0 readable clips, at least 3 needed" in str(error)
    assert f"{tmp_path / 'b' / '0.avi'} has 5 frames, sequence.frames = 8 are needed" in str(error)


def test_two_clips_are_too_few_however_long(tmp_path: Path) -> None:
    write_clips(tmp_path, {label: {"0.avi": 40, "1.avi": 40} for label in "ab"})
    assert "class 'a' has 2 readable clips, at least 3 needed" in str(refused(tmp_path))


def test_a_clip_that_does_not_decode(clips: Path) -> None:
    broken = clips / "right" / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypmp42 and then nothing")
    data = opened(clips, max_unreadable=0.1)
    assert len(data.unreadable) == 1 and str(broken) in data.unreadable[0]


def test_folders_without_clips(tmp_path: Path) -> None:
    assert "has no class folders" in str(refused(tmp_path))
    write_clips(tmp_path, {"a": {"0.avi": 12}})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0.gif").write_bytes(b"GIF89a")
    error = refused(tmp_path)
    assert "class folder without clips: b" in str(error) and "0.gif is no clip" in str(error)


def test_one_class_only(tmp_path: Path) -> None:
    write_clips(tmp_path, {"a": {f"{n}.avi": 12 for n in range(4)}})
    assert "only one class: a" in str(refused(tmp_path))


def test_files_of_other_kinds_are_counted(clips: Path) -> None:
    (clips / "left" / "poster.jpg").write_bytes(b"x")
    data = opened(clips)
    assert data.left_out == (clips / "left" / "poster.jpg",)
    assert any("poster.jpg" in line for line in warnings(data))


# --- evaluate ------------------------------------------------------------------------------------


def test_evaluate_takes_the_windows_of_the_test_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_clips(tmp_path / part, {"a": {"0.avi": 16}, "b": {"1.avi": 8}})
    source = open_source(f"video:{tmp_path}", SequenceEntry(frames=8, stride=8))
    assert (source.labels, source.part) == (("a", "b"), "test")
    assert [Path(sample.name).name for sample in source.images] == [
        "0.avi#0",
        "0.avi#8",
        "1.avi#0",
    ]
    with pytest.raises(ConfigError, match="bundle for sequences"):
        open_source(f"video:{tmp_path}")


def test_evaluate_meets_a_short_clip_when_it_is_read(tmp_path: Path) -> None:
    write_clips(tmp_path, {"a": {"0.avi": 16}, "b": {"1.avi": 3}})
    source = open_source(f"video:{tmp_path}", SequenceEntry(frames=8, stride=8))
    assert (len(source.images), source.part) == (3, "all")
    with pytest.raises(DataError, match="ends after 3 frames"):
        source.images[2].read()
