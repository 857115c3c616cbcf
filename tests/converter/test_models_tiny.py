"""Every model at its smallest: it builds, takes one step of training, becomes an int8 model of
builtin operators, and answers as the Keras model does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter.models import ARCHITECTURES
from edge_converter.quantize.to_tflite import check_agreement
from edge_converter.quantize.worker import to_tflite
from edge_converter.tf.concrete_function import batch_of_one
from edge_sdk.tflite.graph import Graph, Operator, read_graph

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
CELL = {"UNPACK", "SPLIT", "LOGISTIC", "TANH", "MUL"}
MORE = {
    "mobilenet_v3_small": SWISH,
    "mobilenet_v3_large": SWISH,
    "efficientnet_b0": {"LOGISTIC", "MUL"},
    "lstm": CELL,
    "gru": CELL | {"STRIDED_SLICE", "SUB"},
}
"""Operators beyond PLAIN, by the name of the model or of its cell: all of them, and in int8."""


def test_all_of_them_are_here(tinies: Any) -> None:
    assert {tiny.name for tiny in tinies} == set(ARCHITECTURES)


def test_a_tiny_model_all_the_way_to_int8(
    tiny: Any, tmp_path: Path, count_macs: Callable[[Any], int]
) -> None:
    model = tiny.build(CLASSES)
    samples = np.random.default_rng(0).uniform(-1, 1, (6, *tiny.shape)).astype(np.float32)
    train_one_step(model, samples)
    np.save(tmp_path / "calibration.npy", samples)
    (tmp_path / "model.tflite").write_bytes(
        to_tflite(batch_of_one(model), "int8", "int8", tmp_path)
    )
    graph = read_graph((tmp_path / "model.tflite").read_bytes())
    assert [o.name for o in graph.operators if not in_int8(graph, o)] == []
    assert {o.name for o in graph.operators} - PLAIN == MORE.get(tiny.name, set()) | MORE.get(
        tiny.cell, set()
    )
    assert graph.precision == "int8" and graph.subgraphs == 1
    assert not any(-1 in tensor.signature for tensor in graph.tensors)
    assert graph.input_specs[0].shape == (1, *tiny.shape)
    assert graph.output_specs[0].shape == (1, CLASSES)
    assert graph.macs == count_macs(model)
    reference = np.asarray(model(samples, training=False))
    agreement = check_agreement(tmp_path / "model.tflite", "int8", samples, reference)
    assert agreement.distance <= BOUND


def in_int8(graph: Graph, operator: Operator) -> bool:
    """Whether all that it reads and gives is int8 and quantized, but for a bias, an axis or a shape
    that is stored as int32.
    """
    used = [graph.tensors[t] for t in (*operator.inputs, *operator.outputs) if t != -1]
    return all(
        (tensor.dtype == "int8" and tensor.scales)
        or (tensor.dtype == "int32" and tensor.is_constant)
        for tensor in used
    )


def train_one_step(model: Any, samples: np.ndarray[Any, Any]) -> None:
    before = [weights.copy() for weights in model.get_weights()]
    labels = np.eye(CLASSES, dtype=np.float32)[np.arange(len(samples)) % CLASSES]
    # Eagerly: one step is over before a graph of it would be traced. SGD: Adam's two variables for
    # each weight take longer than the step.
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    loss = model.fit(samples, labels, batch_size=len(samples), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    after = model.get_weights()
    assert all(np.isfinite(weights).all() for weights in after)
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert sum(changed) >= len(changed) - 1  # a GRU's second bias may stay at nothing
