"""The loss of each layer to int8, measured on real samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.quantize.calibration import CalibratedModel
from edge_converter.quantize.layer_names import operator_layers
from edge_converter.quantize.tf_interpreter import interpreter
from edge_sdk.tensors import dequantize
from edge_sdk.tflite.graph import Graph, Operator, read_graph

_VERIFY = "CUSTOM(NumericVerify)"
_SAME_SCALE = (
    *("CONCATENATION", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    *("TRANSPOSE", "PAD", "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "SPLIT", "PACK", "UNPACK"),
    *("GATHER", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "RESIZE_BILINEAR"),
    *("RESIZE_NEAREST_NEIGHBOR", "MAXIMUM", "MINIMUM"),
)
"""Operators whose inputs and outputs must share one scale. Source: SameOperandsAndResultsScale in
TensorFlow Lite's quantization spec, tensorflow/compiler/mlir/lite/quantization."""


def layer_errors(
    calibrated: CalibratedModel, samples: NDArray[np.float32], float_layers: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """{name, op, sqnr_db, together} of each int8 operator that loses anything, worst first.

    sqnr_db: the signal-to-quantization-noise ratio of its output, 10 log10(sum x^2 / sum (q - x)^2)
    in dB over `samples` (n, *input); x is what the operator gives in float, q in int8, both fed the
    same. 6 dB are one bit. The mean over the channels (last axis): in the sum of all, one channel
    of large values would hide that the small ones are lost. together: the layers that have to be in
    float for this output not to be int8: those that give and read it, and through operators that
    keep the scale of what they pass on.

    Source: Lin, Talathi and Annapureddy, arXiv:1511.06393; for layers of MobileNet Sheng and
    others, arXiv:1803.08607.
    """
    model = calibrated.quantized("float32", float_layers, verify=True)
    graph = read_graph(model)
    layers = _named_alike(operator_layers(graph, calibrated.model), calibrated)
    givers = {t: o for o in graph.operators for t in o.outputs}
    checks = [o for o in graph.operators if o.name == _VERIFY]
    power = _powers(model, graph, checks, samples)
    found = []
    for check, (signal, error) in zip(checks, power, strict=True):
        if (ratio := _sqnr(signal, error)) is not None:
            giver = givers[check.inputs[0]]
            found.append(
                {
                    "name": layers[giver.index][0],
                    "op": giver.name,
                    "sqnr_db": ratio,
                    "together": _together(graph, layers, check.inputs[0]),
                }
            )
    return sorted(found, key=lambda one: float(one["sqnr_db"]))


def _named_alike(
    layers: list[tuple[str, ...]], calibrated: CalibratedModel
) -> list[tuple[str, ...]]:
    """With twins of an operator that is of no layer ("Reshape1") named like the operator."""
    known = {
        name for names in operator_layers(calibrated.graph, calibrated.model) for name in names
    }

    def named(name: str) -> str:
        plain = name.rstrip("0123456789")
        return name if name in known or plain not in known else plain

    return [tuple(map(named, names)) for names in layers]


def _powers(
    model: bytes, graph: Graph, checks: Sequence[Operator], samples: NDArray[np.float32]
) -> list[tuple[Any, Any]]:
    """Signal and error power of each channel, summed over the samples."""
    runner = interpreter(model)
    sums: list[tuple[Any, Any]] = [(0.0, 0.0)] * len(checks)
    for sample in samples:
        runner.set_tensor(graph.inputs[0], sample[None])
        runner.invoke()
        for number, check in enumerate(checks):
            stored, wanted = (runner.get_tensor(tensor) for tensor in check.inputs)
            given = dequantize(stored, graph.tensors[check.inputs[0]].spec)
            signal, error = sums[number]
            sums[number] = signal + _power(wanted), error + _power(given - wanted)
    return sums


def _power(values: NDArray[Any]) -> NDArray[np.float64]:
    channels = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    power: NDArray[np.float64] = np.square(channels, dtype=np.float64).sum(axis=0)
    return power


def _sqnr(signal: Any, error: Any) -> float | None:
    """In dB, the mean over the channels that carry a signal; None where nothing is lost."""
    used = (signal > 0) & (error > 0)
    if not used.any():
        return None
    return float(np.mean(10 * np.log10(signal[used] / error[used])))


def _together(graph: Graph, layers: Sequence[tuple[str, ...]], tensor: int) -> list[str]:
    """Names for float_layers, in the order of the graph."""
    passing, touching = {tensor}, set[int]()
    given = {t for o in graph.operators if o.name != "QUANTIZE" for t in o.outputs}
    while True:
        found = {o.index for o in graph.operators if _in_int8(graph, o) and passing & _data(o)}
        if found == touching:
            return list(dict.fromkeys(layers[index][0] for index in sorted(touching)))
        touching = found
        for index in touching:
            operator = graph.operators[index]
            if operator.name in _SAME_SCALE:
                passing |= {t for t in _data(operator) & given if graph.tensors[t].dtype == "int8"}


def _in_int8(graph: Graph, operator: Operator) -> bool:
    kinds = {graph.tensors[t].dtype for t in operator.outputs}
    return kinds == {"int8"} and operator.name not in (_VERIFY, "QUANTIZE")


def _data(operator: Operator) -> set[int]:
    return {t for t in (*operator.inputs, *operator.outputs) if t >= 0}
