"""From a fake-quantized Keras model to an int8 .tflite: no samples are needed, the ranges are in
the graph.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_converter.compression.fake_quant.layers import FakeQuantDense, on_grid
from edge_converter.tf.concrete_function import batch_of_one, frozen

KINDS = {"int8": tf.int8, "uint8": tf.uint8, "float32": tf.float32}


def int8_model(model: Any, io: str) -> bytes:
    """The model as .tflite bytes, its inputs and outputs of type `io`."""
    function = frozen(batch_of_one(_with_plain_dense(model)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = KINDS[io]
    result: bytes = converter.convert()
    return result


def _with_plain_dense(model: Any) -> Any:
    """A clone whose dense layers have a grid for each output without saying so.

    The converter transposes a dense kernel and fails on one that is fake-quantized for each output.
    One that is already on such a grid it puts on the same again.
    """

    def plain(layer: Any) -> Any:
        config = layer.get_config()
        if _is_dense(layer):
            config.pop("per_tensor")
            return keras.layers.Dense.from_config(config)
        return type(layer).from_config(config)

    def called(layer: Any, inputs: Any, *more: Any, **kwargs: Any) -> Any:
        more = () if type(layer) is keras.layers.Dense else more  # the step
        return layer(inputs, *more, **kwargs)

    clone = keras.models.clone_model(model, clone_function=plain, call_function=called)
    for old, new in zip(model.layers, clone.layers, strict=True):
        weights = old.get_weights()
        if _is_dense(old):
            weights = [on_grid(weights[0])[0].numpy(), _not_all_alike(weights[1])]
        new.set_weights(weights)
    return clone


def _not_all_alike(bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """The bias, one value of it moved by a rounding error where it is a single value throughout:
    of such a constant TensorFlow keeps one number, and rounds it in the step of the first output.
    """
    if len(bias) > 1 and np.ptp(bias) == 0:
        bias[-1] = np.nextafter(bias[-1], np.float32(np.inf))
    return bias


def _is_dense(layer: Any) -> bool:
    return isinstance(layer, FakeQuantDense) and not layer.per_tensor
