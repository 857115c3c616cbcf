"""Integers that stand for numbers: exact, against Python's own integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.tensors import QuantParams, TensorSpec, dequantize, quantize

DTYPES = ["int8", "uint8", "int16", "int32"]


@st.composite
def stored_values(draw: st.DrawFn) -> tuple[TensorSpec, list[int]]:
    dtype = draw(st.sampled_from(DTYPES))
    info = np.iinfo(dtype)
    values = st.integers(info.min, info.max)
    scale = draw(st.floats(1e-20, 1e20))
    spec = TensorSpec("x", (1,), dtype, QuantParams(scale, draw(values)))
    return spec, draw(st.lists(values | st.sampled_from([info.min, info.max]), min_size=1))


@given(stored_values())
def test_dequantize_never_wraps(case: tuple[TensorSpec, list[int]]) -> None:
    spec, values = case
    assert spec.quant is not None
    found = dequantize(np.array(values, spec.dtype), spec)
    assert found.dtype == np.float32
    for value, real in zip(values, found, strict=True):
        exact = Fraction(spec.quant.scale) * (value - spec.quant.zero_point)
        assert math.isclose(float(real), float(exact), rel_tol=2**-23)


def test_the_case_that_wraps_in_int8() -> None:
    spec = TensorSpec("x", (2,), "int8", QuantParams(1.0, -128))
    assert dequantize(np.array([127, -128], np.int8), spec).tolist() == [255.0, 0.0]
    spec = TensorSpec("x", (2,), "uint8", QuantParams(0.5, 200))
    assert dequantize(np.array([0, 255], np.uint8), spec).tolist() == [-100.0, 27.5]


@given(stored_values())
def test_what_is_stored_survives_both_ways(case: tuple[TensorSpec, list[int]]) -> None:
    """Up to 16 bits: a float32 has 24."""
    spec, values = case
    if spec.dtype != "int32":
        again = quantize(dequantize(np.array(values, spec.dtype), spec), spec)
        assert again.tolist() == values
        assert again.dtype == spec.dtype


@given(
    st.sampled_from(["int8", "uint8", "int16"]),
    st.floats(1e-6, 1e3),
    st.integers(-128, 255),
    st.lists(st.floats(-1, 1), min_size=1),
)
def test_a_number_is_at_most_half_a_step_away(
    dtype: str, scale: float, zero_point: int, places: list[float]
) -> None:
    info = np.iinfo(dtype)
    spec = TensorSpec("x", (1,), dtype, QuantParams(scale, zero_point))
    low, high = scale * (info.min - zero_point), scale * (info.max - zero_point)
    values = np.array([(low + high) / 2 + place * (high - low) / 2 for place in places])
    gap = np.abs(dequantize(quantize(values, spec), spec).astype(np.float64) - values)
    assert gap.max() <= scale * (0.5 + 1e-3)


def test_beyond_the_range_it_is_clipped_and_halves_go_to_even() -> None:
    spec = TensorSpec("x", (4,), "int8", QuantParams(0.5, 0))
    values = np.array([1e30, -1e30, 0.25, 0.75])
    assert quantize(values, spec).tolist() == [127, -128, 0, 2]


def test_floats_stay_floats() -> None:
    spec = TensorSpec("x", (2,), "float32")
    assert quantize(np.array([0.5, -2.0]), spec).tolist() == [0.5, -2.0]
    assert dequantize(np.array([0.5, -2.0], np.float32), spec).dtype == np.float32


def test_integers_without_quantization_stand_for_themselves() -> None:
    spec = TensorSpec("x", (3,), "uint8")
    assert quantize(np.array([1.6, 300.0, -3.0]), spec).tolist() == [2, 255, 0]
    assert dequantize(np.array([2, 255, 0], np.uint8), spec).tolist() == [2.0, 255.0, 0.0]


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [((1, 96, 96, 3), "int8", 27648), ((), "float32", 4), ((1, 0), "int8", 0)],
)
def test_sizes(shape: tuple[int, ...], dtype: str, size: int) -> None:
    assert TensorSpec("x", shape, dtype).nbytes == size
