"""The nets of keras.applications, by their functions, layer names and weights' shapes.

Each is built flat on the tensor it is given, down to the global average of its last features. What
they do to images before their first convolution is left out: the recipe's [input] does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_converter.recipe.schema import Options

MOMENTUM = 0.9
"""Of every batch normalisation. Keras' 0.999 and 0.99 are for ImageNet's millions of steps: after
the hundred steps that a few images make, the moving averages that inference uses would still be
those of the untrained net.
"""


def mobilenet_v1(image: Any, options: Options) -> Any:
    """Howard and others, arXiv:1704.04861. (batch, height, width, channels) to (batch, n)."""
    from keras.applications import MobileNet

    return _features(MobileNet, image, alpha=options.width)


def mobilenet_v2(image: Any, options: Options) -> Any:
    """Sandler and others, arXiv:1801.04381. (batch, height, width, channels) to (batch, n)."""
    from keras.applications import MobileNetV2

    return _features(MobileNetV2, image, alpha=options.width)


def mobilenet_v3_small(image: Any, options: Options) -> Any:
    """Howard and others, arXiv:1905.02244. (batch, height, width, channels) to (batch, 576)."""
    from keras.applications import MobileNetV3Small

    return _features(MobileNetV3Small, image, include_preprocessing=False)


def mobilenet_v3_small_minimalistic(image: Any, options: Options) -> Any:
    """mobilenet_v3_small with 3x3 kernels and relu alone, without squeeze-and-excite."""
    from keras.applications import MobileNetV3Small

    return _features(MobileNetV3Small, image, include_preprocessing=False, minimalistic=True)


def mobilenet_v3_large(image: Any, options: Options) -> Any:
    """Howard and others, arXiv:1905.02244. (batch, height, width, channels) to (batch, 960)."""
    from keras.applications import MobileNetV3Large

    return _features(MobileNetV3Large, image, include_preprocessing=False)


def mobilenet_v3_large_minimalistic(image: Any, options: Options) -> Any:
    """mobilenet_v3_large with 3x3 kernels and relu alone, without squeeze-and-excite."""
    from keras.applications import MobileNetV3Large

    return _features(MobileNetV3Large, image, include_preprocessing=False, minimalistic=True)


def efficientnet_b0(image: Any, options: Options) -> Any:
    """Tan and Le, arXiv:1905.11946. (batch, height, width, channels) to (batch, 1280).

    Keras' function starts with layers that rescale 0..255 and normalise, and has one of them only
    together with the ImageNet weights. Here the net starts behind them; what they do, the channels'
    mean and standard deviation over ImageNet, is what [input] must say with those weights.
    """
    import keras

    whole = keras.applications.EfficientNetB0(
        include_top=False, weights=None, pooling="avg", input_tensor=keras.Input(image.shape[1:])
    )
    net = keras.Model(whole.get_layer("stem_conv_pad").input, whole.output)
    return _short_memory(keras.models.clone_model(net, input_tensors=image)).output


def _features(application: Callable[..., Any], image: Any, **options: Any) -> Any:
    net = application(include_top=False, weights=None, pooling="avg", input_tensor=image, **options)
    return _short_memory(net).output


def _short_memory(net: Any) -> Any:
    import keras

    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    return net
