"""Anchors from parameters: against plain loops, and those that a real model has stored."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.model.anchors import BLAZEFACE, Anchors
from edge_sdk.tensors import dequantize
from edge_sdk.tflite.graph import read_graph

MODEL = "coco_ssd_mobilenet_v1_1.0_quant.tflite"


@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=5).map(sorted),
    st.integers(1, 130),
    st.integers(1, 130),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 1.0]),
)
def test_the_count_is_that_of_the_grid(
    strides: list[int], height: int, width: int, reduced: bool, unit: bool, interpolated: float
) -> None:
    anchors = Anchors(tuple(strides), reduced=reduced, unit=unit, interpolated=interpolated)
    grid = anchors.grid(height, width)
    assert grid.shape == (anchors.count(height, width), 4)
    assert grid.dtype == np.float32
    assert (grid[:, :2] > 0).all() and (grid[:, :2] < 1).all()


def test_blazeface_has_896_centres() -> None:
    """Two for each of 16 x 16 cells, then six for each of 8 x 8."""
    grid = BLAZEFACE.grid(128, 128)
    wanted = [
        ((column + 0.5) / cells, (row + 0.5) / cells)
        for cells, each in ((16, 2), (8, 6))
        for row in range(cells)
        for column in range(cells)
        for _ in range(each)
    ]
    assert len(wanted) == BLAZEFACE.count(128, 128) == 896
    assert np.allclose(grid[:, :2], wanted)
    assert (grid[:, 2:] == 1).all()


def test_the_first_layer_and_the_last_anchor_of_an_ssd() -> None:
    grid = Anchors().grid(300, 300)
    assert Anchors().count(300, 300) == len(grid) == 1917
    assert np.allclose(grid[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1])
    assert np.allclose(grid[1, 2:], [0.2 * math.sqrt(2), 0.2 / math.sqrt(2)])
    assert np.allclose(grid[-1], [0.5, 0.5, math.sqrt(0.95), math.sqrt(0.95)])


def test_the_anchors_that_a_real_ssd_has_stored(shared_data: Path) -> None:
    """In 8 bits of 0.0065 each: equal to ours within half a step."""
    model = (shared_data / "models" / MODEL).read_bytes()
    graph = read_graph(model)
    (stored,) = (tensor for tensor in graph.tensors if tensor.name == "anchors")
    steps = np.frombuffer(model, np.uint8, 1917 * 4, stored.constant_at).reshape(-1, 4)
    y, x, height, width = dequantize(steps, stored.spec).T
    ours = Anchors().grid(300, 300)
    assert np.abs(np.stack([x, y, width, height], axis=1) - ours).max() <= stored.scales[0] * 0.51
