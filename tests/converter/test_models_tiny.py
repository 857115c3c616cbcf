"""Every model at its smallest: it builds, takes one step of training, becomes an int8 model of
builtin operators, and answers as the Keras model does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter.models import ARCHITECTURES, build_model
from edge_converter.quantize.child import batch_of_one, to_tflite
from edge_converter.quantize.conversion import check_agreement
from edge_converter.recipe import Recipe
from edge_sdk.tflite.graph import read_graph

pytestmark = pytest.mark.slow

CLASSES = 3
BOUND = 0.05
"""Mean total variation distance from the Keras model's probabilities: nets of random weights."""

PLAIN = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MEAN", "SOFTMAX"),
    *("MAX_POOL_2D", "RESHAPE", "CONCATENATION", "SPACE_TO_DEPTH"),
}
"""What every model may consist of; RESHAPE with a fixed shape costs nothing."""

SWISH = {"HARD_SWISH", "MUL"}
CELL = {
    *("UNPACK", "SPLIT", "LOGISTIC", "TANH", "MUL", "SUB", "STRIDED_SLICE"),
    *("DEQUANTIZE", "QUANTIZE"),  # around the first step's SPLIT, now and then: sequences.py
}
MORE = {
    "mobilenet_v3_small": SWISH,
    "mobilenet_v3_large": SWISH,
    "efficientnet_b0": {"LOGISTIC", "MUL"},
}

PICTURES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("seed_cnn", (10, 10, 1), {}),
    ("tiny_cnn", (8, 8, 1), {"width": 0.75}),
    ("edge_net", (28, 28, 1), {"width": 0.25}),
    ("edge_net", (16, 20, 3), {"width": 0.25, "space_to_depth": True}),
    ("mobilenet_v1", (32, 32, 3), {"width": 0.25}),
    ("mobilenet_v2", (32, 32, 1), {"width": 0.35}),
    ("mobilenet_v3_small", (32, 32, 3), {}),
    ("mobilenet_v3_small_minimalistic", (32, 32, 3), {}),
    ("mobilenet_v3_large", (32, 32, 3), {}),
    ("mobilenet_v3_large_minimalistic", (32, 32, 3), {}),
    ("efficientnet_b0", (32, 32, 3), {}),
    ("squeezenet", (31, 31, 3), {}),
]
SEQUENCES: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("edge_net", (3, 16, 16, 1), {"width": 0.25, "depth": 0.5}, "lstm"),
    ("edge_net", (3, 16, 16, 1), {"width": 0.25, "depth": 0.5}, "gru"),
    ("features", (4, 3), {}, "lstm"),
    ("features", (4, 3), {}, "gru"),
]
ALL = [*((*picture, "") for picture in PICTURES), *SEQUENCES]


def test_all_of_them_are_here() -> None:
    assert {name for name, *_ in ALL} == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "shape", "options", "cell"), ALL, ids=lambda value: str(value).replace(" ", "")
)
def test_a_tiny_model_all_the_way_to_int8(
    name: str,
    shape: tuple[int, ...],
    options: dict[str, Any],
    cell: str,
    tmp_path: Path,
    count_macs: Callable[[Any], int],
) -> None:
    model = build_model(recipe(name, options, cell), shape, CLASSES)
    samples = np.random.default_rng(0).uniform(-1, 1, (6, *shape)).astype(np.float32)
    train_one_step(model, samples)
    np.save(tmp_path / "calibration.npy", samples)
    (tmp_path / "model.tflite").write_bytes(
        to_tflite(batch_of_one(model), "int8", "int8", tmp_path)
    )
    graph = read_graph((tmp_path / "model.tflite").read_bytes())
    found = {operator.name for operator in graph.operators}
    assert found <= PLAIN | MORE.get(name, set()) | (CELL if cell else set())
    assert graph.precision == "int8" and graph.subgraphs == 1
    assert not any(-1 in tensor.signature for tensor in graph.tensors)
    assert graph.input_specs[0].shape == (1, *shape)
    assert graph.macs == count_macs(model)
    reference = np.asarray(model(samples, training=False))
    agreement = check_agreement(tmp_path / "model.tflite", "int8", samples, reference)
    assert agreement.distance <= BOUND


def recipe(name: str, options: dict[str, Any], cell: str) -> Recipe:
    table: dict[str, Any] = {"name": "x", "model": {"name": name, "options": options}}
    table["data"] = {"source": "digits"}
    if cell:
        table |= {"task": "sequence", "sequence": {"cell": cell, "units": 8}}
        table["data"] = {"source": "csv:x.csv" if name == "features" else "video:x"}
    return Recipe.parse(table)


def train_one_step(model: Any, samples: np.ndarray[Any, Any]) -> None:
    before = [weights.copy() for weights in model.get_weights()]
    labels = np.eye(CLASSES, dtype=np.float32)[np.arange(len(samples)) % CLASSES]
    # Eagerly: one step is over before a graph of it would be traced.
    model.compile("adam", "categorical_crossentropy", run_eagerly=True)
    loss = model.fit(samples, labels, batch_size=len(samples), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    after = model.get_weights()
    assert all(np.isfinite(weights).all() for weights in after)
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert sum(changed) >= len(changed) - 1  # a GRU's second bias may stay at nothing
