"""Data sets: what is split how, what is left out, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.datasets import Dataset, open_dataset, warnings
from edge_sdk import Frame
from edge_sdk.data.sources import open_source
from edge_sdk.errors import ConfigError, DataError, EdgeError, FileError
from edge_sdk.images.image_files import write_image
from listeners import Lines

PARTS = ("train", "val", "test")
WriteClasses = Callable[..., Path]


def opened(source: str | Path, *, seed: int = 0, **data: Any) -> Dataset:
    table = {"source": str(source), **data}
    return open_dataset(
        Recipe.parse({"name": "x", "seed": seed, "data": table, "model": {"name": "seed_cnn"}})
    )


def refused(source: str | Path, kind: type[EdgeError] = DataError, **data: Any) -> EdgeError:
    with pytest.raises(kind) as caught:
        opened(source, **data)
    assert caught.value.fix
    return caught.value


def counts(data: Dataset) -> dict[str, dict[str, int]]:
    """{part: {label: images}}."""
    return {
        part: dict(Counter(data.labels[p.label] for p in getattr(data, part))) for part in PARTS
    }


def names(data: Dataset) -> dict[str, list[str]]:
    return {part: [image.name for image in getattr(data, part)] for part in PARTS}


# --- digits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return opened("digits")


def test_digits_are_split_3500_500_1000(digits: Dataset) -> None:
    assert digits.labels == tuple("0123456789")
    assert counts(digits) == {
        part: dict.fromkeys(digits.labels, each)
        for part, each in (("train", 350), ("val", 50), ("test", 100))
    }
    assert digits.per_class["7"] == {"train": 350, "val": 50, "test": 100}
    # MNIST's 5,000 hold no image twice; an image in two parts would make the test too easy.
    assert (digits.unreadable, digits.duplicates, digits.across) == ((), 0, 0)


def test_digits_show_what_their_labels_say(digits: Dataset) -> None:
    """Ones have the least ink of all digits, and are narrow."""
    ink = [
        np.mean([p.read().pixels for p in digits.test if p.label == label]) for label in range(10)
    ]
    assert int(np.argmin(ink)) == 1
    frame = digits.test[0].read()
    assert (frame.pixels.shape, frame.pixels.dtype, frame.color) == ((28, 28), np.uint8, "gray")


@pytest.mark.slow
def test_digits_are_the_same_whatever_the_seed_and_the_split(digits: Dataset) -> None:
    other = opened("digits", seed=5, split=[0.2, 0.4, 0.4])
    assert names(other) == names(digits) and other.sha256 == digits.sha256


@pytest.mark.slow
def test_evaluate_uses_the_same_test_digits(digits: Dataset) -> None:
    source = open_source("digits")
    assert source.part == "test" and source.labels == digits.labels
    assert [p.sha256 for p in source.images] == [p.sha256 for p in digits.test]


# --- folder: how it is split ---------------------------------------------------------------------


def test_a_folder_is_split_by_class(tmp_path: Path, write_classes: WriteClasses) -> None:
    folder = write_classes(tmp_path, {"cat": 40, "dog": 20})
    data = opened(folder, split=[0.5, 0.25, 0.25])
    assert data.labels == ("cat", "dog")
    assert counts(data) == {
        "train": {"cat": 20, "dog": 10},
        "val": {"cat": 10, "dog": 5},
        "test": {"cat": 10, "dog": 5},
    }
    everything = [name for part in names(data).values() for name in part]
    assert sorted(everything) == sorted(str(path) for path in folder.rglob("*.png"))
    for part in PARTS:
        for image in getattr(data, part):
            assert image.path is not None and image.path.parent.name == data.labels[image.label]


def test_the_split_depends_on_the_seed_alone(tmp_path: Path, write_classes: WriteClasses) -> None:
    folder = write_classes(tmp_path, {"cat": 20, "dog": 20})
    assert names(opened(folder, seed=3)) == names(opened(folder, seed=3))
    assert names(opened(folder, seed=3)) != names(opened(folder, seed=4))
    assert opened(folder, seed=3).sha256 == opened(folder, seed=4).sha256


@pytest.mark.parametrize("count", [3, 4, 5, 7])
@pytest.mark.parametrize("split", [[0.98, 0.01, 0.01], [0.02, 0.49, 0.49], [0.1, 0.8, 0.1]])
def test_every_part_has_a_image_of_every_class(
    tmp_path: Path, write_classes: WriteClasses, count: int, split: list[float]
) -> None:
    data = opened(write_classes(tmp_path, {"cat": count, "dog": 9}), split=split)
    assert all(n >= 1 for part in counts(data).values() for n in part.values())
    assert all(set(part) == {"cat", "dog"} for part in counts(data).values())
    assert sum(part["cat"] for part in counts(data).values()) == count


def test_parts_that_are_there_are_kept(tmp_path: Path, write_classes: WriteClasses) -> None:
    wanted = {"train": {"a": 3, "b": 4}, "val": {"a": 1, "b": 2}, "test": {"a": 2, "b": 1}}
    for seed, (part, classes) in enumerate(wanted.items()):
        write_classes(tmp_path / part, classes, seed=seed)
    data = opened(tmp_path, seed=9)
    assert counts(data) == wanted
    for part in PARTS:
        assert all(f"/{part}/" in name for name in names(data)[part])


def test_without_val_it_is_held_out_of_train(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"a": 16, "b": 2})
    write_classes(tmp_path / "test", {"a": 4, "b": 4}, seed=1)
    data = opened(tmp_path, split=[0.6, 0.2, 0.2])
    # val's share of train and val: 0.2 / 0.8.
    assert counts(data) == {
        "train": {"a": 12, "b": 1},
        "val": {"a": 4, "b": 1},
        "test": {"a": 4, "b": 4},
    }
    assert all("/train/" in name for part in ("train", "val") for name in names(data)[part])
    assert names(opened(tmp_path, split=[0.6, 0.2, 0.2])) == names(data)
    assert names(opened(tmp_path, split=[0.6, 0.2, 0.2], seed=1))["val"] != names(data)["val"]


def test_nothing_can_be_held_out_of_one_image(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"cat": 5, "dog": 1})
    write_classes(tmp_path / "test", {"cat": 2, "dog": 2}, seed=1)
    error = refused(tmp_path)
    assert "class 'dog' has 1 readable image in train/" in str(error) and "val/" in error.fix


@pytest.mark.parametrize("parts", [("train", "val"), ("train",), ("test", "cat")])
def test_parts_are_not_taken_for_classes(
    tmp_path: Path, write_classes: WriteClasses, parts: tuple[str, ...]
) -> None:
    for part in parts:
        write_classes(tmp_path / part, {"a": 4, "b": 4})
    error = refused(tmp_path)
    assert "not both train and test" in str(error) and str(tmp_path / "test") in error.fix


def test_parts_with_other_classes(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path / "train", {"a": 4, "b": 4})
    write_classes(tmp_path / "test", {"a": 4, "c": 4})
    assert "other classes" in str(refused(tmp_path)) and "b, c" in str(refused(tmp_path))


def test_paths_start_from_the_recipe(tmp_path: Path, project: Callable[..., Path]) -> None:
    data = open_dataset(Recipe.load(project(tmp_path)))
    assert len(data.train) == 48
    assert all(name.startswith(str(tmp_path / "images")) for name in names(data)["test"])


# --- labels --------------------------------------------------------------------------------------


def test_labels_are_in_the_recipes_order(tmp_path: Path, write_classes: WriteClasses) -> None:
    folder = write_classes(tmp_path, {"ant": 6, "bee": 8, "cow": 10})
    plain, ordered = opened(folder), opened(folder, labels=["cow", "ant", "bee"])
    assert plain.labels == ("ant", "bee", "cow")
    assert ordered.labels == ("cow", "ant", "bee")
    for part in PARTS:
        for image in getattr(ordered, part):
            assert ordered.labels[image.label] == Path(image.name).parent.name
    assert ordered.per_class["cow"] == plain.per_class["cow"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["cat", "cow"], "not in data.labels: dog; not in the data: cow"),
        (["cat"], "not in data.labels: dog"),
        (["cat", "dog", "Cat"], "not in the data: Cat"),
    ],
)
def test_labels_that_are_not_the_datas(
    tmp_path: Path, write_classes: WriteClasses, labels: list[str], says: str
) -> None:
    error = refused(write_classes(tmp_path, {"cat": 4, "dog": 4}), labels=labels)
    assert says in str(error) and "cat, dog" in error.fix


def test_one_class_only(tmp_path: Path, write_classes: WriteClasses) -> None:
    error = refused(write_classes(tmp_path, {"cat": 9}))
    assert "only one class: cat" in str(error) and "second" in error.fix


@pytest.mark.parametrize("count", [1, 2])
def test_a_class_with_too_few_images(
    tmp_path: Path, write_classes: WriteClasses, count: int
) -> None:
    error = refused(write_classes(tmp_path, {"cat": 9, "dog": count}))
    plural = "" if count == 1 else "s"
    assert f"class 'dog' has {count} readable image{plural}, at least 3" in str(error)


def test_an_empty_class_folder(tmp_path: Path, write_classes: WriteClasses) -> None:
    folder = write_classes(tmp_path, {"cat": 9, "dog": 9})
    (folder / "emu").mkdir()
    (folder / "emu" / "notes.txt").write_text("later")
    error = refused(folder)
    assert "without images: emu" in str(error) and "remove" in error.fix


def test_a_folder_without_classes(tmp_path: Path, write_images: Callable[..., Any]) -> None:
    write_images(tmp_path, 4)
    assert "has no class folders" in str(refused(tmp_path))
    assert "does not exist" in str(refused(tmp_path / "nowhere", FileError))
    assert "is not a folder" in str(refused(tmp_path / "000.png", FileError))


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", "line\u2028end".encode()])
def test_class_names_that_labels_txt_cannot_hold(
    tmp_path: Path, write_classes: WriteClasses, name: bytes
) -> None:
    write_classes(tmp_path, {"cat": 4, "dog": 4})
    (tmp_path / "dog").rename(tmp_path / os.fsdecode(name))
    error = refused(tmp_path)
    assert "is not one line of text in UTF-8" in str(error) and "rename" in error.fix


def test_any_other_names_are_fine(tmp_path: Path, write_classes: WriteClasses) -> None:
    labels = {"猫 と 犬": 4, "Straße #1": 4, "'quoted' \"twice\"": 4, "-x": 4}
    data = opened(write_classes(tmp_path / "图片 folder", labels))
    assert set(data.labels) == set(labels)
    assert sum(len(getattr(data, part)) for part in PARTS) == 16


# --- images ------------------------------------------------------------------------------------


def spoil(folder: Path, count: int) -> list[Path]:
    """Cut the first images of the class short."""
    spoilt = sorted(folder.glob("*.png"))[:count]
    for path in spoilt:
        path.write_bytes(path.read_bytes()[:40])
    return spoilt


def test_unreadable_images_are_left_out_counted_and_listed(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    folder = write_classes(tmp_path, {"cat": 100, "dog": 100})
    spoilt = spoil(folder / "dog", 2)
    data = opened(folder)
    assert len(data.unreadable) == 2
    assert all(str(path) in line for path, line in zip(spoilt, data.unreadable, strict=True))
    assert not {str(path) for path in spoilt} & {n for part in names(data).values() for n in part}
    assert sum(len(getattr(data, part)) for part in PARTS) == 198


def test_too_many_unreadable_images_stop_the_build(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    folder = write_classes(tmp_path, {"cat": 100, "dog": 100})
    spoilt = spoil(folder / "cat", 3)
    error = refused(folder)
    assert "3 of 200 images cannot be read (allowed: 1.0%)" in str(error)
    assert str(spoilt[0]) in str(error) and "data.max_unreadable" in error.fix
    assert len(opened(folder, max_unreadable=0.02).unreadable) == 3
    assert "3 of 200" in str(refused(folder, max_unreadable=0.0))


def test_classes_are_counted_without_the_unreadable(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    folder = write_classes(tmp_path, {"cat": 20, "dog": 4})
    spoil(folder / "dog", 2)
    error = refused(folder, max_unreadable=0.5)
    assert "class 'dog' has 2 readable images, at least 3 needed" in str(error)
    spoil(folder / "cat", 20)
    spoil(folder / "dog", 4)
    assert "class 'cat' has 0 readable images" in str(refused(folder, max_unreadable=1.0))


def test_progress_counts_the_images(tmp_path: Path, write_classes: WriteClasses) -> None:
    lines = Lines("progress")
    recipe = Recipe.parse(
        {
            "name": "x",
            "data": {"source": str(write_classes(tmp_path, {"a": 4, "b": 5}))},
            "model": {"name": "seed_cnn"},
        }
    )
    open_dataset(recipe, lines)
    assert lines == [f"data: {n} of 9 files" for n in range(1, 10)]


def test_duplicates_are_counted_also_across_parts(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    write_classes(tmp_path / "train", {"a": 5, "b": 5})
    write_classes(tmp_path / "val", {"a": 2, "b": 2}, seed=1)
    write_classes(tmp_path / "test", {"a": 2, "b": 2}, seed=2)
    assert (opened(tmp_path).duplicates, opened(tmp_path).across) == (0, 0)
    copy(tmp_path / "train/a/000.png", tmp_path / "train/a/twice.png")
    assert (opened(tmp_path).duplicates, opened(tmp_path).across) == (1, 0)
    copy(tmp_path / "train/a/001.png", tmp_path / "test/a/leak.png")
    copy(tmp_path / "train/a/001.png", tmp_path / "val/b/leak.png")
    assert (opened(tmp_path).duplicates, opened(tmp_path).across) == (3, 1)


def copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def photo(seed: int) -> np.ndarray[Any, Any]:
    """Smooth, as photos are; each seed another one."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC), np.uint8)


def write_photos(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    for label, count in counts.items():
        for index in range(count):
            first += 1
            write_image(folder / label / f"{index:03}.png", Frame(photo(first), "bgr"))
    return folder


def test_near_duplicates_across_parts_are_named(tmp_path: Path) -> None:
    write_photos(tmp_path / "train", {"a": 6, "b": 6})
    write_photos(tmp_path / "val", {"a": 2, "b": 2}, first=100)
    write_photos(tmp_path / "test", {"a": 2, "b": 2}, first=200)
    assert (opened(tmp_path).near, warnings(opened(tmp_path))) == ((), [])
    leak = tmp_path / "test" / "b" / "leak.jpg"
    original = tmp_path / "train" / "a" / "003.png"
    assert cv2.imwrite(str(leak), cv2.imread(str(original)), [cv2.IMWRITE_JPEG_QUALITY, 40])
    # Equal files are counted as duplicates, and alike within one part does no harm.
    copy(tmp_path / "train/a/001.png", tmp_path / "val/a/copy.png")
    assert cv2.imwrite(str(tmp_path / "train/a/again.jpg"), photo(1))
    data = opened(tmp_path)
    (pair,) = data.near
    assert (pair.name, pair.part, pair.other, pair.other_part) == (
        *(str(leak), "test"),
        *(str(original), "train"),
    )
    assert 0 <= pair.bits <= 4 and data.across == 1
    across, near = warnings(data)
    assert "1 image appears in several splits" in across
    assert str(leak) in near and str(original) in near and "train/" in near


def test_blank_and_tiny_images_are_no_near_duplicates(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    folder = write_classes(tmp_path, {"a": 20, "b": 20})
    for index in range(20):
        blank = np.full((64, 64, 3), index, np.uint8)
        write_image(folder / "b" / f"blank{index}.png", Frame(blank, "bgr"))
    assert opened(folder).near == ()


@pytest.mark.slow
def test_digits_make_no_false_alarm(digits: Dataset) -> None:
    assert digits.near == () and warnings(digits) == []


def test_a_small_class_is_warned_about(tmp_path: Path, write_classes: WriteClasses) -> None:
    assert warnings(opened(write_classes(tmp_path / "even", {"a": 10, "b": 30}))) == []
    (line,) = warnings(opened(write_classes(tmp_path / "odd", {"a": 6, "b": 90})))
    assert "class 'a' has 4 images to train, 'b' has 62" in line and "data.balance" in line


def test_files_that_nobody_looks_at_are_counted(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    folder = write_classes(tmp_path, {"a": 4, "b": 4})
    (folder / "README.md").write_text("hello")
    assert opened(folder).left_out == ()
    left = [folder / "loose.png", folder / "a" / "IMG_1.heic", folder / "b" / "deep" / "x.gif"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    data = opened(folder)
    assert data.left_out == tuple(left)
    (line,) = warnings(data)
    assert "3 files" in line and "IMG_1.heic" in line


def test_a_folder_beside_train_and_test(tmp_path: Path, write_classes: WriteClasses) -> None:
    for seed, part in enumerate(("train", "test", "valid")):
        write_classes(tmp_path / part, {"a": 4, "b": 4}, seed=seed)
    (tmp_path / "notes").mkdir()
    error = refused(tmp_path)
    assert f"{tmp_path / 'valid'} is beside train and test, so its 8 images" in str(error)
    assert f"rename it to {tmp_path / 'val'}" in error.fix
    (tmp_path / "valid").rename(tmp_path / "val")
    assert len(opened(tmp_path).val) == 8


def test_a_class_of_files_of_another_kind(tmp_path: Path, write_classes: WriteClasses) -> None:
    folder = write_classes(tmp_path, {"a": 4, "b": 4})
    (folder / "c").mkdir()
    (folder / "c" / "IMG_1.heic").write_bytes(b"x")
    assert "IMG_1.heic is no image that can be read" in str(refused(folder))


def test_a_broken_image_is_named_where_it_empties_a_class(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    folder = write_classes(tmp_path, {"cat": 20, "dog": 3})
    (path,) = spoil(folder / "dog", 1)
    error = refused(folder, max_unreadable=0.5)
    assert "class 'dog' has 2 readable images" in str(error) and str(path) in str(error)


def test_the_smallest_and_the_largest_image(tmp_path: Path, write_classes: WriteClasses) -> None:
    folder = write_classes(tmp_path, {"a": 4, "b": 4})
    write_image(folder / "a" / "dot.png", Frame(np.zeros((1, 1, 3), np.uint8), "bgr"))
    assert cv2.imwrite(str(folder / "b" / "large.jpg"), np.full((6000, 8000), 90, np.uint8))
    data = opened(folder)
    assert data.unreadable == () and sum(len(getattr(data, part)) for part in PARTS) == 10


LOOK = """
import sys
from edge_converter import Recipe
from edge_converter.datasets import open_dataset
data = {"source": sys.argv[1]}
open_dataset(Recipe.parse({"name": "x", "data": data, "model": {"name": "seed_cnn"}}))
# Not ru_maxrss: that one starts from the memory of whoever started the process.
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(lines["VmHWM"].split()[0]) * 1024)
"""


@pytest.mark.slow
def test_images_of_48_megapixels_are_looked_at_in_bounded_memory(
    tmp_path: Path, write_classes: WriteClasses
) -> None:
    """Twelve of them decoded are 1.7 GB; no more than eight are in memory, on any machine."""
    folder = write_classes(tmp_path, {"a": 4, "b": 4})
    large = tmp_path / "large.jpg"
    assert cv2.imwrite(str(large), np.full((6000, 8000), 90, np.uint8))
    for index in range(12):
        copy(large, folder / "a" / f"large{index}.jpg")
    large.unlink()
    line = [sys.executable, "-c", LOOK, str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1.6e9


def test_every_kind_of_image_in_one_set(tmp_path: Path, write_classes: WriteClasses) -> None:
    """Grey, with alpha, 16 bits, turned by EXIF: each is read as what a person would see."""
    folder = write_classes(tmp_path, {"a": 4, "b": 4}, size=(20, 10))
    random = np.random.default_rng(0)
    gray = random.integers(0, 256, (10, 20), np.uint8)
    color = random.integers(0, 256, (10, 20, 3), np.uint8)
    clear = np.dstack([color, np.zeros((10, 20, 1), np.uint8)])
    for name, pixels in (
        ("gray.png", gray),
        ("clear.png", clear),
        ("deep.png", color.astype(np.uint16) * 257),
        ("image.bmp", color),
        ("image.webp", color),
        ("image.tiff", color),
    ):
        assert cv2.imwrite(str(folder / "a" / name), pixels)
    (folder / "b" / "turned.jpg").write_bytes(_turned_jpeg(color))
    data = opened(folder, split=[0.4, 0.3, 0.3])
    found = {
        Path(p.name).name: p.read() for part in PARTS for p in getattr(data, part) if "a/" in p.name
    }
    assert data.unreadable == () and len(found) == 10
    assert {frame.color for frame in found.values()} == {"bgr"}
    np.testing.assert_array_equal(found["gray.png"].pixels, np.dstack([gray] * 3))
    np.testing.assert_array_equal(found["clear.png"].pixels, np.full((10, 20, 3), 255))
    np.testing.assert_array_equal(found["deep.png"].pixels, color)
    turned = next(p for part in PARTS for p in getattr(data, part) if "turned" in p.name)
    assert turned.read().pixels.shape == (20, 10, 3)


def _turned_jpeg(pixels: np.ndarray[Any, Any]) -> bytes:
    """A JPEG that asks, in its EXIF, to be shown turned by a quarter (orientation 6)."""
    done, encoded = cv2.imencode(".jpg", pixels)
    assert done
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    body = b"Exif\x00\x00" + tiff + b"\x00\x00\x00\x00"
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    jpeg = encoded.tobytes()
    return jpeg[:2] + segment + jpeg[2:]


# --- other sources -------------------------------------------------------------------------------


def test_an_unknown_kind_lists_the_kinds() -> None:
    error = refused("floder:images", ConfigError)
    assert "floder:images" in str(error) and "digits" in error.fix and "keras:" in error.fix


def test_an_unknown_keras_data_set_lists_them() -> None:
    error = refused("keras:minst", ConfigError)
    assert "keras:minst" in str(error)
    assert 'did you mean "mnist"?' in error.fix and "cifar10" in error.fix
