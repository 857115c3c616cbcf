"""tiny_cnn: two convolutions for small images, at a fraction of the seed CNN's cost."""

from __future__ import annotations

from typing import Any

from edge_converter.recipe.schema import Options
from edge_sdk.errors import ConfigError

SQUARE = 2
"""Squares of SQUARE x SQUARE pixels become channels first. int8 kernels are slow at one channel: a
3x3 convolution of 8 channels on the plain image takes more than twice the time of this whole net.
"""

CHANNELS = (24, 40)
"""Of the two convolutions at width 1."""

DROPOUT = 0.2
"""While it trains; a net this small has few weights to spare, and a small data set few images."""


def tiny_cnn(image: Any, options: Options) -> Any:
    """Space-to-depth 2, twice (conv 3x3 with stride 2, batch norm, relu6), Flatten; padding same.
    image: Keras tensor (batch, height, width, channels). Returns (batch, n).

    Raises ConfigError where a side is odd.
    """
    from keras import layers, ops

    height, width = image.shape[1:3]
    if height % SQUARE or width % SQUARE:
        raise ConfigError(
            f"tiny_cnn needs even sides, not {width} x {height}",
            fix="set input.width and input.height to even numbers",
        )
    x = ops.space_to_depth(image, SQUARE)
    for number, full in enumerate(CHANNELS, 1):
        channels = max(4, round(full * options.width / 4) * 4)
        x = layers.Conv2D(channels, 3, 2, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"bn{number}")(x)
        x = layers.ReLU(6.0, name=f"relu{number}")(x)
    return layers.Dropout(DROPOUT, name="dropout")(layers.Flatten(name="flatten")(x))
