"""A Keras model as TensorFlow's converter takes it: a batch of one, weights as constants."""

from __future__ import annotations

from typing import Any

MARK = "-"
"""Ends the name of each layer of a `batch_of_one`: see quantize/layer_names.py."""


def batch_of_one(model: Any) -> Any:
    """A clone with a fixed batch of 1, the same input names, and its layers' names marked: with an
    open batch the converter writes SHAPE, STRIDED_SLICE and PACK into the graph.
    """
    import keras

    def single(tensor: Any) -> Any:
        return keras.Input(batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)

    inputs = keras.tree.map_structure(single, _inputs(model))
    clone = keras.models.clone_model(
        model, input_tensors=inputs, clone_function=_marked, recursive=True
    )
    clone.set_weights(model.get_weights())
    return clone


def frozen(model: Any) -> Any:
    """The model as a TensorFlow function with its weights for constants.

    from_keras_model goes through a SavedModel, which took 12 of 14 s for EfficientNet-B0 and gives
    the same operators and outputs. Without the freezing a Keras 3 model's variables stay behind,
    and what is converted answers NaN.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    given = _inputs(model)
    tensors = keras.tree.flatten(given)
    specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in tensors]

    def answer(*values: Any) -> Any:
        return model(keras.tree.pack_sequence_as(given, values), training=False)

    function = tf.function(answer, input_signature=specs).get_concrete_function()
    return convert_variables_to_constants_v2(function, lower_control_flow=False)


def _marked(layer: Any) -> Any:
    """A new layer like `layer`, its name marked: for keras.models.clone_model."""
    return type(layer).from_config({**layer.get_config(), "name": layer.name + MARK})


def _inputs(model: Any) -> Any:
    """A model's input tensors. A Sequential model has no `input` before it was called; others may
    have a structure of them.
    """
    import keras

    return model.inputs if isinstance(model, keras.Sequential) else model.input
