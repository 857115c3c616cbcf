"""Layers with weights, and what is folded into them: each becomes a layer with a bias and without
an activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_converter.compression.fake_quant.activations import activated
from edge_converter.compression.fake_quant.keras_graph import refusal
from edge_converter.compression.fake_quant.writer import Array, Writer

NORMALIZATION_EPSILON = 1e-7
"""Least standard deviation of a Normalization layer: keras.config.epsilon() by default."""


def convolution(writer: Writer, call: Any, x: Any) -> Any:
    """Conv2D."""
    return _same(writer, call.operation, x, call.operation.filters)


def depthwise(writer: Writer, call: Any, x: Any) -> Any:
    """DepthwiseConv2D."""
    return _same(writer, call.operation, x, call.operation.depth_multiplier * x.shape[-1])


def dense(writer: Writer, call: Any, x: Any) -> Any:
    """Dense."""
    return _same(writer, call.operation, x, call.operation.units)


def _same(writer: Writer, operation: Any, x: Any, units: int) -> Any:
    kernel, *rest = operation.get_weights()
    bias = rest[0] if rest else np.zeros(units, np.float32)
    layer = writer.copied(operation, activation=None, use_bias=True, trainable=True)
    found = writer.weighted(layer, x, kernel, bias)
    return activated(writer, operation, operation.activation, found)


def separable(writer: Writer, call: Any, x: Any) -> Any:
    """SeparableConv2D: a depthwise convolution, then one of 1x1."""
    from keras import layers

    operation = call.operation
    kernel, pointwise, *rest = operation.get_weights()
    first = layers.DepthwiseConv2D(
        operation.kernel_size,
        strides=operation.strides,
        padding=operation.padding,
        dilation_rate=operation.dilation_rate,
        depth_multiplier=operation.depth_multiplier,
        name=writer.name(f"{operation.name}_depthwise"),
    )
    second = layers.Conv2D(operation.filters, 1, name=writer.name(operation.name))
    x = writer.weighted(first, x, kernel, np.zeros(pointwise.shape[2], np.float32))
    bias = rest[0] if rest else np.zeros(operation.filters, np.float32)
    found = writer.weighted(second, x, pointwise, bias)
    return activated(writer, operation, operation.activation, found)


def batch_norm(writer: Writer, call: Any, x: Any) -> Any:
    """BatchNormalization, into the layer before it where that layer serves nothing else."""
    operation = call.operation
    axes = np.atleast_1d(operation.axis) % len(x.shape)
    if axes.tolist() != [len(x.shape) - 1]:
        raise refusal(operation, "does not normalise the last axis")
    scale, offset = _scale_and_offset(operation)
    layer = writer.foldable(call, x)
    if layer is None:
        return affine(writer, operation, x, scale, offset)
    kernel, bias = layer.get_weights()
    # A depthwise kernel is (height, width, channels, multiplier), every other (..., outputs).
    of_kernel = scale.reshape(kernel.shape[2:]) if hasattr(layer, "depth_multiplier") else scale
    layer.set_weights([kernel * of_kernel, bias * scale + offset])
    return x


def _scale_and_offset(batch_norm: Any) -> tuple[Array, Array]:
    """Of each channel, in inference."""
    mean, variance = np.asarray(batch_norm.moving_mean), np.asarray(batch_norm.moving_variance)
    scale = 1 / np.sqrt(variance + batch_norm.epsilon)
    if batch_norm.scale:
        scale = scale * np.asarray(batch_norm.gamma)
    offset = -mean * scale
    return scale, offset + np.asarray(batch_norm.beta) if batch_norm.center else offset


def rescaling(writer: Writer, call: Any, x: Any) -> Any:
    """Rescaling."""
    return affine(writer, call.operation, x, call.operation.scale, call.operation.offset)


def normalization(writer: Writer, call: Any, x: Any) -> Any:
    """Normalization."""
    operation = call.operation
    mean, variance = np.ravel(operation.mean), np.ravel(operation.variance)
    if mean.size not in (1, x.shape[-1]):
        raise refusal(operation, "does not normalise the last axis")
    deviation = np.maximum(np.sqrt(variance), NORMALIZATION_EPSILON)
    if operation.invert:
        return affine(writer, operation, x, deviation, mean)
    return affine(writer, operation, x, 1 / deviation, -mean / deviation)


def affine(writer: Writer, operation: Any, x: Any, scale: Any, offset: Any) -> Any:
    """x * scale + offset for each channel, as a 1x1 depthwise convolution: one operator, with an
    8-bit grid of its own for each channel.
    """
    from keras import layers

    shape = tuple(x.shape[1:])
    channels = shape[-1]
    kernel = np.broadcast_to(np.float32(scale), channels).reshape(1, 1, channels, 1)
    bias = np.broadcast_to(np.float32(offset), channels)
    layer = layers.DepthwiseConv2D(1, name=writer.name(operation.name))
    if len(shape) == 3:
        return writer.weighted(layer, x, kernel, bias)
    image = layers.Reshape((1, int(np.prod(shape[:-1], dtype=int)), channels))(x)
    return layers.Reshape(shape)(writer.weighted(layer, image, kernel, bias))
