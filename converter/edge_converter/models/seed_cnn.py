"""seed_cnn: two convolutions, two poolings, two dense layers."""

from __future__ import annotations

from typing import Any

from edge_converter.recipe.schema import Options


def seed_cnn(image: Any, options: Options) -> Any:
    """Conv 32 3x3 relu, MaxPool 2, Conv 64 3x3 relu, MaxPool 2, Flatten, Dense 128 relu; padding
    valid, stride 1. image: Keras tensor (batch, height, width, channels). Returns (batch, 128).
    """
    from keras import layers

    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    return layers.Dense(128, activation="relu", name="dense")(x)
