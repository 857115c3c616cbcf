"""Augmentation: each key does what it says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_converter import Recipe
from edge_converter.datasets import open_dataset
from edge_converter.recipe.schema import Augment
from edge_converter.training.augmentation import (
    FILL,
    Augmentation,
    augmentation,
    augmentation_sheet,
)
from edge_sdk.errors import ConfigError
from edge_sdk.images.image_files import decode_image

SHAPES = [(20, 30, 3), (28, 28, 1), (4, 16, 24, 3)]
Floats = NDArray[np.float32]
EVERYTHING = Augment(
    flip="both",
    rotate_degrees=30,
    crop=0.2,
    zoom=0.3,
    shift=0.2,
    brightness=0.4,
    contrast=0.5,
    noise=0.1,
    cutout=0.2,
    mixup=0.4,
)


def made(shape: tuple[int, ...] = SHAPES[0], seed: int = 0, **settings: Any) -> Augmentation:
    found = augmentation(Augment(**settings), shape, seed)
    assert found is not None
    return found


def batch(shape: tuple[int, ...], count: int = 8) -> tuple[NDArray[np.uint8], Floats]:
    random = np.random.default_rng(1)
    labels = np.eye(3, dtype=np.float32)[np.arange(count) % 3]
    return random.integers(0, 256, (count, *shape), np.uint8), labels


def changed(pixels: NDArray[Any], seed: int = 0, **settings: Any) -> Floats:
    found = made(pixels.shape[1:], seed, **settings)
    return found.apply(pixels, np.ones((len(pixels), 1), np.float32))[0]


def test_everything_off_is_nothing() -> None:
    assert augmentation(Augment(), SHAPES[0], 0) is None
    assert augmentation(Augment(), (16, 2), 0) is None


def test_features_are_never_changed() -> None:
    with pytest.raises(ConfigError, match="features") as caught:
        augmentation(Augment(noise=0.1), (16, 2), 0)
    assert caught.value.fix


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_seed_gives_the_same_batches(shape: tuple[int, ...]) -> None:
    pixels, labels = batch(shape)
    one, same, other = (augmentation(EVERYTHING, shape, seed) for seed in (3, 3, 4))
    assert one is not None and same is not None and other is not None
    first = [one.apply(pixels, labels) for _ in range(3)]
    for wanted in first:
        found = same.apply(pixels, labels)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
    assert not np.array_equal(first[0][0], first[1][0])
    assert not np.array_equal(first[0][0], other.apply(pixels, labels)[0])


@given(
    settings=st.builds(
        Augment,
        flip=st.sampled_from(["none", "horizontal", "vertical", "both"]),
        rotate_degrees=st.floats(0, 180),
        **{
            key: st.floats(0, 1)
            for key in ("crop", "zoom", "shift", "brightness", "contrast", "noise", "cutout")
        },
        mixup=st.sampled_from([0.0, 0.2, 5.0]),
    ),
    shape=st.sampled_from([*SHAPES, (1, 1, 3), (2, 1, 1, 1)]),
    count=st.integers(1, 4),
)
def test_values_stay_pixels_and_labels_shares(
    settings: Augment, shape: tuple[int, ...], count: int
) -> None:
    found = augmentation(settings, shape, 0)
    if found is None:
        return
    pixels, labels = batch(shape, count)
    before = pixels.copy()
    result, mixed = found.apply(pixels, labels)
    assert (result.shape, result.dtype, mixed.shape) == (pixels.shape, np.float32, labels.shape)
    assert result.min() >= 0 and result.max() <= 255
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(pixels, before)
    if not settings.mixup:
        np.testing.assert_array_equal(mixed, labels)


@pytest.mark.parametrize("kind", ["horizontal", "vertical", "both"])
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_flips_flip(kind: str, shape: tuple[int, ...]) -> None:
    pixels, _ = batch(shape, 60)
    result = changed(pixels, flip=kind)
    axes = {"horizontal": [(), (1,)], "vertical": [(), (0,)], "both": [(), (0,), (1,), (0, 1)]}
    seen = set()
    for before, after in zip(pixels, result, strict=True):
        ways = [way for way in axes[kind] if np.array_equal(np.flip(before, way), after)]
        assert len(ways) == 1
        seen.add(ways[0])
    assert len(seen) == len(axes[kind])


def spot(size: int = 41) -> NDArray[np.uint8]:
    """64 images with one bright spot right of the centre."""
    pixels = np.zeros((64, size, size, 1), np.uint8)
    pixels[:, 18:23, 28:33] = 255
    return pixels


def places(images: Floats) -> NDArray[np.float64]:
    """(images, 2): the centre of the light, x and y."""
    weights = images[..., 0] / images[..., 0].sum(axis=(1, 2), keepdims=True)
    grid = np.arange(images.shape[1])
    return np.stack([(weights.sum(1) * grid).sum(1), (weights.sum(2) * grid).sum(1)], 1)


def test_turning_moves_round_the_centre() -> None:
    offset = places(changed(spot(), rotate_degrees=40)) - 20
    np.testing.assert_allclose(np.hypot(*offset.T), 10, atol=0.2)
    angles = np.degrees(np.arctan2(offset[:, 1], offset[:, 0]))
    assert angles.min() < -30 and angles.max() > 30 and np.abs(angles).max() <= 41


def test_shifting_moves_by_a_share_of_the_side() -> None:
    offset = places(changed(spot(), shift=0.1)) - [30, 20]
    assert np.abs(offset).max() <= 4.3 and np.abs(offset).max() > 3
    assert (offset.min(axis=0) < -2).all() and (offset.max(axis=0) > 2).all()


def test_zooming_moves_from_and_to_the_centre() -> None:
    x, y = (places(changed(spot(), zoom=0.2)) - 20).T
    np.testing.assert_allclose(y, 0, atol=0.1)
    assert 10 / 1.2 - 0.2 <= x.min() < 9 and 11.5 < x.max() <= 10 / 0.8 + 0.2


def test_a_crop_is_a_window_of_the_image() -> None:
    """A ramp of the image's columns: a window is a shorter ramp, nowhere beyond the edges."""
    ramp = np.tile(np.arange(101, dtype=np.uint8)[None, :, None] * 2, (64, 101, 1, 1))
    rows = changed(ramp.reshape(64, 101, 101, 1).astype(np.float32), crop=0.3)[:, 50, :, 0]
    np.testing.assert_allclose(np.diff(rows[:, 1:-1], axis=1), 2 * 0.7, atol=0.1)
    assert rows.min() >= 0 and rows.max() <= 200
    assert rows[:, 0].min() < 8 and rows[:, 0].max() > 52


def test_what_comes_from_outside_is_the_edge() -> None:
    pixels = np.full((32, 21, 21, 3), 77, np.uint8)
    np.testing.assert_array_equal(changed(pixels, rotate_degrees=90, shift=0.4, zoom=0.5), 77)


def test_brightness_adds_one_value() -> None:
    pixels = np.full((64, 8, 8, 3), 100, np.uint8)
    result = changed(pixels, brightness=0.2)
    levels = result[:, 0, 0, 0]
    np.testing.assert_array_equal(
        result, np.broadcast_to(levels[:, None, None, None], (64, 8, 8, 3))
    )
    assert 49 <= levels.min() < 65 and 135 < levels.max() <= 151


def test_contrast_keeps_the_mean() -> None:
    pixels = np.full((64, 8, 8, 1), 100, np.uint8)
    pixels[:, ::2] = 140
    result = changed(pixels, contrast=0.5)
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 120, atol=1e-3)
    spread = result.max(axis=(1, 2, 3)) - result.min(axis=(1, 2, 3))
    assert 20 <= spread.min() < 25 and 55 < spread.max() <= 60


def test_noise_has_its_standard_deviation() -> None:
    result = changed(np.full((16, 32, 32, 3), 128, np.uint8), noise=0.05)
    assert abs(result.mean() - 128) < 0.5 and abs(result.std() - 0.05 * 255) < 0.3


@pytest.mark.parametrize("share", [0.04, 0.25, 1.0])
def test_cutout_takes_its_share_of_the_area(share: float) -> None:
    pixels = np.zeros((16, 40, 60, 3), np.uint8)
    result = changed(pixels, cutout=share)
    assert set(np.unique(result)) <= {0, FILL}
    np.testing.assert_allclose((result == FILL).mean(axis=(1, 2, 3)), share, rtol=1e-6)
    assert share == 1 or len({np.argmax(one) for one in result}) > 5  # each elsewhere


def test_mixup_mixes_images_and_labels_alike() -> None:
    pixels = np.zeros((6, 5, 5, 1), np.uint8)
    pixels += np.arange(0, 240, 40, dtype=np.uint8)[:, None, None, None]
    labels = np.eye(6, dtype=np.float32)
    result, mixed = made((5, 5, 1), mixup=1.0).apply(pixels, labels)
    np.testing.assert_allclose(result[:, 0, 0, 0], mixed @ pixels[:, 0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
    assert ((mixed > 0).sum(axis=1) == 2).any()


@pytest.mark.parametrize("key", ["rotate_degrees", "crop", "shift", "brightness", "cutout"])
def test_the_frames_of_a_clip_are_changed_alike(key: str) -> None:
    image, _ = batch((16, 24, 3), 8)
    clips = np.repeat(image[:, None], 4, axis=1)
    result = changed(clips, **{key: 0.5 if key != "rotate_degrees" else 50})
    for frame in range(1, 4):
        np.testing.assert_array_equal(result[:, frame], result[:, 0])
    assert not np.array_equal(result[0, 0], clips[0, 0])


def test_floats_and_bytes_give_the_same() -> None:
    pixels, labels = batch((24, 24, 3))
    one, other = (made((24, 24, 3), flip="both", brightness=0.2, noise=0.1) for _ in range(2))
    np.testing.assert_allclose(
        one.apply(pixels, labels)[0], other.apply(pixels.astype(np.float32), labels)[0], atol=1e-4
    )


# --- the sheet -----------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path: Path, project: Callable[..., Path]) -> Path:
    return project(tmp_path)


def sheet_of(path: Path, **settings: Any) -> NDArray[np.uint8] | None:
    recipe = Recipe.load(path, {f"augment.{key}": value for key, value in settings.items()})
    png = augmentation_sheet(recipe, open_dataset(recipe), columns=6, rows=3)
    return None if png is None else decode_image(png).pixels


def test_the_sheet_shows_images_as_they_are_and_changed(recipe: Path) -> None:
    assert sheet_of(recipe) is None
    sheet = sheet_of(recipe, brightness=0.5)
    again = sheet_of(recipe, brightness=0.5)
    assert sheet is not None and again is not None
    assert sheet.shape == (3 * 100 + 4, 6 * 100 + 4, 3)
    np.testing.assert_array_equal(sheet, again)
    plain = augmentation_sheet_first_row(recipe)
    np.testing.assert_array_equal(sheet[4:100, 4:100], plain)
    assert not np.array_equal(sheet[104:200, 4:100], plain)


def augmentation_sheet_first_row(path: Path) -> NDArray[Any]:
    """The first training image as the network sees it: 12 x 12, grey, enlarged to 96."""
    recipe = Recipe.load(path)
    frame = open_dataset(recipe).train[0].read()
    gray = cv2.cvtColor(cv2.resize(frame.pixels, (12, 12)), cv2.COLOR_BGR2GRAY)
    large = cv2.resize(gray, (96, 96), interpolation=cv2.INTER_NEAREST)
    return np.dstack([large] * 3)
