"""Activations as layers: ReLU, or an Activation that int8 has a kernel for."""

from __future__ import annotations

from typing import Any

from edge_converter.compression.fake_quant.keras_graph import refusal
from edge_converter.compression.fake_quant.writer import Writer

OPERATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Silu": "silu",
    "HardSilu": "hard_silu",
    "HardSigmoid": "hard_sigmoid",
}
"""Keras' operations that are activations: the name of the function that each is."""

KERNELS = ("softmax", "sigmoid", "tanh", "hard_silu")
"""Activations that are one int8 operator."""


def relu(writer: Writer, call: Any, x: Any) -> Any:
    """ReLU."""
    operation = call.operation
    if operation.threshold or operation.negative_slope:
        raise refusal(operation, "has a threshold or a slope below 0")
    return _rectified(writer, operation, operation.max_value, x)


def softmax(writer: Writer, call: Any, x: Any) -> Any:
    """Softmax."""
    from keras import activations

    if call.operation.axis not in (-1, len(x.shape) - 1):
        raise refusal(call.operation, "is not over the last axis")
    return activated(writer, call.operation, activations.softmax, x)


def activation(writer: Writer, call: Any, x: Any) -> Any:
    """Activation."""
    return activated(writer, call.operation, call.operation.activation, x)


def operation(writer: Writer, call: Any, x: Any) -> Any:
    """The functions of OPERATIONS."""
    from keras import activations

    function = getattr(activations, OPERATIONS[type(call.operation).__name__])
    return activated(writer, call.operation, function, x)


def activated(writer: Writer, operation: Any, function: Any, x: Any) -> Any:
    """`x` through one of Keras' activation functions, the one that `operation` has or is."""
    from keras import activations, layers

    name = activations.serialize(function)
    if name == "linear":
        return x
    if name in ("relu", "relu6"):
        return _rectified(writer, operation, 6.0 if name == "relu6" else None, x)
    if name == "silu":
        gate = activated(writer, operation, activations.sigmoid, x)
        return layers.Multiply(name=writer.name(f"{operation.name}_product"))([x, gate])
    if name == "hard_sigmoid":
        return _rectified(writer, operation, 6.0, x + 3.0) * (1 / 6)
    if name not in KERNELS:
        raise refusal(operation, f"has the activation {name!r}, for which there is no rule")
    return layers.Activation(name, name=writer.name(f"{operation.name}_{name}"))(x)


def _rectified(writer: Writer, operation: Any, most: float | None, x: Any) -> Any:
    from keras import layers

    if most not in (None, 6):
        raise refusal(operation, f"ends at {most:g}; int8 operators end in relu or relu6")
    return layers.ReLU(most, name=writer.name(f"{operation.name}_relu"))(x)
