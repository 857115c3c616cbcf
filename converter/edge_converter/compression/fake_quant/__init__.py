"""Quantization-aware training for Keras 3: a trained model rewritten so that it computes as its
int8 model will, and learns under that.

TensorFlow and Keras are imported by the functions, not with the package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.tf.setup import load_tensorflow


def fake_quantized(
    model: Any, samples: NDArray[np.float32], *, dense_per_tensor: bool = False
) -> Any:
    """A functional Keras model with the weights of `model` (functional, one input) and fake
    quantization: batch norm folded, kernels on a symmetric 8-bit grid for each output channel,
    tensors on 8-bit grids. The outputs of a last softmax or sigmoid are left as they are.

    samples: fed values (n, *input shape); what they span is the input's range for good and every
    other tensor's to start from. dense_per_tensor: one grid for the whole kernel of a dense layer.
    Raises ConfigError for a layer that has no rule.
    """
    load_tensorflow()
    from edge_converter.compression.fake_quant.insertion import inserted
    from edge_converter.compression.fake_quant.plain import plain

    return inserted(plain(model), samples, dense_per_tensor=dense_per_tensor)


def check_layers(model: Any) -> None:
    """Raises ConfigError for a layer that `fake_quantized` has no rule for."""
    load_tensorflow()
    from edge_converter.compression.fake_quant.plain import plain

    plain(model)


def is_fake_quantized(model: Any) -> bool:
    """True for a model that `fake_quantized` made."""
    from edge_converter.compression.fake_quant.layers import FakeQuant

    return any(isinstance(layer, FakeQuant) for layer in model.layers)


def to_int8(model: Any, io: str) -> bytes:
    """The .tflite of a fake-quantized model: int8 throughout, its inputs and outputs of type `io`
    ("int8", "uint8" or "float32").
    """
    from edge_converter.compression.fake_quant.export import int8_model

    return int8_model(model, io)
