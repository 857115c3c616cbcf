"""Keras layers that compute as an int8 model does: tensors and kernels on a grid of 8 bits.

They are registered with Keras, so that a saved model can be loaded in any process that has imported
this module. It imports TensorFlow: import it inside functions.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

PACKAGE = "edge_sdk"

MIN_SHARE = 1e-3
"""A channel's kernel has at least this share of the widest channel's range. What is below adds less
than a quarter step to the outputs; its own scale could be so small that the bias, an int32 in units
of it, overflows.
"""


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuant(keras.layers.Layer):  # type: ignore[misc]
    """Rounds a tensor to the 256 values of int8 over a range with 0 in it; the gradient passes
    straight through inside the range.

    The range starts as it was measured (`set_range`) and is learned, unless it is `fixed`: each
    bound times the exponential of a weight that starts at 0. A step of training thus moves it by a
    share of itself, whatever its unit, and a bound at 0 stays there.
    """

    def __init__(self, fixed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fixed = fixed

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "fixed": self.fixed}

    def build(self, shape: Any) -> None:
        """The range as it was measured, and what was learned about it."""
        self.measured = self.add_weight((2,), "zeros", trainable=False, name="measured")
        self.growth = self.add_weight((2,), "zeros", trainable=not self.fixed, name="growth")

    def set_range(self, low: float, high: float) -> None:
        """Start from [low, high], widened to hold 0. What was always 0 gets a range of 1."""
        low, high = min(low, 0.0), max(high, 0.0)
        self.measured.assign([low, high if high > low else 1.0])

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """float32 of any shape to the same shape, and the step between two values."""
        low, high = tf.unstack(self.measured * tf.exp(self.growth))
        found = tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)
        return found, (high - low) / 255

    def compute_output_spec(self, inputs: Any) -> Any:
        """As the input, and a number."""
        return keras.KerasTensor(inputs.shape, inputs.dtype), keras.KerasTensor(())


class _KernelLayer:
    """A layer with a bias and without an activation that is told the step of its inputs."""

    def build(self, inputs_shape: Any, step_shape: Any) -> None:
        """As without the step."""
        super().build(inputs_shape)  # type: ignore[misc]

    def compute_output_shape(self, inputs_shape: Any, step_shape: Any = ()) -> Any:
        """As without the step."""
        return super().compute_output_shape(inputs_shape)  # type: ignore[misc]


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantConv2D(_KernelLayer, keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution whose kernel is on a grid for each output channel."""

    def call(self, inputs: Any, step: Any) -> Any:
        """(batch, height, width, n) to (batch, height', width', filters)."""
        kernel, steps = on_grid(self.kernel)
        return self.convolution_op(inputs, kernel) + in_steps(self.bias, step * steps)


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantDepthwiseConv2D(_KernelLayer, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """A depthwise convolution whose kernel is on a grid for each output channel."""

    def call(self, inputs: Any, step: Any) -> Any:
        """(batch, height, width, channels) to (batch, height', width', channels * multiplier)."""
        height, width, channels, multiplier = self.kernel.shape
        flat = tf.reshape(self.kernel, (height, width, 1, channels * multiplier))
        kernel, steps = on_grid(flat)
        found = keras.ops.depthwise_conv(
            inputs,
            tf.reshape(kernel, self.kernel.shape),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
        )
        return found + in_steps(self.bias, step * steps)


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantDense(_KernelLayer, keras.layers.Dense):  # type: ignore[misc]
    """A dense layer whose kernel is on a grid for each output, or with `per_tensor` on one."""

    def __init__(self, units: int, per_tensor: bool = False, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.per_tensor = per_tensor

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "per_tensor": self.per_tensor}

    def call(self, inputs: Any, step: Any) -> Any:
        """(..., n) to (..., units)."""
        kernel, steps = on_grid(self.kernel, per_tensor=self.per_tensor)
        return keras.ops.matmul(inputs, kernel) + in_steps(self.bias, step * steps)


def on_grid(kernel: Any, *, per_tensor: bool = False) -> tuple[Any, Any]:
    """The kernel rounded to 255 values symmetric to 0, for each index of its last axis, and the
    step between them: [outputs], or a number.
    """
    kernel = tf.convert_to_tensor(kernel)
    widest = tf.reduce_max(tf.abs(kernel))
    widest = tf.where(widest > 0, widest, 1.0)
    fake_quant = tf.quantization.fake_quant_with_min_max_vars
    if not per_tensor:
        fake_quant = tf.quantization.fake_quant_with_min_max_vars_per_channel
        each = tf.reduce_max(tf.abs(kernel), axis=list(range(len(kernel.shape) - 1)))
        widest = tf.maximum(each, MIN_SHARE * widest)
    return fake_quant(kernel, -widest, widest, narrow_range=True), widest / 127


def in_steps(bias: Any, step: Any) -> Any:
    """The bias in whole steps, the gradient straight through: an int8 model has it as an int32."""
    bias = tf.convert_to_tensor(bias)
    return bias + tf.stop_gradient(tf.round(bias / step) * step - bias)
