"""TensorFlow's own interpreter, for the looks inside a model that engines do not offer."""

from __future__ import annotations

import warnings
from typing import Any


def interpreter(model: bytes) -> Any:
    """A tf.lite.Interpreter whose every tensor can be read after `invoke`: plain kernels, no
    delegate, operators of TensorFlow's debugging included.
    """
    import tensorflow as tf
    from tensorflow.lite.python.interpreter import OpResolverType

    with warnings.catch_warnings():
        # That it moved to ai_edge_litert: that one lacks NumericVerify.
        warnings.simplefilter("ignore")
        runner = tf.lite.Interpreter(
            model_content=model,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    runner.allocate_tensors()
    return runner
