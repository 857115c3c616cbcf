"""The Keras layer that an operator of a .tflite file comes from.

The converter names a tensor after the scopes of what it was made of, joined where operations were
fused: "net_1/relu_1/Relu6;net_1/conv_1/convolution". TensorFlow numbers scopes, so that "conv_1"
may be a layer of that name, or the first call of "conv". So models are converted from a clone whose
layers' names end in a mark: what stands before it is the name, what follows is TensorFlow's.
"""

from __future__ import annotations

import re
from typing import Any

from edge_converter.tf.concrete_function import MARK
from edge_converter.weights.layer_weights import flat_layers
from edge_sdk.tflite.graph import Graph

_SCOPE = re.compile(rf"(.+){MARK}(?:_\d+)?")


def operator_layers(graph: Graph, model: Any) -> list[tuple[str, ...]]:
    """The Keras layers that each operator of `graph` is made of, the one that has a kernel first.
    An operator of no layer (keras.ops) has the name of its TensorFlow operation.

    model: the marked clone that the graph was converted from, with one output.
    """
    kernels = {_plain(layer.name) for layer in flat_layers(model) if hasattr(layer, "kernel")}
    last = _plain(model.outputs[0]._keras_history.operation.name)
    found = []
    for operator in graph.operators:
        tensor = graph.tensors[operator.outputs[0]].name if operator.outputs else ""
        names = layers_of(tensor)
        if not names:  # the model's output is called after the function, not after its layer
            names = (last,) if tensor.startswith("Identity") else (tensor.rpartition("/")[2],)
        found.append(tuple(sorted(names, key=lambda name: name not in kernels)))
    return found


def layers_of(tensor: str) -> tuple[str, ...]:
    """The layers in the name of a tensor, in order, each once."""
    scopes = (scope for path in tensor.split(";") for scope in path.split("/"))
    found = (match[1] for scope in scopes if (match := _SCOPE.fullmatch(scope)))
    return tuple(dict.fromkeys(found))


def _plain(name: str) -> str:
    return name.removesuffix(MARK)
