"""The only reader of .tflite files: operators, tensors, quantization, multiply-accumulates.

Nothing here runs a model. Every offset is checked before it is followed, because the file may be
anybody's: a vector that claims more elements than the file has bytes is an error, not a long loop,
and so are small vectors that many tables share, once all that was read is larger than the file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edge_sdk.errors import ModelError
from edge_sdk.tensors import QuantParams, TensorSpec

_MAX_DIMENSIONS = 32  # interpreters stop at 8
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclass(frozen=True)
class Tensor:
    """A tensor as the file describes it. `signature` has -1 where a size is left open.

    scales, zero_points: one value, one for each slice along `axis`, or none. constant_at: where in
    the file the stored values claim to begin, in bytes.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    constant_bytes: int
    constant_at: int = 0

    @property
    def is_constant(self) -> bool:
        """True for weights and other values stored in the file."""
        return self.constant_bytes > 0

    @property
    def spec(self) -> TensorSpec:
        """The tensor as an engine would describe it."""
        one = len(self.scales) == 1
        zero_point = self.zero_points[0] if self.zero_points else 0
        quant = QuantParams(self.scales[0], zero_point) if one else None
        return TensorSpec(self.name, self.shape, self.dtype, quant)


@dataclass(frozen=True)
class Operator:
    """One operator of the main subgraph; inputs are tensor numbers, -1 for one left out.

    activation: what a convolution or fully connected layer ends in: "NONE", "RELU", "RELU6", …
    custom: the options of a custom operator, as its author laid them out.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "NONE"
    custom: bytes = b""


@dataclass(frozen=True)
class Graph:
    """The main subgraph of a model, and what the file carries beside it."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int
    metadata: dict[str, bytes]

    @property
    def input_specs(self) -> tuple[TensorSpec, ...]:
        """The inputs, in order."""
        return tuple(self.tensors[i].spec for i in self.inputs)

    @property
    def output_specs(self) -> tuple[TensorSpec, ...]:
        """The outputs, in order."""
        return tuple(self.tensors[i].spec for i in self.outputs)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference: convolutions and fully connected layers."""
        return sum(self._operator_macs(operator) for operator in self.operators)

    @cached_property
    def precision(self) -> str:
        """That of weights and activations, whatever the inputs and outputs are: "float32",
        "float16" (weights), "dynamic" (int8 weights, float activations), "int8", "uint8",
        "int16x8", "int4" (weights), or "mixed".
        """
        kinds = {self._kind(o) for o in self.operators if o.name in _WEIGHTED}
        if not kinds:
            kinds = {self.tensors[i].dtype for i in self.inputs}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def left_in_float(self) -> tuple[str, ...]:
        """Kinds of operators that compute with float numbers, sorted: for a quantized model."""
        found = {
            operator.name
            for operator in self.operators
            if operator.name not in ("QUANTIZE", "DEQUANTIZE")
            and any(self.tensors[number].dtype == "float32" for number in operator.outputs)
        }
        return tuple(sorted(found))

    def _kind(self, operator: Operator) -> str:
        # TRANSPOSE_CONV takes its output's shape first and the image last.
        data = operator.inputs[2 if operator.name == "TRANSPOSE_CONV" else 0]
        weights = self.source(operator.inputs[1]).dtype
        activations = self.tensors[data].dtype
        return {
            ("float32", "float32"): "float32",
            ("float32", "float16"): "float16",
            ("float32", "int8"): "dynamic",
            ("int8", "int8"): "int8",
            ("uint8", "uint8"): "uint8",
            ("int16", "int8"): "int16x8",
            ("float32", "int4"): "int4",
            ("int8", "int4"): "int4",
        }.get((activations, weights), "mixed")

    def source(self, tensor: int) -> Tensor:
        """That tensor as it is stored: float16 weights pass through a DEQUANTIZE."""
        return self.tensors[self._dequantized.get(tensor, tensor)]

    @cached_property
    def _dequantized(self) -> dict[int, int]:
        """{output: input} of each DEQUANTIZE."""
        passed = [o for o in self.operators if o.name == "DEQUANTIZE"]
        return {output: o.inputs[0] for o in passed for output in o.outputs}

    def _operator_macs(self, operator: Operator) -> int:
        """Source: the direct definition of each layer, one multiply-add for each weight used."""
        if operator.name not in _WEIGHTED:
            return 0
        weights = self.tensors[operator.inputs[1]].shape
        output = self.tensors[operator.outputs[0]].shape
        if operator.name == "CONV_2D":  # weights: out, height, width, in
            return math.prod(output) * math.prod(weights[1:])
        if operator.name == "DEPTHWISE_CONV_2D":  # weights: 1, height, width, out
            return math.prod(output) * math.prod(weights[1:3])
        if operator.name == "FULLY_CONNECTED":  # weights: out, in
            return math.prod(output) * weights[-1]
        return math.prod(self.tensors[operator.inputs[2]].shape) * math.prod(weights[:3])


def read_graph(model: bytes) -> Graph:
    """The graph in the bytes of a .tflite file. Raises ModelError where it is none or damaged."""
    if model[4:8] != b"TFL3":
        raise ModelError("not a TensorFlow Lite model", fix="name a .tflite file")
    try:
        return _read(model)
    except (IndexError, ValueError, TypeError, struct.error, KeyError, AttributeError) as error:
        raise ModelError(
            f"damaged TensorFlow Lite model: {' '.join(str(error).split())}",
            fix="get the file again, or convert it again",
        ) from error


def _read(model: bytes) -> Graph:
    import ai_edge_litert.schema_py_generated as schema

    root = schema.Model.GetRootAs(model, 0)
    limit = unread = len(model)

    def spend(size: int) -> None:
        """Count what is read, in elements and letters: a file holds no more than it has bytes."""
        nonlocal unread
        unread -= size
        if unread < 0:
            raise ValueError(f"lists of more than {limit} elements in a file of {limit} bytes")

    def items(length: int, item: Callable[[int], Any]) -> list[Any]:
        if not 0 <= length <= limit:
            raise ValueError(f"a list of {length} elements in a file of {limit} bytes")
        spend(length)
        return [item(i) for i in range(length)]

    def numbers(table: Any, name: str) -> tuple[Any, ...]:
        values = getattr(table, name + "AsNumpy")()  # 0 where the vector is absent
        if isinstance(values, int):
            return ()
        spend(values.size)
        return tuple(values.tolist())

    def text(value: bytes | None) -> str:
        spend(len(value or b""))
        return value.decode("utf-8", "replace") if value else ""

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    dtypes = {v: k.lower() for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
    activations = {
        v: k for k, v in vars(schema.ActivationFunctionType).items() if not k.startswith("_")
    }
    fused = {
        "CONV_2D": schema.Conv2DOptions,
        "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptions,
        "FULLY_CONNECTED": schema.FullyConnectedOptions,
    }
    buffers = items(root.BuffersLength(), root.Buffers)

    def code(entry: Any) -> tuple[str, int]:
        number = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        custom = entry.CustomCode()
        name = names.get(number, f"OP_{number}")
        if name == "CUSTOM" and custom is not None:
            name = f"CUSTOM({text(custom)})"
        return name, entry.Version()

    def tensor(entry: Any) -> Tensor:
        quant = entry.Quantization()
        shape = numbers(entry, "Shape")
        if len(shape) > _MAX_DIMENSIONS:
            raise ValueError(f"a tensor of {len(shape)} dimensions")
        # Some writers leave the list of buffers out altogether; interpreters accept that.
        buffer = buffers[entry.Buffer()] if buffers else None
        return Tensor(
            name=text(entry.Name()),
            shape=shape,
            signature=numbers(entry, "ShapeSignature") or shape,
            dtype=dtypes[entry.Type()],
            scales=numbers(quant, "Scale") if quant else (),
            zero_points=numbers(quant, "ZeroPoint") if quant else (),
            axis=quant.QuantizedDimension() if quant else 0,
            constant_bytes=max(buffer.DataLength(), buffer.Size()) if buffer else 0,
            constant_at=_begin(buffer) if buffer else 0,
        )

    def activation(name: str, entry: Any) -> str:
        found = entry.BuiltinOptions()
        if name not in fused or found is None:
            return "NONE"
        options = fused[name]()
        options.Init(found.Bytes, found.Pos)
        ends_in: str = activations[options.FusedActivationFunction()]
        return ends_in

    def operator(index: int, entry: Any) -> Operator:
        name, version = codes[entry.OpcodeIndex()]
        used = numbers(entry, "Inputs"), numbers(entry, "Outputs")
        custom = bytes(numbers(entry, "CustomOptions"))
        return Operator(index, name, version, *used, activation(name, entry), custom)

    codes = [code(c) for c in items(root.OperatorCodesLength(), root.OperatorCodes)]
    subgraphs = items(root.SubgraphsLength(), root.Subgraphs)
    if not subgraphs:
        raise ValueError("it has no subgraph")
    main = subgraphs[0]
    tensors = tuple(tensor(t) for t in items(main.TensorsLength(), main.Tensors))
    operators = tuple(
        operator(i, entry) for i, entry in enumerate(items(main.OperatorsLength(), main.Operators))
    )
    inputs, outputs = numbers(main, "Inputs"), numbers(main, "Outputs")
    used = [*inputs, *outputs, *(t for o in operators for t in (*o.inputs, *o.outputs) if t != -1)]
    if not all(0 <= t < len(tensors) for t in used):
        raise ValueError("an operator names a tensor that does not exist")
    metadata = {}
    for entry in items(root.MetadataLength(), root.Metadata):
        buffer = buffers[entry.Buffer()]
        if buffer.DataLength():
            spend(buffer.DataLength())
            metadata[text(entry.Name())] = buffer.DataAsNumpy().tobytes()
    graph = Graph(tensors, operators, inputs, outputs, len(subgraphs), metadata)
    _ = graph.macs, graph.precision  # a layer without its weights shows itself here
    return graph


def _begin(buffer: Any) -> int:
    """The position of a buffer's bytes: inside the table, or in a large file behind it."""
    inside = buffer._tab.Offset(4)
    return int(buffer._tab.Vector(inside) if inside else buffer.Offset())
