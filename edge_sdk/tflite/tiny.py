"""A tiny int8 classifier made from nothing: to probe engines, and as a model for tests."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ModelError

_STEP = 1 / 256


def tiny_classifier(
    shape: tuple[int, ...] = (4, 4, 1),
    classes: int = 3,
    *,
    seed: int = 0,
    dtype: Literal["int8", "uint8", "float32"] = "int8",
) -> bytes:
    """The bytes of a .tflite file: RESHAPE, FULLY_CONNECTED, SOFTMAX over `shape` pixels.

    shape: height, width, channels; or any other, for sequences. Weights are random, drawn from
    `seed`. int8: input scale 1/255, zero point -128; uint8: 1/255, 0; output 1/256 as softmax
    demands.
    Raises ModelError for sizes below one.
    """
    if min(*shape, classes) < 1:
        raise ModelError("a tiny model needs sizes of at least 1", fix="use larger sizes")
    return _pack(_model(shape, classes, np.random.default_rng(seed), dtype))


def _model(shape: tuple[int, ...], classes: int, random: np.random.Generator, dtype: str) -> Any:
    import ai_edge_litert.schema_py_generated as schema

    features = int(np.prod(shape))
    kind = {
        "int8": schema.TensorType.INT8,
        "uint8": schema.TensorType.UINT8,
        "float32": schema.TensorType.FLOAT32,
    }[dtype]
    zero = {"int8": -128, "uint8": 0, "float32": 0}[dtype]
    weights, biases = _weights(classes, features, random, dtype)
    model = schema.ModelT()
    model.version = 3
    model.description = b"tiny"
    model.operatorCodes, model.buffers = [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    model.subgraphs = [graph]

    def tensor(
        name: str, size: list[int], kind: int, scale: float, zero_point: int, data: Any = None
    ) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), size, kind, 0
        if dtype != "float32" and scale:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(
        name: str, kind_of_options: str, options: Any, inputs: list[int], out: int
    ) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 4 if name == "FULLY_CONNECTED" else 2 if name == "SOFTMAX" else 1
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes), inputs, [out]
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind_of_options)
        made.builtinOptions = options
        model.operatorCodes.append(code)
        graph.operators.append(made)

    pixel = 1 / 255
    bias_kind = schema.TensorType.FLOAT32 if dtype == "float32" else schema.TensorType.INT32
    image = tensor("image", [1, *shape], kind, pixel, zero)
    flat = tensor("flat", [1, features], kind, pixel, zero)
    size = tensor("size", [2], schema.TensorType.INT32, 0, 0, np.array([1, features], np.int32))
    weight_zero = 128 if dtype == "uint8" else 0
    weight = tensor("weights", [classes, features], kind, 1 / 64, weight_zero, weights)
    bias = tensor("bias", [classes], bias_kind, pixel / 64, 0, biases)
    logits = tensor("logits", [1, classes], kind, 1 / 8, zero + 128 if zero else 128, None)
    scores = tensor("scores", [1, classes], kind, _STEP, zero)
    reshape, softmax = schema.ReshapeOptionsT(), schema.SoftmaxOptionsT()
    reshape.newShape, softmax.beta = [1, features], 1.0
    operator("RESHAPE", "ReshapeOptions", reshape, [image, size], flat)
    dense = schema.FullyConnectedOptionsT()
    operator("FULLY_CONNECTED", "FullyConnectedOptions", dense, [flat, weight, bias], logits)
    operator("SOFTMAX", "SoftmaxOptions", softmax, [logits], scores)
    graph.inputs, graph.outputs = [image], [scores]
    return model


def _weights(
    classes: int, features: int, random: np.random.Generator, dtype: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights (classes, features) and zero biases (classes,) as the file stores them."""
    if dtype == "float32":
        scale = 4 / np.sqrt(features)
        return (
            random.normal(0, scale, (classes, features)).astype(np.float32),
            np.zeros(classes, np.float32),
        )
    steps = np.clip(random.normal(0, 256 / np.sqrt(features), (classes, features)), -127, 127)
    if dtype == "uint8":
        return (steps + 128).astype(np.uint8), np.zeros(classes, np.int32)
    return steps.astype(np.int8), np.zeros(classes, np.int32)


def _pack(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
