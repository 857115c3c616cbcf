"""A plain model with its kernels and tensors on grids of 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.compression.fake_quant.grids import KEEPING, Grids, measure
from edge_converter.compression.fake_quant.keras_graph import rebuilt, refusal
from edge_converter.compression.fake_quant.layers import (
    FakeQuantConv2D,
    FakeQuantDense,
    FakeQuantDepthwiseConv2D,
)

FAKE_QUANT: dict[str, Any] = {
    "Conv2D": FakeQuantConv2D,
    "DepthwiseConv2D": FakeQuantDepthwiseConv2D,
    "Dense": FakeQuantDense,
}


def inserted(model: Any, samples: NDArray[np.float32], *, dense_per_tensor: bool) -> Any:
    """The plain model with fake quantization, its ranges those of the samples."""
    grids = Grids(model)
    made: dict[int, Any] = {}  # a layer that is called twice stays one

    def rule(call: Any, *args: Any, **kwargs: Any) -> Any:
        operation, kind = call.operation, type(call.operation).__name__
        if kind == "Concatenate":
            args = (_brought(call, args[0], grids), *args[1:])
        if id(operation) not in made:
            made[id(operation)] = _copy(operation, dense_per_tensor)
        layer = made[id(operation)]
        if kind in FAKE_QUANT:
            found = layer(args[0], grids.step(call.input_tensors[0]))
            layer.set_weights(operation.get_weights())
        else:
            found = layer(*args, **kwargs)
        return found if kind in KEEPING else grids.put(call.outputs[0], found)

    result = rebuilt(model, rule, grids.put)
    measure(model, list(grids), samples)
    return result


def _brought(call: Any, parts: list[Any], grids: Grids) -> list[Any]:
    """The parts of a concatenation, all on its grid."""
    whole = call.outputs[0]

    def brought(old: Any, new: Any) -> Any:
        if grids.of(old) is grids.of(whole):
            return new
        if len(new.shape) != 4:
            raise refusal(call.operation, "joins what has a range of its own: an input or a gate")
        # From grid to grid without an operator between them the converter goes through float32.
        channels = new.shape[-1]
        same = FakeQuantDepthwiseConv2D(
            1, trainable=False, name=f"{call.operation.name}_{old.name}"
        )
        found = same(new, grids.step(old))
        same.set_weights([np.ones((1, 1, channels, 1)), np.zeros(channels)])
        return grids.put(whole, found)

    return [brought(*pair) for pair in zip(call.input_tensors, parts, strict=True)]


def _copy(operation: Any, dense_per_tensor: bool) -> Any:
    """The same layer or operation, with a kernel on its grid where it has one."""
    kind, config = type(operation).__name__, operation.get_config()
    if kind == "Dense":
        config["per_tensor"] = dense_per_tensor
    return FAKE_QUANT.get(kind, type(operation)).from_config(config)
