"""The numbers stored in a .tflite file: weights and biases as the real numbers they stand for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ModelError
from edge_sdk.tflite.graph import Graph, Operator, Tensor

_STORED = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("float16", "float32", "float64", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
}


def constant_inputs(
    model: bytes, graph: Graph, operator: Operator
) -> tuple[NDArray[Any] | None, ...]:
    """The inputs of an operator in order, as `constant_values` gives them; None for an input that
    is computed or left out. float16 weights that pass through a DEQUANTIZE count as stored.

    model: the file's bytes; graph: `read_graph` of them. Raises ModelError.
    """
    sources = (graph.source(number) if number >= 0 else None for number in operator.inputs)
    return tuple(
        constant_values(model, tensor) if tensor is not None and tensor.is_constant else None
        for tensor in sources
    )


def constant_values(model: bytes, tensor: Tensor) -> NDArray[Any]:
    """The stored values of a constant tensor, in its shape. Quantized and floating-point ones as
    float32, `real = scale * (stored - zero_point)` per tensor or per slice along its axis; other
    integers (shapes, axes) and truth values as they are stored, 64 bits included.

    Raises ModelError where the file does not hold what the tensor claims.
    """
    stored = _stored(model, tensor)
    if np.issubdtype(stored.dtype, np.floating):
        return stored.astype(np.float32)
    if not tensor.scales or stored.dtype == np.bool_:
        return stored
    scales = _along_axis(tensor, np.array(tensor.scales, np.float64))
    zero_points = _along_axis(tensor, np.array(tensor.zero_points or (0,), np.int64))
    # Subtracted in float64: exact for 8, 16 and 32 bits; 64-bit biases stay far below 2^53.
    real: NDArray[np.float32] = ((stored.astype(np.float64) - zero_points) * scales).astype(
        np.float32
    )
    return real


def _stored(model: bytes, tensor: Tensor) -> NDArray[Any]:
    """The constant as the file stores it, after all that the file claims was checked."""
    if tensor.dtype not in _STORED:
        raise ModelError(
            f"the constant {tensor.name} is stored as {tensor.dtype}",
            fix="name a file with float or 8-bit weights",
        )
    dtype = _STORED[tensor.dtype]
    count = math.prod(tensor.shape)
    # constant_at is 0 or 1 where the file gives no place: nothing is stored before the table.
    inside = 8 <= tensor.constant_at <= len(model) - tensor.constant_bytes
    if min(tensor.shape, default=0) < 0 or count * dtype.itemsize != tensor.constant_bytes:
        raise _damaged(
            f"{tensor.name} {list(tensor.shape)} of {tensor.dtype} has {tensor.constant_bytes} "
            "bytes"
        )
    if not inside:
        raise _damaged(f"the values of {tensor.name} lie outside the file")
    values = np.frombuffer(model, dtype, count, tensor.constant_at)
    return values.reshape(tensor.shape)


def _along_axis(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """One value for all, or one for each slice along the axis, ready to broadcast."""
    if len(values) == 1:
        return values.reshape(())
    shape = [1] * len(tensor.shape)
    if not 0 <= tensor.axis < len(shape) or len(values) != tensor.shape[tensor.axis]:
        raise _damaged(
            f"{tensor.name} {list(tensor.shape)} has {len(values)} scales or zero points along "
            f"axis {tensor.axis}"
        )
    shape[tensor.axis] = len(values)
    return values.reshape(shape)


def _damaged(what: str) -> ModelError:
    return ModelError(
        f"damaged TensorFlow Lite model: {what}", fix="get the file again, or convert it again"
    )
