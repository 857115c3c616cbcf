"""Pictures on their way into training: the device's numbers, a fixed order, bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter.recipe import Input
from edge_converter.streaming import CACHE_BYTES, PixelReader, batches, stack
from edge_sdk.images import read_image
from edge_sdk.preprocess import Preprocessor
from edge_sdk.sources import Picture
from edge_sdk.tensors import TensorSpec

pytestmark = pytest.mark.slow

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
def pictures(
    write_pictures: Callable[..., list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> list[Picture]:
    """Eleven files of another shape than any model's, and two arrays as data sets bring them."""
    paths = write_pictures(tmp_path_factory.mktemp("pictures"), 11, size=(21, 16))
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    found = [Picture(index % 3, str(path), path=path) for index, path in enumerate(paths)]
    arrays = [
        Picture(2, "gray", pixels=pixels, color="gray"),
        Picture(0, "rgb", pixels=np.dstack([pixels, pixels // 2, pixels // 3]), color="rgb"),
    ]
    return found + arrays


def by_the_device(picture: Picture, settings: Input) -> np.ndarray[Any, Any]:
    """What the runtime on the device puts into the float input tensor."""
    shape = (1, settings.height, settings.width, settings.channels)
    out = np.empty(shape, np.float32)
    Preprocessor(settings.preprocess, TensorSpec("image", shape, "float32"))(picture.read(), out)
    return out[0]


def drained(data: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All pictures and labels of one epoch."""
    parts = [(pixels.numpy(), labels.numpy()) for pixels, labels in data]
    return np.concatenate([p for p, _ in parts]), np.concatenate([n for _, n in parts])


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s.color)
@pytest.mark.parametrize("cache_bytes", [CACHE_BYTES, 0], ids=["cached", "decoded anew"])
def test_training_sees_what_the_device_feeds(
    pictures: list[Picture], settings: Input, cache_bytes: int
) -> None:
    """To the last bit, and in order; so does calibration."""
    wanted = np.stack([by_the_device(picture, settings) for picture in pictures])
    found, labels = drained(batches(pictures, settings, 3, 4, cache_bytes=cache_bytes))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(labels, np.eye(3)[[p.label for p in pictures]])
    np.testing.assert_array_equal(stack(pictures, settings), wanted)


def test_pixels_are_those_before_normalisation(pictures: list[Picture]) -> None:
    settings = SETTINGS[2]
    reader = PixelReader(pictures, settings)
    assert reader.shape == (12, 10, 3)
    mean, std = np.array(settings.mean), np.array(settings.std)
    for index, picture in enumerate(pictures):
        fed = (reader(index).astype(np.float64) - mean) / std
        np.testing.assert_array_equal(fed.astype(np.float32), by_the_device(picture, settings))


def test_a_picture_of_the_models_size_is_not_touched(pictures: list[Picture]) -> None:
    """(p - mean) / std of the file's own pixels."""
    settings = Input(color="bgr", mean=(10.0,), std=(4.0,), width=21, height=16)
    path = pictures[0].path
    assert path is not None
    pixels = read_image(path).pixels
    found, _ = drained(batches(pictures[:1], settings, 3, 1))
    np.testing.assert_array_equal(found[0], (pixels.astype(np.float32) - 10) / 4)


@pytest.mark.parametrize("cache_bytes", [CACHE_BYTES, 0], ids=["cached", "decoded anew"])
def test_each_epoch_is_shuffled_and_repeatable(pictures: list[Picture], cache_bytes: int) -> None:
    def epochs(seed: int) -> list[list[int]]:
        data = batches(pictures, SETTINGS[0], 3, 4, shuffle_seed=seed, cache_bytes=cache_bytes)
        return [[order(row) for row in drained(data)[0]] for _ in range(3)]

    plain = [order(row) for row in stack(pictures, SETTINGS[0])]
    first = epochs(5)
    assert first == epochs(5)
    assert first != epochs(6)
    assert all(sorted(epoch) == sorted(plain) for epoch in first)
    assert len({tuple(epoch) for epoch in (plain, *first)}) == 4


def order(pixels: np.ndarray[Any, Any]) -> int:
    """Something that tells pictures apart."""
    return hash(pixels.tobytes())


def test_labels_stay_with_their_pictures(pictures: list[Picture]) -> None:
    known = {
        order(row): picture.label
        for row, picture in zip(stack(pictures, SETTINGS[0]), pictures, strict=True)
    }
    found, labels = drained(batches(pictures, SETTINGS[0], 3, 4, shuffle_seed=1))
    assert [known[order(row)] for row in found] == labels.argmax(axis=1).tolist()


MEMORY = """
import json, sys
from pathlib import Path
from edge_converter.frameworks import load_tensorflow
from edge_converter.recipe import Input
from edge_converter.streaming import batches
from edge_sdk.sources import Picture
load_tensorflow()
folder, copies, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
paths = sorted(folder.iterdir()) * copies
pictures = [Picture(0, str(path), path=path) for path in paths]
settings = Input(width=size, height=size)

def peak():
    # Not getrusage: its ru_maxrss starts at that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

def grown(pictures, cache_bytes):
    before = peak()
    data = batches(pictures, settings, 2, 8, shuffle_seed=0, cache_bytes=cache_bytes)
    assert sum(len(labels) for _ in range(2) for _, labels in data) == 2 * len(pictures)
    return peak() - before

decoded = len(pictures) * size * size * 3
grown(pictures[: len(pictures) // 2], 0)  # what TensorFlow takes, however long the set
print(json.dumps([grown(pictures, decoded - 1), grown(pictures, decoded), decoded]))
"""


def test_memory_does_not_grow_with_the_set(
    tmp_path: Path, write_pictures: Callable[..., list[Path]]
) -> None:
    """94 MB of decoded pictures, twice through, after half of them: a set that is too large to
    keep, by one byte, and the same kept, to show what keeping costs.
    """
    write_pictures(tmp_path, 8, size=(256, 256), suffix=".bmp")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path, "60", "256"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    streamed, kept, decoded = json.loads(done.stdout)
    assert streamed < decoded / 4
    assert kept > decoded / 2
