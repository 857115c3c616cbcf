"""The pure half of the Pi's camera: sizes the ISP is asked for, and frames made of buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_device.cameras.isp import Stream, frame_of, inference_size, turned
from edge_sdk import Frame
from edge_sdk.errors import CameraError
from edge_sdk.images import yuv

EVEN = st.integers(8, 1000).map(lambda half: 2 * half)
SMALL = st.integers(1, 12).map(lambda half: 2 * half)
SIDES = st.integers(1, 600)
PADDING = st.sampled_from([0, 2, 16, 64])

# What lies in memory, by libcamera's documentation of its formats (those of the kernel's DRM).
PACKED = {"RGB888": "BGR", "BGR888": "RGB", "XRGB8888": "BGRX", "XBGR8888": "RGBX"}


@given(main=st.tuples(EVEN, EVEN), model=st.tuples(SIDES, SIDES))
def test_the_small_stream_covers_the_model_and_keeps_the_aspect(
    main: tuple[int, int], model: tuple[int, int]
) -> None:
    size = inference_size(main, model)
    if size is None:
        # One more line or column than the model's, or than main's: there is nothing to gain.
        scale = max(model[0] / main[0], model[1] / main[1])
        assert scale * main[1] > main[1] - 2 or scale * main[0] > main[0] - 4
        return
    width, height = size
    assert width % 2 == 0 and height % 2 == 0
    assert model[0] <= width <= main[0]
    assert model[1] <= height < main[1]
    assert abs(width - height * main[0] / main[1]) <= 1


@pytest.mark.parametrize(
    ("main", "model", "size"),
    [
        ((1280, 720), (224, 224), (398, 224)),
        ((1280, 960), (224, 224), (298, 224)),
        ((960, 960), (224, 224), (224, 224)),  # the ISP's image is the model's
        ((1280, 720), (320, 180), (320, 180)),
        ((1280, 720), (96, 28), (96, 54)),
        ((640, 480), (640, 480), None),
        ((320, 240), (512, 512), None),
        ((960, 960), (225, 225), (226, 226)),  # planes have even sides
    ],
)
def test_sizes_of_common_models(
    main: tuple[int, int], model: tuple[int, int], size: tuple[int, int] | None
) -> None:
    assert inference_size(main, model) == size


def padded(rows: NDArray[Any], stride: int) -> NDArray[Any]:
    """Rows as the ISP leaves them: what is behind their end is none of the image."""
    out = np.full((rows.shape[0], stride), 0xEE, np.uint8)
    out[:, : rows.shape[1]] = rows
    return out.reshape(-1)


def buffer_of(
    layout: str, y: NDArray[Any], u: NDArray[Any], v: NDArray[Any], stride: int
) -> NDArray[Any]:
    """The planes as a stream of that format has them, and an end that belongs to no image."""
    if layout in ("NV12", "NV21"):
        pairs = np.stack((u, v) if layout == "NV12" else (v, u), axis=-1)
        chroma = [padded(pairs.reshape(u.shape[0], -1), stride)]
    else:
        order = (u, v) if layout == "YUV420" else (v, u)
        chroma = [padded(plane, stride // 2) for plane in order]
    return np.concatenate([padded(y, stride), *chroma, np.full(100, 0xEE, np.uint8)])


@given(
    layout=st.sampled_from(["YUV420", "YVU420", "NV12", "NV21"]),
    width=SMALL,
    height=SMALL,
    padding=PADDING,
    full=st.booleans(),
    seed=st.integers(0, 9),
)
def test_planes_come_out_of_any_layout_and_stride(
    layout: str, width: int, height: int, padding: int, full: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    half = (height // 2, width // 2)
    wanted = [random.integers(0, 200, shape, np.uint8) for shape in ((height, width), half, half)]
    stream = Stream(layout, (width, height), width + padding, full)
    frame = frame_of(buffer_of(layout, *wanted, stride=width + padding), stream)
    assert (frame.width, frame.height) == (width, height)
    assert frame.color == ("yuvj420p" if full else "yuv420p")
    for plane, expected in zip(yuv.planes(frame), wanted, strict=True):
        assert np.array_equal(plane, expected)


@given(layout=st.sampled_from(sorted(PACKED)), width=SMALL, height=SMALL, padding=PADDING)
def test_packed_pixels_keep_their_colours(
    layout: str, width: int, height: int, padding: int
) -> None:
    values = {"R": 10, "G": 20, "B": 30, "X": 255}
    order = PACKED[layout]
    pixel = [values[channel] for channel in order]
    rows = np.tile(np.array(pixel, np.uint8), (height, width))
    stride = rows.shape[1] + padding
    frame = frame_of(padded(rows, stride), Stream(layout, (width, height), stride))
    assert frame.pixels.shape == (height, width, 3)
    assert frame.pixels.flags.c_contiguous
    assert np.all(frame.pixels == [values[channel] for channel in frame.color.upper()])


def test_planes_without_padding_are_not_copied() -> None:
    buffer = np.zeros(6 * 4, np.uint8)
    assert np.shares_memory(frame_of(buffer, Stream("YUV420", (4, 4), 4)).pixels, buffer)


def test_a_format_that_nobody_knows_names_another_way() -> None:
    with pytest.raises(CameraError, match="gives MJPEG") as caught:
        frame_of(np.zeros(100, np.uint8), Stream("MJPEG", (4, 4), 0))
    assert "v4l2" in caught.value.fix


@given(
    width=SMALL,
    height=SMALL,
    degrees=st.sampled_from([0, 90, 180, 270]),
    mirrored=st.booleans(),
    planes=st.booleans(),
)
def test_turning_moves_every_sample_where_it_belongs(
    width: int, height: int, degrees: int, mirrored: bool, planes: bool
) -> None:
    random = np.random.default_rng(0)
    shape = (height * 3 // 2, width) if planes else (height, width, 3)
    frame = Frame(random.integers(0, 256, shape, np.uint8), "yuv420p" if planes else "rgb")
    result = turned(frame, degrees, mirrored)
    before = yuv.planes(frame) if planes else (frame.pixels,)
    after = yuv.planes(result) if planes else (result.pixels,)
    for plane, found in zip(before, after, strict=True):
        expected = np.rot90(plane, -degrees // 90)
        assert np.array_equal(found, expected[:, ::-1] if mirrored else expected)
