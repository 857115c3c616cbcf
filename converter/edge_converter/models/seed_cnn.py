"""seed_cnn: two convolutions, two poolings, two dense layers."""

from __future__ import annotations

from typing import Any

from edge_sdk.errors import ConfigError

LEAST = 10
"""Smallest height and width: below it the second pooling has nothing left (padding valid)."""


def build(shape: tuple[int, int, int], classes: int) -> Any:
    """Conv 32 3x3 relu, MaxPool 2, Conv 64 3x3 relu, MaxPool 2, Flatten, Dense 128 relu, Dense
    `classes` softmax; padding valid, stride 1. shape: (height, width, channels).

    Raises ConfigError for a picture below 10 x 10.
    """
    import keras
    from keras import layers

    if min(shape[:2]) < LEAST:
        raise ConfigError(
            f"seed_cnn needs pictures of at least {LEAST} x {LEAST}, not {shape[1]} x {shape[0]}",
            fix="raise input.width and input.height",
        )
    return keras.Sequential(
        [
            keras.Input(shape, name="image"),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="dense"),
            layers.Dense(classes, activation="softmax", name="scores"),
        ],
        name="seed_cnn",
    )
