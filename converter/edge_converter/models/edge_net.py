"""edge_net: a small family of our own, of operators that are fast in int8 on Arm and that the Edge
TPU has: convolution, depthwise convolution, relu6, add, mean, dense.

A stem, then four stages of depthwise-separable blocks. The image is halved while its smaller side
stays at least MIN_MAP: at 28 x 28 twice (to 7 x 7), at 96 x 96 four times (to 6 x 6).
"""

from __future__ import annotations

from typing import Any

from edge_converter.recipe.schema import Options
from edge_sdk.errors import ConfigError

STEM = 32
STAGES = ((48, 1), (96, 2), (160, 2), (256, 2))
"""(channels, blocks) of each stage at width 1, depth 1."""

MIN_MAP = 4
"""Halving ends before the smaller side of the feature map falls below this."""

BLOCK = 4
"""Side of the squares that space-to-depth turns into channels: the first two halvings in one, with
no arithmetic at full size.
"""


def edge_net(image: Any, options: Options) -> Any:
    """image: Keras tensor (batch, height, width, channels). Returns (batch, n).

    Raises ConfigError where space_to_depth does not divide the image.
    """
    from keras import layers

    height, width = image.shape[1:3]
    halvings = _halvings(min(height, width))
    if options.space_to_depth:
        x = _space_to_depth(image, options)
        halvings -= 2
    else:
        x = _convolution(image, _channels(STEM, options), 3, 2 if halvings else 1, "stem")
        halvings -= 1
    for number, (channels, blocks) in enumerate(STAGES, 1):
        for block in range(max(1, round(blocks * options.depth))):
            stride = 2 if block == 0 and halvings >= number else 1
            x = _block(x, _channels(channels, options), stride, f"stage{number}_block{block + 1}")
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _halvings(side: int) -> int:
    """The number of times that the image is halved: at most once by the stem and once by each
    stage.
    """
    most = 1 + len(STAGES)
    return max(n for n in range(most + 1) if n == 0 or side >= MIN_MAP * 2**n)


def _channels(full: int, options: Options) -> int:
    """A share of `full`, in whole eights: vector registers and the Edge TPU work in eights."""
    return max(8, round(full * options.width / 8) * 8)


def _space_to_depth(image: Any, options: Options) -> Any:
    """Squares of BLOCK x BLOCK pixels become channels, then a 1x1 convolution: together the same as
    a BLOCK x BLOCK convolution of stride BLOCK.
    """
    from keras import ops

    height, width = image.shape[1:3]
    if height % BLOCK or width % BLOCK or min(height, width) < BLOCK * MIN_MAP:
        raise ConfigError(
            f"space_to_depth needs sides that {BLOCK} divides, at least {BLOCK * MIN_MAP}, "
            f"not {width} x {height}",
            fix=f"set input.width and input.height to multiples of {BLOCK}, "
            "or model.options.space_to_depth = false",
        )
    return _convolution(
        ops.space_to_depth(image, BLOCK), _channels(STAGES[0][0], options), 1, 1, "stem"
    )


def _block(x: Any, channels: int, stride: int, name: str) -> Any:
    """Depthwise 3x3, then 1x1 to `channels`; the input is added where it has the same shape."""
    from keras import layers

    y = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    y = _normalised(y, f"{name}_depthwise")
    y = _convolution(y, channels, 1, 1, f"{name}_pointwise")
    return layers.Add(name=f"{name}_add")([x, y]) if y.shape == x.shape else y


def _convolution(x: Any, channels: int, size: int, stride: int, name: str) -> Any:
    from keras import layers

    x = layers.Conv2D(
        channels, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _normalised(x, name)


def _normalised(x: Any, name: str) -> Any:
    """Batch normalisation, its moving averages fit for short training, and relu6: a bounded range
    quantizes well.
    """
    from keras import layers

    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
