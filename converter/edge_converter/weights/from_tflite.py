"""Weights out of a .tflite file, back into the Keras network that it was converted from.

A .tflite has no batch norm: it is folded into the convolution before it. So kernels are set as they
are stored, and the batch norm behind each becomes the addition of the folded bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.weights.layer_weights import flat_layers, set_layers, some
from edge_sdk.errors import ModelError
from edge_sdk.tflite.constants import constant_inputs
from edge_sdk.tflite.graph import Graph, Operator, read_graph

FAMILIES = ("mobilenet_v1", "mobilenet_v2")
"""Architectures whose weights can be read out of a .tflite file."""

_KINDS = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "FULLY_CONNECTED": "Dense",
}
_WITHOUT_WEIGHTS = {
    *("ADD", "PAD", "MEAN", "AVERAGE_POOL_2D", "RESHAPE", "SQUEEZE", "SOFTMAX"),
    *("QUANTIZE", "DEQUANTIZE"),
}
_BLOCK_V1 = ["DepthwiseConv2D", "Conv2D"]
_BLOCK_V2 = ["Conv2D", "DepthwiseConv2D", "Conv2D"]
_BACKBONES = {
    "mobilenet_v1": ["Conv2D", *13 * _BLOCK_V1],
    "mobilenet_v2": [*17 * _BLOCK_V2, "Conv2D"],
}
"""Layers with kernels in execution order. Source: Howard et al. 2017, table 1; Sandler et al. 2018,
table 2 (the first convolution stands in the place of the first block's expansion)."""
_WIDTHS = {"mobilenet_v1": (26, 1024), "mobilenet_v2": (50, 320)}
"""A layer that `width` scales without rounding, and its channels at width 1."""
_CLIP_TOLERANCE = 0.05
"""About two 8-bit steps of 0..6."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with a kernel as the file has it, in Keras's layout: Conv2D (height, width, in, out),
    DepthwiseConv2D (height, width, in, multiplier), Dense (in, out); bias (out,). Both float32.

    lowest, highest: what its output can be, by its activation and its quantization.
    """

    operator: Operator
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    lowest: float
    highest: float

    @property
    def kind(self) -> str:
        """The Keras class."""
        return _KINDS[self.operator.name]

    def __str__(self) -> str:
        return f"operator {self.operator.index} is a {self.kind} {list(self.kernel.shape)}"


@dataclass(frozen=True, eq=False)
class Place:
    """The place of some weights: a Keras layer, and the batch norm and ReLU6 behind it, if any."""

    layer: Any
    norm: Any = None
    clipped: bool = False


def load_tflite(blob: bytes, model: Any, *, origin: str, architecture: str) -> tuple[str, ...]:
    """Set the weights of `model`, a flat MobileNet v1 or v2 that ends in one Dense layer, from the
    bytes of a .tflite file, and return the names of the layers set: all of the backbone, and the
    Dense layer where the file answers with as many classes.

    origin, architecture: what the two are called in errors.
    Raises ModelError for a damaged file, operators that no MobileNet has, another architecture.
    """
    layers = read_layers(blob, origin)
    *places, head = _places(model)
    wrong = [
        difference
        for layer, place in zip(layers, places, strict=False)
        if (difference := _difference(layer, place))
    ]
    if not 0 <= len(layers) - len(places) <= 1:
        wrong.append(f"{len(layers)} layers with kernels, {len(places)} and a classifier wanted")
    if wrong:
        raise ModelError(
            f"{origin} holds {_describe(layers)}, which does not fit {architecture}: {some(wrong)}",
            fix=_fix(layers, places, architecture),
        )
    weights = [
        pair
        for layer, place in zip(layers, places, strict=False)
        for pair in _unfolded(layer, place)
    ]
    classifier = layers[len(places) :]
    wanted = tuple(head.layer.kernel.shape)
    if classifier and classifier[0].kernel.shape[-2:] == wanted:
        kernel = classifier[0].kernel.reshape(wanted)
        weights.append((head.layer, [kernel, classifier[0].bias]))
    return set_layers(weights, origin)


def read_layers(blob: bytes, origin: str) -> list[Layer]:
    """The layers with kernels of a .tflite file in execution order. Raises ModelError."""
    graph = read_graph(blob)
    found = []
    for operator in graph.operators:
        if operator.name in _KINDS:
            found.append(_layer(blob, graph, operator, origin))
        elif operator.name not in _WITHOUT_WEIGHTS:
            raise ModelError(
                f"{origin}: operator {operator.index} is {operator.name}, which no MobileNet has",
                fix="name a .tflite classifier of MobileNet v1 or v2 (not compiled for the Edge "
                "TPU), or weights as file:PATH.keras",
            )
    return found


def _layer(blob: bytes, graph: Graph, operator: Operator, origin: str) -> Layer:
    kernel, bias = (*constant_inputs(blob, graph, operator)[1:3], None)[:2]
    if kernel is None or kernel.ndim != (2 if operator.name == "FULLY_CONNECTED" else 4):
        raise ModelError(
            f"{origin}: operator {operator.index} {operator.name} has no kernel of its own",
            fix="name a .tflite classifier of MobileNet v1 or v2",
        )
    if operator.name == "CONV_2D":  # out, height, width, in
        kernel = kernel.transpose(1, 2, 3, 0)
    elif operator.name == "DEPTHWISE_CONV_2D":  # 1, height, width, in x multiplier
        channels = graph.tensors[operator.inputs[0]].shape[-1]
        kernel = kernel.reshape(*kernel.shape[1:3], channels, -1)
    else:  # out, in
        kernel = kernel.transpose()
    outputs = graph.tensors[operator.outputs[0]].shape[-1]
    bias = np.zeros(outputs, np.float32) if bias is None else bias
    return Layer(operator, kernel, bias, *_range(graph, operator))


def _range(graph: Graph, operator: Operator) -> tuple[float, float]:
    """The lowest and the highest value that can come out of an operator."""
    spec = graph.tensors[operator.outputs[0]].spec
    lowest, highest = -np.inf, np.inf
    if spec.quant is not None and spec.dtype in ("int8", "uint8"):
        steps = np.iinfo(spec.dtype)
        lowest = (steps.min - spec.quant.zero_point) * spec.quant.scale
        highest = (steps.max - spec.quant.zero_point) * spec.quant.scale
    if operator.activation in ("RELU", "RELU6"):
        lowest = max(lowest, 0.0)
    if operator.activation == "RELU6":
        highest = min(highest, 6.0)
    return float(lowest), float(highest)


def _places(model: Any) -> list[Place]:
    """The layers with kernels of a flat Keras model in order, each with what follows it."""
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    found: list[Place] = []
    for layer in flat_layers(model):
        if isinstance(layer, kinds):
            found.append(Place(layer))
        elif isinstance(layer, keras.layers.BatchNormalization):
            found[-1] = Place(found[-1].layer, layer)
        elif isinstance(layer, keras.layers.ReLU) and layer.max_value == 6:
            found[-1] = Place(found[-1].layer, found[-1].norm, clipped=True)
    return found


def _difference(layer: Layer, place: Place) -> str:
    """The difference of a layer of the file and its place; "" where there is none."""
    wanted = type(place.layer).__name__, tuple(place.layer.kernel.shape)
    if (layer.kind, layer.kernel.shape) != wanted:
        return f"{layer}, {place.layer.name} a {wanted[0]} {list(wanted[1])}"
    low, high = -_CLIP_TOLERANCE, 6 + _CLIP_TOLERANCE
    if place.clipped and not low <= layer.lowest <= layer.highest <= high:
        return (
            f"the output of operator {layer.operator.index} lies in {layer.lowest:.3g} to "
            f"{layer.highest:.3g}, that of {place.layer.name} in 0 to 6 (ReLU6)"
        )
    if not place.clipped and layer.operator.activation != "NONE":
        return f"operator {layer.operator.index} ends in {layer.operator.activation}"
    return ""


def _unfolded(layer: Layer, place: Place) -> list[tuple[Any, list[Any]]]:
    """The weights of a convolution, and of its batch norm, which only adds the bias."""
    ones, zeros = np.ones_like(layer.bias), np.zeros_like(layer.bias)
    # gamma (x - mean) / sqrt(variance + epsilon) + beta = x + bias
    variance = ones - np.float32(place.norm.epsilon)
    norm = [ones, layer.bias, zeros, variance]
    return [(place.layer, [layer.kernel]), (place.norm, norm)]


def _family(layers: list[Layer]) -> str | None:
    kinds = [layer.kind for layer in layers]
    for family, wanted in _BACKBONES.items():
        if kinds[: len(wanted)] == wanted and len(kinds) <= len(wanted) + 1:
            return family
    return None


def _width(layers: list[Layer], family: str) -> float:
    place, channels = _WIDTHS[family]
    return float(layers[place].kernel.shape[-1] / channels)


def _describe(layers: list[Layer]) -> str:
    """The network that a file seems to hold, in words."""
    family = _family(layers)
    if family:
        return f"{family} with width {_width(layers, family):g}"
    depthwise = sum(layer.kind == "DepthwiseConv2D" for layer in layers)
    return f"a network of {len(layers)} layers with kernels, {depthwise} of them depthwise"


def _fix(layers: list[Layer], places: list[Place], architecture: str) -> str:
    family = _family(layers)
    if family is None:
        return f"name a .tflite of {architecture}"
    wanted = f"model.options.width = {_width(layers, family):g}"
    if family != architecture:
        return f'set model.name = "{family}" and {wanted}, or name a .tflite of {architecture}'
    telling, _ = _WIDTHS[family]
    if layers[telling].kernel.shape != places[telling].layer.kernel.shape:
        return f"set {wanted}, or name a .tflite of your width"
    return f"name a .tflite of {architecture} as it was published, with ReLU6"
