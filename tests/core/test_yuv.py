"""Frames of planes: the model sees what it would see of the same image in RGB."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_sdk import Frame
from edge_sdk.preprocess import Preprocessor, PreprocessSpec
from edge_sdk.tensors import QuantParams, TensorSpec

FITS = ("stretch", "crop", "letterbox")


def image(width: int, height: int) -> NDArray[np.uint8]:
    """RGB that changes slowly from pixel to pixel, as what a lens draws does."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = (40 + 170 * x, 200 - 150 * y, 60 + 120 * (x * y))
    return np.stack(channels, axis=-1).astype(np.uint8)


def encoded(rgb: NDArray[np.uint8], color: str) -> Frame:
    """The image as a camera's planes."""
    if color == "yuv420p":  # OpenCV's own conversion: video range
        return Frame(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), "yuv420p")
    whole = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(whole, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    planes = [whole[:, :, 0], half[:, :, 2], half[:, :, 1]]
    flat = np.concatenate([plane.ravel() for plane in planes])
    return Frame(flat.reshape(-1, rgb.shape[1]), "yuvj420p")


def fed(frame: Frame, spec: PreprocessSpec, side: tuple[int, int]) -> Any:
    tensor = TensorSpec("x", (1, side[1], side[0], spec.channels), "uint8", QuantParams(1 / 255, 0))
    out = np.zeros(tensor.shape, np.uint8)
    placement = Preprocessor(spec, tensor)(frame, out)
    return out[0].astype(int), placement


@settings(max_examples=60, deadline=None)
@given(
    color=st.sampled_from(["yuv420p", "yuvj420p"]),
    model=st.sampled_from(["rgb", "bgr", "gray"]),
    fit=st.sampled_from(FITS),
    size=st.tuples(st.integers(60, 200), st.integers(60, 200)),
    side=st.tuples(st.integers(8, 64), st.integers(8, 64)),
)
def test_the_model_sees_the_image(
    color: str, model: Any, fit: Any, size: tuple[int, int], side: tuple[int, int]
) -> None:
    rgb = image(2 * size[0], 2 * size[1])
    spec = PreprocessSpec(color=model, fit=fit, mean=(0.0,), std=(255.0,))
    seen, placed = fed(encoded(rgb, color), spec, side)
    wanted, plain = fed(Frame(rgb, "rgb"), spec, side)
    assert np.abs(seen - wanted).max() <= 8  # a crop may lie one pixel aside; rounding of colours
    aside = 170 / min(rgb.shape[:2])  # levels from one pixel to the next
    assert np.abs(seen - wanted).mean() <= 1 + aside
    assert placed.scale_x == pytest.approx(plain.scale_x, rel=0.1)


@pytest.mark.parametrize("color", ["yuv420p", "yuvj420p"])
def test_a_frame_of_planes_has_the_size_of_its_image(color: str) -> None:
    frame = encoded(image(64, 48), color)
    assert (frame.width, frame.height) == (64, 48)
    assert frame.shown is frame


def test_black_and_white_of_video_range_are_black_and_white() -> None:
    """16 and 235 are the ends; what lies outside is clipped."""
    levels = np.repeat(np.array([0, 16, 235, 255], np.uint8), 8)
    planes = np.full((12, 32), 128, np.uint8)
    planes[:8] = levels
    spec = PreprocessSpec(color="rgb", fit="stretch", mean=(0.0,), std=(255.0,))
    seen, _ = fed(Frame(planes, "yuv420p"), spec, (32, 8))
    assert seen[0, [0, 8, 16, 24]].tolist() == [[0] * 3, [0] * 3, [255] * 3, [255] * 3]
