"""Images on their way into training: the device's numbers, a fixed order, bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.datasets.model_input import ModelInput
from edge_converter.recipe.schema import Input
from edge_converter.training.batches import CACHE_BYTES, Feed, Reader, one_hot
from edge_sdk import read_image
from edge_sdk.data.samples import FeatureRow, Image
from edge_sdk.errors import FileError
from edge_sdk.preprocess import Preprocessor
from edge_sdk.tensors import TensorSpec
from waiting import PATIENCE_S


def recipe_of(settings: Input, batch_size: int = 4) -> Recipe:
    """A recipe that feeds so."""
    plain = {field.name: getattr(settings, field.name) for field in fields(settings)}
    lists = {key: list(v) if isinstance(v, tuple) else v for key, v in plain.items()}
    return Recipe.parse(
        {
            "name": "x",
            "data": {"source": "folder:x"},
            "input": lists,
            "model": {"name": "seed_cnn"},
            "train": {"batch_size": batch_size},
        }
    )


# Normalisations whose numbers are not exact in float32, one with a number for each channel.
SETTINGS = [
    Input(color="gray", fit="stretch", mean=(0.0,), std=(255.0,), width=9, height=7),
    Input(color="rgb", fit="crop", mean=(127.5,), std=(127.5,), width=8, height=8),
    Input(
        *("bgr", "letterbox", "area"),
        *((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        *(10, 12),
    ),
]


@pytest.fixture(scope="module")
def images(
    write_images: Callable[..., list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> list[Image]:
    """Eleven files of another shape than any model's, and two arrays as data sets bring them."""
    paths = write_images(tmp_path_factory.mktemp("images"), 11, size=(21, 16))
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    found = [Image(index % 3, str(path), path=path) for index, path in enumerate(paths)]
    arrays = [
        Image(2, "gray", pixels=pixels, color="gray"),
        Image(0, "rgb", pixels=np.dstack([pixels, pixels // 2, pixels // 3]), color="rgb"),
    ]
    return found + arrays


def by_the_device(image: Image, settings: Input) -> np.ndarray[Any, Any]:
    """What the runtime on the device puts into the float input tensor."""
    shape = (1, settings.height, settings.width, settings.channels)
    out = np.empty(shape, np.float32)
    Preprocessor(settings.preprocess, TensorSpec("image", shape, "float32"))(image.read(), out)
    return out[0]


def drained(feed: Feed, epoch: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All images and labels of one epoch."""
    values, labels = zip(*feed.epoch(epoch), strict=True)
    return np.concatenate(values), np.concatenate(labels)


cached_or_not = pytest.mark.parametrize(
    "cache_bytes", [CACHE_BYTES, 0], ids=["decoded once", "decoded anew"]
)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s.color)
@cached_or_not
def test_training_sees_what_the_device_feeds(
    images: list[Image], settings: Input, cache_bytes: int
) -> None:
    """To the last bit, and in order; so does calibration."""
    wanted = np.stack([by_the_device(image, settings) for image in images])
    feed = Feed(images, recipe_of(settings), one_hot(3), cache_bytes=cache_bytes)
    for _ in range(2):
        found, labels = drained(feed)
        assert found.dtype == labels.dtype == np.float32
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(labels, np.eye(3)[[p.label for p in images]])
    np.testing.assert_array_equal(ModelInput.of(recipe_of(settings), images).stack(images), wanted)


def test_batches_are_of_the_recipes_size_and_the_last_is_the_rest(images: list[Image]) -> None:
    feed = Feed(images, recipe_of(SETTINGS[0], batch_size=5), one_hot(3))
    assert [len(labels) for _, labels in feed.epoch()] == [5, 5, 3]
    assert (feed.samples, feed.steps, feed.shape) == (13, 3, (7, 9, 1))


def test_values_are_those_before_normalisation(images: list[Image]) -> None:
    settings = SETTINGS[2]
    reader = Reader(images, recipe_of(settings))
    assert (reader.shape, reader.dtype) == ((12, 10, 3), np.uint8)
    mean, std = np.array(settings.mean), np.array(settings.std)
    for index, image in enumerate(images):
        fed = (reader(index).astype(np.float64) - mean) / std
        np.testing.assert_array_equal(fed.astype(np.float32), by_the_device(image, settings))


def test_a_image_of_the_models_size_is_not_touched(images: list[Image]) -> None:
    """(p - mean) / std of the file's own pixels."""
    settings = Input(color="bgr", mean=(10.0,), std=(4.0,), width=21, height=16)
    path = images[0].path
    assert path is not None
    pixels = read_image(path).pixels
    found, _ = drained(Feed(images[:1], recipe_of(settings), one_hot(3)))
    np.testing.assert_array_equal(found[0], (pixels.astype(np.float32) - 10) / 4)


@cached_or_not
def test_an_epoch_has_the_order_it_is_given(images: list[Image], cache_bytes: int) -> None:
    """Repeats and gaps too, and labels stay with their images."""
    orders = {0: [12, 0, 5], 7: [3, 3, 3, 1, 0, 2]}
    feed = Feed(
        images,
        recipe_of(SETTINGS[0]),
        one_hot(3),
        order=lambda epoch: np.array(orders[epoch]),
        cache_bytes=cache_bytes,
    )
    plain = ModelInput.of(recipe_of(SETTINGS[0]), images).stack(images)
    for epoch in (7, 0, 7):
        found, labels = drained(feed, epoch)
        np.testing.assert_array_equal(found, plain[orders[epoch]])
        assert labels.argmax(axis=1).tolist() == [images[i].label for i in orders[epoch]]


@cached_or_not
def test_changes_come_before_normalisation_and_leave_what_is_kept(
    images: list[Image], cache_bytes: int
) -> None:
    """Each epoch with changes of its own, on pixel values."""

    def change(epoch: int) -> Any:
        return lambda pixels, targets: (pixels.astype(np.float32) / 2 + epoch, targets[:, ::-1])

    recipe = recipe_of(SETTINGS[2])
    feed = Feed(images, recipe, one_hot(3), change=change, cache_bytes=cache_bytes)
    reader = Reader(images, recipe)
    pixels = np.stack([reader(index) for index in range(len(images))])
    mean, std = np.array(recipe.input.mean), np.array(recipe.input.std)
    for epoch in (0, 3, 0):
        found, labels = drained(feed, epoch)
        np.testing.assert_allclose(found, (pixels / 2 + epoch - mean) / std, rtol=1e-4, atol=1e-6)
        assert labels.argmax(axis=1).tolist() == [2 - p.label for p in images]


def test_features_are_fed_as_they_are() -> None:
    rows = [FeatureRow(i % 2, str(i), values=np.full((4, 3), i / 3, np.float32)) for i in range(5)]
    recipe = Recipe.parse(
        {
            "name": "x",
            "task": "sequence",
            "data": {"source": "csv:x"},
            "model": {"name": "features"},
            "train": {"batch_size": 2},
        }
    )
    found, labels = drained(Feed(rows, recipe, one_hot(2)))
    np.testing.assert_array_equal(found, np.stack([row.values for row in rows]))
    assert found.dtype == np.float32 and labels.argmax(axis=1).tolist() == [0, 1, 0, 1, 0]


@cached_or_not
def test_a_file_that_is_gone_is_named(
    tmp_path: Path, write_images: Callable[..., list[Path]], cache_bytes: int
) -> None:
    """While the others are being decoded; no thread stays behind."""
    paths = write_images(tmp_path, 9)
    feed = Feed(
        [Image(0, str(path), path=path) for path in paths],
        recipe_of(SETTINGS[0], batch_size=2),
        one_hot(2),
        cache_bytes=cache_bytes,
    )
    paths[4].unlink()
    before = set(threading.enumerate())
    with pytest.raises(FileError, match=r"004\.png"):
        drained(feed)
    assert set(threading.enumerate()) <= before


def test_an_epoch_that_is_left_early_leaves_no_thread(images: list[Image]) -> None:
    before = set(threading.enumerate())
    epoch = Feed(images, recipe_of(SETTINGS[0], batch_size=1), one_hot(3), cache_bytes=0).epoch()
    next(epoch)
    assert set(threading.enumerate()) - before
    del epoch
    assert set(threading.enumerate()) <= before


MEMORY = """
import json, sys
from pathlib import Path
from edge_converter.recipe.loading import Recipe
from edge_converter.training.batches import Feed, one_hot
from edge_sdk.data.samples import Image
folder, copies, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
paths = sorted(folder.iterdir()) * copies
images = [Image(0, str(path), path=path) for path in paths]
recipe = Recipe.parse({"name": "x", "data": {"source": "folder:x"}, "model": {"name": "seed_cnn"},
    "input": {"width": size, "height": size}, "train": {"batch_size": 8}})

def peak():
    # Not getrusage: its ru_maxrss starts at that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

def grown(images, cache_bytes):
    before = peak()
    feed = Feed(images, recipe, one_hot(2), cache_bytes=cache_bytes)
    assert sum(len(labels) for i in range(2) for _, labels in feed.epoch(i)) == 2 * len(images)
    return peak() - before

decoded = len(images) * size * size * 3
grown(images[: len(images) // 2], 0)  # what it takes, however long the set
print(json.dumps([grown(images, decoded - 1), grown(images, decoded), decoded]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_set(
    tmp_path: Path, write_images: Callable[..., list[Path]]
) -> None:
    """94 MB of decoded images, twice through, after half of them: a set that is too large to
    keep, by one byte, and the same kept, to show what keeping costs.
    """
    write_images(tmp_path, 8, size=(256, 256), suffix=".bmp")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path, "60", "256"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    streamed, kept, decoded = json.loads(done.stdout)
    assert streamed < decoded / 4
    assert kept > decoded / 2
