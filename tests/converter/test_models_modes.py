"""Every model in every mode with every type of input and output: it converts, is of the types that
were asked for, and answers as the Keras model does.

The nets are as if trained (`as_if_trained`). Random ones would not do: they answer alike to
everything, or, with batch norms that make them answer, let rounding grow by a fifth in each layer
(MobileNet v1: from one step to 60), and no distance at their end would mean anything.

int4 and quantization-aware training are held against the Keras model as it is in 4 and in 8 bits:
what these bits cost is the mode's, and up to half of a small net's probability in 4. A model after
quantization-aware training is also taken layer by layer, each fed what the int8 model fed to its
twin: one step at most, the rounding of a tie. There is no depth in which that could add up, and a
range, a fold or a bias that is wrong anywhere shows there.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter.compression.fake_quant import fake_quantized, to_int8
from edge_converter.compression.fake_quant.keras_graph import run
from edge_converter.quantize.tf_interpreter import interpreter
from edge_converter.quantize.to_tflite import check_agreement
from edge_converter.quantize.worker import to_tflite
from edge_converter.tf.concrete_function import batch_of_one
from edge_sdk.errors import ModelError
from edge_sdk.tensors import dequantize, quantize
from edge_sdk.tflite.graph import Graph, read_graph

pytestmark = [pytest.mark.slow, pytest.mark.campaign]

MODES = [
    *((mode, "float32") for mode in ("float16", "dynamic", "int16x8", "int4")),
    *((mode, io) for mode in ("int8", "qat") for io in ("int8", "uint8", "float32")),
]
"""(mode, type of input and output): all that a recipe may ask for; "qat" is mode int8 of a model
after quantization-aware training."""

BOUNDS = {"float16": 0.005, **dict.fromkeys(("dynamic", "int16x8", "int4", "int8", "qat"), 0.05)}
"""Largest mean total variation distance, half the sum of |converted - reference| over the classes.
A net that answers something else is at 2/3."""

STORED = {
    "float16": "float16",
    "dynamic": "int8",
    "int16x8": "int8",
    "int4": "int4",
    "int8": "int8",
}
"""Type of the weights in each mode; int4 leaves those of depthwise convolutions in float32."""

DYNAMIC_FROM = 1024
"""Elements: TensorFlow's converter leaves smaller weights in float32 in mode "dynamic"."""

Samples = np.ndarray[Any, Any]

CLASSES, SAMPLES, COMPARED, FORCED = 3, 96, 24, 2
"""FORCED: images that are compared layer by layer."""

SEED = 0
SAMPLE_SEED = 16614
"""Draws small nets, nearly every mode and every type of input."""


@dataclass
class Trained:
    """A Keras model, what it was fitted on, and its fake-quantized model."""

    model: Any
    samples: Samples

    @cached_property
    def fake(self) -> Any:
        return fake_quantized(self.model, self.samples)


def test_models_by_modes(
    tinies: Any, campaign: Callable[[str, int, int], int], tmp_path: Path
) -> None:
    every = list(itertools.product(tinies, MODES))
    count = campaign("models by modes", 6, len(every))
    chosen = sorted(random.Random(SAMPLE_SEED).sample(range(len(every)), count))
    wrong = []
    for tiny, group in itertools.groupby((every[i] for i in chosen), key=lambda one: one[0]):
        trained = as_if_trained(tiny)
        for _, (mode, io) in group:
            try:
                if mode == "int16x8" and (operator := no_int16(tiny)):
                    with pytest.raises(ModelError, match=f"has no {operator} with int16"):
                        converted(trained, mode, io, tmp_path)
                else:
                    check(trained, mode, io, tmp_path)
            except Exception as error:  # whatever it is: the others are tried all the same
                wrong.append(f"{tiny}, {mode}, {io}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def check(trained: Trained, mode: str, io: str, folder: Path) -> None:
    """One model in one mode."""
    fed = trained.samples[:COMPARED]
    wanted = answers(trained.model, fed)
    assert np.ptp(wanted, axis=0).min() > 0.5  # a net that hardly answers proves nothing
    path = folder / "model.tflite"
    path.write_bytes(model := converted(trained, mode, io, folder))
    graph = read_graph(model)
    assert [spec.dtype for spec in (*graph.input_specs, *graph.output_specs)] == [io, io]
    if mode == "int4":
        wanted = answers(in_4_bits(trained.model), fed)
    if mode == "qat":
        plain, wanted = wanted, answers(trained.fake, fed)
        assert np.abs(plain - wanted).sum(axis=1).mean() / 2 <= BOUNDS["int8"]
        assert not_int8(graph) == set()
        apart = steps_apart(trained.fake, model, fed[:FORCED]) if io == "int8" else {}
        assert max(apart.values(), default=0) <= 1, apart
    else:
        assert not wrong_weights(graph, mode)
    assert check_agreement(path, "int8", fed, wanted).distance <= BOUNDS[mode]


def converted(trained: Trained, mode: str, io: str, folder: Path) -> bytes:
    """The .tflite."""
    if mode == "qat":
        return to_int8(trained.fake, io)
    np.save(folder / "calibration.npy", trained.samples)
    return to_tflite(batch_of_one(trained.model), mode, io, folder)


def no_int16(tiny: Any) -> str | None:
    """The operator of the model that TensorFlow has no int16 for."""
    if tiny.name == "tiny_cnn" or tiny.options.get("space_to_depth"):
        return "SPACE_TO_DEPTH"
    return "HARD_SWISH" if tiny.name in ("mobilenet_v3_small", "mobilenet_v3_large") else None


def answers(model: Any, fed: Samples) -> Samples:
    """The Keras model's."""
    return np.asarray(model(fed, training=False))


def in_4_bits(model: Any) -> Any:
    """The Keras model with the kernels of its convolutions and dense layers rounded to 15 values
    for each output. A batch norm behind one scales these values, and they stay 15.
    """
    import keras

    found = keras.models.clone_model(model)
    found.set_weights(model.get_weights())
    for weight in found.weights:
        if weight.path.endswith("kernel") and not is_depthwise(weight):
            kernel = np.asarray(weight)
            step = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / 7
            weight.assign(np.rint(kernel / step) * step)
    return found


def is_depthwise(kernel: Any) -> bool:
    return len(kernel.shape) == 4 and kernel.shape[-1] == 1


def wrong_weights(graph: Graph, mode: str) -> set[tuple[str, str]]:
    """(operator, type of its weights) where that is not the mode's."""
    found = set()
    for operator in graph.operators:
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel = graph.source(operator.inputs[1])
            small = mode == "dynamic" and prod(kernel.shape) < DYNAMIC_FROM
            depthwise = mode == "int4" and operator.name == "DEPTHWISE_CONV_2D"
            if kernel.dtype != ("float32" if small or depthwise else STORED[mode]):
                found.add((operator.name, kernel.dtype))
    return found


def not_int8(graph: Graph) -> set[str]:
    """Operators that give or take anything else, but for those that the inputs and outputs need."""
    outer = {*graph.inputs, *graph.outputs}
    found = set()
    for operator in graph.operators:
        used = {t for t in (*operator.inputs, *operator.outputs) if t != -1}
        inner = {t for t in used if not graph.tensors[t].is_constant}
        if operator.name in ("QUANTIZE", "DEQUANTIZE"):
            inner -= outer
            if len(inner) == 2:  # from grid to grid, inside the model
                found.add(operator.name)
        if {graph.tensors[t].dtype for t in inner} != {"int8"}:
            found.add(operator.name)
    return found


def steps_apart(fake: Any, model: bytes, fed: Samples) -> dict[str, int]:
    """{grid: the most steps of it} between what a fake-quantized layer gives and what the int8
    model holds there, the layer fed what the int8 model holds before it.
    """
    import tensorflow as tf

    from edge_converter.compression.fake_quant.layers import FakeQuant

    graph, runner = read_graph(model), interpreter(model)
    values = {*graph.inputs, *(t for o in graph.operators for t in o.outputs)}
    most: dict[str, int] = {}
    for one in fed:
        spec = graph.input_specs[0]
        runner.set_tensor(graph.inputs[0], quantize(one[None], spec))
        runner.invoke()
        held = [
            (spec.quant, dequantize(runner.get_tensor(t), spec))
            for t in values
            if (spec := graph.tensors[t].spec).quant
        ]

        def rule(call: Any, *args: Any, held: Any = held, **kwargs: Any) -> Any:
            found = call.operation(*args, **kwargs)
            if not isinstance(call.operation, FakeQuant):
                return found
            value, step = found
            # On that grid, and where several are, the nearest.
            there = [
                real.reshape(value.shape)
                for quant, real in held
                if real.size == tf.size(value) and abs(quant.scale / float(step) - 1) < 1e-4
            ]
            apart, real = min(
                ((int(np.abs(np.rint((r - value) / step)).max()), r) for r in there),
                key=lambda pair: pair[0],
            )
            name = call.operation.name
            most[name] = max(most.get(name, 0), apart)
            return tf.constant(real), step

        run(fake, [tf.constant(one[None])], rule)
    return most


def as_if_trained(tiny: Any) -> Trained:
    """A net that tells dark, middling and bright inputs apart, and in which rounding does not grow
    with depth: kernels that keep the size of what passes, batch norms that lift what they normalise
    by 1, so that most of it passes the relu, a last layer fitted to the features that come out.
    """
    import keras

    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    classes = np.arange(SAMPLES) % CLASSES
    levels = 0.5 * (classes - 1) + rng.uniform(-0.1, 0.1, SAMPLES)
    noise = rng.uniform(-0.4, 0.4, (SAMPLES, *tiny.shape))
    samples = (levels.reshape(-1, *[1] * len(tiny.shape)) + noise).astype(np.float32)

    model = tiny.build(CLASSES)
    for weight in model.weights:
        noise = rng.normal(size=weight.shape)
        if weight.path.endswith("kernel"):
            inputs = prod(weight.shape[: 2 if is_depthwise(weight) else -1])
            weight.assign(noise * np.sqrt(2 / inputs))  # He and others, arXiv:1502.01852
        elif "variance" not in weight.path and "seed" not in weight.path:
            weight.assign(np.asarray(weight) + 0.1 * noise)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the statistics of these samples
            layer.beta.assign(layer.beta + 1)
    model(samples, training=True)
    fit_last(model, samples, 6 * np.eye(CLASSES)[classes])
    return Trained(model, samples)


def fit_last(model: Any, samples: Samples, logits: Samples) -> None:
    """Ridge regression, so strong that no feature of little variance counts."""
    import keras

    last = model.get_layer("scores")
    features = np.asarray(keras.Model(model.input, last.input)(samples, training=False))
    middle = features.mean(axis=0).astype(np.float64)
    spread = features - middle
    gram = spread.T @ spread
    ridge = np.trace(gram) / len(gram) * np.eye(len(gram))
    kernel = np.linalg.solve(gram + ridge, spread.T @ logits)
    last.set_weights([kernel, logits.mean(axis=0) - middle @ kernel])
