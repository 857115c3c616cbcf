"""A Keras model written out in few kinds of layers, with the same outputs: nested models opened,
batch norm folded into the layer before it, activations as layers of their own, cells step by step.
"""

from __future__ import annotations

from typing import Any

from edge_converter.compression.fake_quant import activations, cells, weighted
from edge_converter.compression.fake_quant.keras_graph import is_keras, rebuilt, refusal, run, users
from edge_converter.compression.fake_quant.writer import Writer

COPIED = frozenset(
    {
        *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
        *("Flatten", "Reshape", "Permute", "ZeroPadding2D", "Cropping2D", "SpaceToDepth"),
        *("Dropout", "SpatialDropout2D", "GaussianNoise", "GetItem"),
        *("Add", "Subtract", "Multiply", "Concatenate"),
    }
)
"""Layers and operations of Keras that stay as they are."""

RULES = {
    "Conv2D": weighted.convolution,
    "DepthwiseConv2D": weighted.depthwise,
    "SeparableConv2D": weighted.separable,
    "Dense": weighted.dense,
    "BatchNormalization": weighted.batch_norm,
    "Rescaling": weighted.rescaling,
    "Normalization": weighted.normalization,
    "LSTM": cells.lstm,
    "GRU": cells.gru,
    "ReLU": activations.relu,
    "Softmax": activations.softmax,
    "Activation": activations.activation,
    **dict.fromkeys(activations.OPERATIONS, activations.operation),
}
"""The writer of each other kind, by the name of its class."""


def plain(model: Any) -> Any:
    """A functional model of convolutions, depthwise convolutions and dense layers (all with a bias
    and without an activation), ReLU, Activation, and what is in COPIED.

    Raises ConfigError for a layer that cannot be written so, by its name and class.
    """
    import keras

    # A copy: calling a layer again leaves its mark on the layer.
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    flat = rebuilt(copy, _opened)
    writer = Writer(users(flat))

    def written(call: Any, *args: Any, **kwargs: Any) -> Any:
        operation, kind = call.operation, type(call.operation).__name__
        if not is_keras(operation) or kind not in COPIED | RULES.keys():
            raise refusal(operation)
        if getattr(operation, "data_format", None) == "channels_first":
            raise refusal(operation, "has its channels first")
        if kind in COPIED:
            return writer.copied(operation)(*args, **kwargs)
        return RULES[kind](writer, call, args[0])

    return rebuilt(flat, written)


def _opened(call: Any, *args: Any, **kwargs: Any) -> Any:
    """Models inside the model become their layers; layers that do nothing go."""
    import keras

    operation = call.operation
    if isinstance(operation, keras.Model):
        if not (is_keras(operation) and operation.inputs):
            raise refusal(operation, "is a model that is not a graph of layers")
        return run(operation, keras.tree.flatten(args), _opened)
    linear = getattr(operation, "activation", None) is keras.activations.linear
    kind = type(operation).__name__
    if is_keras(operation) and (kind == "Identity" or (kind == "Activation" and linear)):
        return args[0]
    return operation(*args, **kwargs)
