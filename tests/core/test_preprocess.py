"""From frame to tensor: against a slow and obvious way of doing the same."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_sdk import Frame, open_engine
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.preprocess import Placement, Preprocessor, PreprocessSpec
from edge_sdk.tensors import QuantParams, TensorSpec
from edge_sdk.tflite.tiny import tiny_classifier

FITS = ("stretch", "crop", "letterbox")
METHODS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}
COLORS = ("rgb", "bgr", "gray")
# Normalisation and quantization of an input for each tail, as converters really choose them.
TAILS: dict[str, tuple[float, float, str, QuantParams | None]] = {
    "xor": (0.0, 255.0, "int8", QuantParams(1 / 255, -128)),
    "copy": (127.5, 127.5, "uint8", QuantParams(0.0078431377, 127)),
    "table": (20.0, 50.0, "int8", QuantParams(0.02, -100)),
    "float": (127.5, 127.5, "float32", None),
}


def tensor_of(spec: PreprocessSpec, height: int, width: int, tail: str) -> TensorSpec:
    _, _, dtype, quant = TAILS[tail]
    return TensorSpec("image", (1, height, width, spec.channels), dtype, quant)


def random_frame(height: int, width: int, color: str, seed: int = 0) -> Frame:
    shape = (height, width) if color == "gray" else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Frame(pixels, color)  # type: ignore[arg-type]


def seen(frame: Frame, spec: PreprocessSpec, height: int, width: int) -> NDArray[np.uint8]:
    """The image before normalisation, (height, width, channels): the obvious way."""
    pixels = frame.pixels
    if spec.fit == "crop":
        scale = max(width / frame.width, height / frame.height)
        used_w = min(frame.width, max(1, round(width / scale)))
        used_h = min(frame.height, max(1, round(height / scale)))
        left, top = (frame.width - used_w) // 2, (frame.height - used_h) // 2
        pixels = pixels[top : top + used_h, left : left + used_w].copy()
    size = (width, height)
    if spec.fit == "letterbox":
        scale = min(width / frame.width, height / frame.height)
        size = (
            min(width, max(1, round(frame.width * scale))),
            min(height, max(1, round(frame.height * scale))),
        )
    small = cv2.resize(pixels, size, interpolation=METHODS[spec.resize])
    small = recolored(small, frame.color, spec.color)
    out = np.zeros((height, width, spec.channels), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    out[top : top + size[1], left : left + size[0]] = small.reshape(size[1], size[0], -1)
    return out


def recolored(pixels: NDArray[Any], old: str, new: str) -> NDArray[Any]:
    if old == new:
        return pixels
    if old == "gray":
        return np.stack([pixels] * 3, axis=-1)
    if new == "gray":
        return cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{old.upper()}2GRAY"))
    return np.ascontiguousarray(pixels[..., ::-1])


def exact(pixels: NDArray[np.uint8], spec: PreprocessSpec, tensor: TensorSpec) -> NDArray[Any]:
    """What the tensor should hold before rounding; float64, clipped to its dtype."""
    real = (pixels.astype(np.float64) - np.array(spec.mean)) / np.array(spec.std)
    if tensor.quant is None:
        return real
    info = np.iinfo(tensor.dtype)
    return np.clip(real / tensor.quant.scale + tensor.quant.zero_point, info.min, info.max)


def assert_stored(
    stored: NDArray[Any], pixels: NDArray[np.uint8], spec: PreprocessSpec, tensor: TensorSpec
) -> None:
    """Within half a step (a little more where a shortcut is taken) of the exact value."""
    if tensor.quant is None:
        assert np.array_equal(stored, exact(pixels, spec, tensor).astype(np.float32))
        return
    tail = Preprocessor(spec, tensor).tail
    steps = 0.5 + 1e-6 if tail == "table" else 0.501
    assert np.abs(stored - exact(pixels, spec, tensor)).max() <= steps


def run(frame: Frame, spec: PreprocessSpec, tensor: TensorSpec) -> NDArray[Any]:
    """The tensor, filled; what was in it before must not show."""
    out = np.full(tensor.shape, 77, tensor.dtype)
    Preprocessor(spec, tensor)(frame, out)
    return out[0]


def spec_of(fit: str, resize: str, color: str, tail: str) -> PreprocessSpec:
    mean, std, _, _ = TAILS[tail]
    return PreprocessSpec(color, fit, resize, (mean,), (std,))  # type: ignore[arg-type]


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("resize", METHODS)
@pytest.mark.parametrize("fit", FITS)
def test_every_way_against_the_obvious_one(fit: str, resize: str, tail: str) -> None:
    sizes = [(30, 50), (50, 30), (24, 20), (7, 5), (12, 10), (1, 1), (1, 40), (40, 1)]
    for old, new in itertools.product(COLORS, COLORS):
        spec = spec_of(fit, resize, new, tail)
        tensor = tensor_of(spec, 12, 10, tail)
        assert Preprocessor(spec, tensor).tail == tail.replace("float", "table")
        for height, width in sizes:
            frame = random_frame(height, width, old, seed=height)
            assert_stored(run(frame, spec, tensor), seen(frame, spec, 12, 10), spec, tensor)


@given(
    st.tuples(*[st.integers(1, 60)] * 2),
    st.tuples(*[st.integers(1, 30)] * 2),
    *(st.sampled_from(values) for values in (COLORS, COLORS, FITS, list(METHODS), list(TAILS))),
)
def test_any_size_against_the_obvious_way(
    frame_size: tuple[int, int],
    tensor_size: tuple[int, int],
    old: str,
    new: str,
    fit: str,
    resize: str,
    tail: str,
) -> None:
    spec = spec_of(fit, resize, new, tail)
    tensor = tensor_of(spec, *tensor_size, tail)
    frame = random_frame(*frame_size, old)
    assert_stored(run(frame, spec, tensor), seen(frame, spec, *tensor_size), spec, tensor)


@pytest.mark.parametrize("fit", FITS)
def test_a_frame_of_twelve_megapixels(fit: str) -> None:
    spec = spec_of(fit, "linear", "rgb", "xor")
    tensor = tensor_of(spec, 224, 224, "xor")
    frame = random_frame(3000, 4000, "bgr")
    assert_stored(run(frame, spec, tensor), seen(frame, spec, 224, 224), spec, tensor)


def test_one_preprocessor_serves_frames_of_all_sizes_and_colours() -> None:
    spec = spec_of("letterbox", "linear", "rgb", "xor")
    tensor = tensor_of(spec, 12, 10, "xor")
    preprocessor = Preprocessor(spec, tensor)
    out = np.empty(tensor.shape, tensor.dtype)
    for height, width in [(30, 50), (50, 30), (12, 10), (30, 50)]:
        for color in COLORS:
            frame = random_frame(height, width, color)
            preprocessor(frame, out)
            assert_stored(out[0], seen(frame, spec, 12, 10), spec, tensor)


def test_a_grey_frame_may_have_a_third_dimension() -> None:
    flat = random_frame(9, 7, "gray")
    deep = Frame(flat.pixels[:, :, None], "gray")
    for color in COLORS:
        spec = spec_of("crop", "linear", color, "xor")
        tensor = tensor_of(spec, 4, 4, "xor")
        assert np.array_equal(run(flat, spec, tensor), run(deep, spec, tensor))


def test_the_resize_comes_before_the_colour() -> None:
    """Converting first gives other pixels (rounding), and costs five times as much at 720p."""
    spec = spec_of("stretch", "linear", "gray", "xor")
    tensor = tensor_of(spec, 12, 10, "xor")
    frame = random_frame(50, 70, "bgr")
    stored = run(frame, spec, tensor)[:, :, 0].view(np.uint8) ^ 0x80
    gray = cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(stored, seen(frame, spec, 12, 10)[:, :, 0])
    assert not np.array_equal(stored, cv2.resize(gray, (10, 12)))


# Every pixel value once, in a tensor of its own size: no resize, only normalise and quantize.
RAMP = Frame(np.arange(256, dtype=np.uint8).reshape(16, 16), "gray")


def tail_of(mean: float, std: float, dtype: str, scale: float, zero_point: int) -> str:
    spec = PreprocessSpec("gray", "stretch", "linear", (mean,), (std,))
    tensor = TensorSpec("image", (1, 16, 16, 1), dtype, QuantParams(scale, zero_point))
    assert_stored(run(RAMP, spec, tensor), RAMP.pixels[:, :, None], spec, tensor)
    return Preprocessor(spec, tensor).tail


@pytest.mark.parametrize(
    ("case", "tail"),
    [
        ((0.0, 255.0, "int8", 1 / 255, -128), "xor"),
        ((0.0, 255.0, "int8", 0.003921568859368563, -128), "xor"),
        ((127.5, 127.5, "int8", 0.0078431377, -1), "xor"),
        ((127.5, 127.5, "int8", 0.00784313772, -1), "xor"),
        ((127.5, 127.5, "uint8", 0.0078431377, 127), "copy"),
        ((127.5, 127.5, "uint8", 0.0078431377, 128), "copy"),
        ((0.0, 1.0, "uint8", 1.0, 0), "copy"),
        ((0.0, 255.0, "uint8", 1 / 255, 0), "copy"),
        ((127.5, 127.5, "uint8", 0.00784, 127), "table"),
        ((0.0, 255.0, "int8", 0.0031, -128), "table"),  # calibrated on dark images
        ((0.0, 255.0, "int8", 1 / 255, -127), "table"),
        ((0.0, 255.0, "uint8", 1 / 255, -128), "table"),
        ((0.0, 255.0, "int8", 1 / 255, 0), "table"),
    ],
)
def test_the_tail_of_known_cases(case: tuple[float, float, str, float, int], tail: str) -> None:
    assert tail_of(*case) == tail


def test_floats_are_looked_up() -> None:
    spec = PreprocessSpec("gray", "stretch")
    tensor = TensorSpec("image", (1, 16, 16, 1), "float32")
    assert Preprocessor(spec, tensor).tail == "table"
    assert np.array_equal(
        run(RAMP, spec, tensor)[:, :, 0],
        ((RAMP.pixels.astype(np.float64) - 127.5) / 127.5).astype(np.float32),
    )


@given(
    st.floats(-300, 300),
    st.floats(0.01, 300),
    st.floats(1e-5, 10),
    st.integers(-128, 127),
    st.sampled_from(["int8", "uint8"]),
)
def test_the_stored_value_is_the_nearest_for_any_setting(
    mean: float, std: float, scale: float, zero_point: int, dtype: str
) -> None:
    tail_of(mean, std, dtype, scale, zero_point)


@given(
    st.sampled_from([0.0, 127.5, 128.0]),
    st.sampled_from([255.0, 127.5, 128.0, 1.0]),
    st.floats(0.999, 1.001) | st.just(1.0),
    st.integers(-1, 1),
    st.sampled_from(["int8", "uint8"]),
)
def test_near_a_shortcut_it_is_only_taken_within_its_bound(
    mean: float, std: float, stretch: float, offset: int, dtype: str
) -> None:
    scale = stretch / std
    zero_point = round(mean) + offset - (128 if dtype == "int8" else 0)
    tail = tail_of(mean, std, dtype, scale, zero_point)
    pixels = np.arange(256.0)
    unclipped = (pixels - mean) / std / scale + zero_point
    worst = np.abs(unclipped - pixels + (128 if dtype == "int8" else 0)).max()
    assert (tail != "table") == (worst <= 0.501)


def test_each_channel_has_its_own_mean_and_std() -> None:
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    for color in ("rgb", "bgr"):
        spec = PreprocessSpec(color, "stretch", "linear", mean, std)  # type: ignore[arg-type]
        frame = random_frame(16, 16, "rgb")
        for dtype, quant in (("float32", None), ("uint8", QuantParams(0.0187, 114))):
            tensor = TensorSpec("image", (1, 16, 16, 3), dtype, quant)
            assert_stored(run(frame, spec, tensor), seen(frame, spec, 16, 16), spec, tensor)


def test_an_integer_input_without_quantization_takes_the_numbers_themselves() -> None:
    tensor = TensorSpec("image", (1, 16, 16, 1), "uint8")
    spec = PreprocessSpec("gray", "stretch", "linear", (0.0,), (1.0,))
    assert np.array_equal(run(RAMP, spec, tensor)[:, :, 0], RAMP.pixels)
    halved = PreprocessSpec("gray", "stretch", "linear", (-50.0,), (1.0,))
    assert run(RAMP, halved, tensor).max() == 255
    assert run(RAMP, halved, tensor).min() == 50


@pytest.mark.parametrize(
    ("spec", "shape", "dtype", "error", "says"),
    [
        (PreprocessSpec(), (1, 96, 96), "int8", ModelError, "has shape [1, 96, 96]"),
        (PreprocessSpec(), (2, 96, 96, 3), "int8", ModelError, "has shape [2, 96, 96, 3]"),
        (PreprocessSpec(), (1, 96, 96, 1), "int8", ModelError, "1 channels, but color is 'rgb'"),
        (PreprocessSpec("gray"), (1, 9, 9, 3), "int8", ModelError, "3 channels, but color is"),
        (PreprocessSpec(), (1, 96, 96, 3), "int16", ModelError, "is int16"),
        (PreprocessSpec(mean=(1, 2)), (1, 9, 9, 3), "int8", ConfigError, "mean has 2 values"),
        (PreprocessSpec("gray", std=()), (1, 9, 9, 1), "int8", ConfigError, "std has 0 values"),
    ],
)
def test_a_tensor_that_is_no_such_image(
    spec: PreprocessSpec, shape: tuple[int, ...], dtype: str, error: type, says: str
) -> None:
    tensor = TensorSpec("image", shape, dtype, QuantParams(1 / 255, 0))
    with pytest.raises(error) as caught:
        Preprocessor(spec, tensor)
    assert says in str(caught.value)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(90, 160), (160, 90), (20, 20), (8, 30)])
def test_a_place_in_the_tensor_is_the_same_place_in_the_frame(
    fit: str, size: tuple[int, int]
) -> None:
    """A bright square is looked for in the tensor, and traced back to where it was painted."""
    spec = spec_of(fit, "area", "gray", "xor")
    height, width = size
    square = np.array([width / 2 - 1, height / 2 + 1])  # its centre: x, y
    pixels = np.zeros(size, np.uint8)
    x, y = (int(v) for v in square - 2)
    pixels[y : y + 4, x : x + 4] = 255
    preprocessor = Preprocessor(spec, tensor_of(spec, 64, 48, "xor"))
    out = np.empty((1, 64, 48, 1), np.int8)
    placed = preprocessor(Frame(pixels, "gray"), out)
    weights = out[0, :, :, 0].astype(np.float64) + 128
    rows, columns = np.mgrid[0:64, 0:48] + 0.5
    centre = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    scale = np.array([placed.scale_x, placed.scale_y])
    offset = np.array([placed.offset_x, placed.offset_y])
    assert np.allclose((centre - offset) / scale, square, atol=0.6)


def test_placement_of_each_fit() -> None:
    frame = random_frame(20, 40, "gray")
    found = {}
    for fit in FITS:
        spec = spec_of(fit, "linear", "gray", "xor")
        tensor = tensor_of(spec, 10, 10, "xor")
        found[fit] = Preprocessor(spec, tensor)(frame, np.empty(tensor.shape, np.int8))
    assert found == {
        "stretch": Placement(0.25, 0.5, 0.0, 0.0),
        "crop": Placement(0.5, 0.5, -5.0, 0.0),
        "letterbox": Placement(0.25, 0.25, 0, 2),
    }


def engine_names() -> list[str]:
    """Those that can be used here: tflite-runtime only in the second environment."""
    try:
        import tflite_runtime  # noqa: F401
    except ImportError:
        return ["litert", "isolated:litert"]
    return ["litert", "isolated:litert", "tflite-runtime"]


LANDINGS = [
    (name, *case)
    for case in itertools.product(FITS, ["rgb", "gray"], ["int8", "uint8", "float32"])
    for name in engine_names()
    if name != "isolated:litert"
    or case in [("letterbox", "rgb", "int8"), ("crop", "gray", "uint8")]
]


@pytest.mark.parametrize(("name", "fit", "color", "dtype"), LANDINGS)
def test_pixels_land_in_the_engines_own_tensor(name: str, fit: str, color: str, dtype: str) -> None:
    shape = (12, 16, 1 if color == "gray" else 3)
    spec = PreprocessSpec(color, fit, "linear", (0.0,), (255.0,))  # type: ignore[arg-type]
    with open_engine(name, tiny_classifier(shape, dtype=dtype)) as engine:  # type: ignore[arg-type]
        tensor = engine.inputs[0]
        preprocessor = Preprocessor(spec, tensor)
        for size in [(40, 30), (30, 40), (12, 16)]:
            frame = random_frame(*size, "bgr")
            engine.set_input(0, np.full(tensor.shape, 77, tensor.dtype))
            engine.fill(0, lambda out, frame=frame: preprocessor(frame, out))
            stored = engine.fill(0, lambda out: out.copy())[0]
            assert_stored(stored, seen(frame, spec, 12, 16), spec, tensor)
            engine.invoke()
            assert np.array_equal(engine.output(), engine(stored[None])[0])
