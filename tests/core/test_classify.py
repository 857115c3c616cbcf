"""Scores to classes: activations against the formula, ties in the order of the labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import Classification, Result
from edge_sdk.model.postprocess import Activation
from edge_sdk.results import StageTimes
from edge_sdk.tasks.classify import Classifier, scores, top
from edge_sdk.tensors import QuantParams, TensorSpec

FLOATS = TensorSpec("scores", (1, 3), "float32")
LABELS = ("cat", "dog", "owl", "bee")


def test_stored_scores_become_numbers() -> None:
    spec = TensorSpec("scores", (1, 1, 3), "int8", QuantParams(1 / 256, -128))
    found = scores(np.array([[[-128, 0, 127]]], np.int8), spec)
    assert found.tolist() == [0.0, 0.5, 255 / 256]
    assert found.dtype == np.float32


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=9))
def test_activations(values: list[float]) -> None:
    stored = np.array([values], np.float32)
    soft = scores(stored, FLOATS, "softmax")
    weights = [math.exp(value - max(values)) for value in values]
    assert np.allclose(soft, np.array(weights) / math.fsum(weights), atol=1e-6)
    sigmoid = scores(stored, FLOATS, "sigmoid")
    for value, found in zip(values, sigmoid.tolist(), strict=True):
        exact = 1 / (1 + math.exp(-value)) if value > -700 else 0.0
        assert math.isclose(found, exact, rel_tol=1e-5, abs_tol=1e-30)
    assert soft.dtype == sigmoid.dtype == np.float32


def test_best_first_and_ties_in_the_order_of_the_labels() -> None:
    values = np.array([0.25, 0.5, 0.25, 0.5], np.float32)
    found = top(values, LABELS, 4)
    assert [c.label for c in found] == ["dog", "bee", "cat", "owl"]
    assert found[0] == Classification("dog", 1, 0.5)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5]), min_size=1, max_size=60), st.integers(1, 60))
def test_any_ties_are_stable(values: list[float], k: int) -> None:
    labels = [f"{number}" for number in range(len(values))]
    found = [c.index for c in top(np.array(values, np.float32), labels, k)]
    assert found == sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=300),
    st.sampled_from(["int8", "uint8"]),
    st.sampled_from(["none", "softmax", "sigmoid"]),
    st.integers(1, 6),
    st.integers(-128, 255),
)
def test_a_stored_row_answers_as_its_scores_do(
    row: list[int], dtype: str, activation: Activation, k: int, zero_point: int
) -> None:
    spec = TensorSpec("scores", (1, len(row)), dtype, QuantParams(1 / 256, zero_point))
    stored = np.array([row], np.uint8).view(dtype)
    labels = [f"{number}" for number in range(len(row))]
    expected = top(scores(stored, spec, activation), labels, k, 0.25)
    assert Classifier(spec, labels, k, 0.25, activation)(stored) == expected


def test_too_low_scores_are_left_out() -> None:
    values = np.array([0.1, 0.7, np.nan, 0.5], np.float32)
    assert [c.label for c in top(values, LABELS, 4, min_score=0.5)] == ["dog", "bee"]
    assert top(values, LABELS, 1, min_score=0.9) == ()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_an_int8_row_of_equal_scores_is_in_the_order_of_the_labels(dtype: str) -> None:
    spec = TensorSpec("scores", (1, 4), dtype, QuantParams(1 / 256, 0))
    values = scores(np.full((1, 4), 64, dtype), spec)
    assert [c.label for c in top(values, LABELS, 4)] == list(LABELS)


def test_a_result_in_the_json_that_sinks_write() -> None:
    stages = StageTimes(capture=9, preprocess=1_000_000, invoke=2_000_000, postprocess=500_000)
    result = Result((Classification("cat", 0, 0.75),), 7, 1_000, 5_001_000, stages, "a.png")
    assert result.frame_age_ms == 5.0
    assert result.as_dict() == {
        "index": 7,
        "source": "a.png",
        "classes": [{"label": "cat", "index": 0, "score": 0.75}],
        "detections": [],
        "unknown": False,
        "late": False,
        "frame_age_ms": 5.0,
        "latency_ms": 3.5,
    }
