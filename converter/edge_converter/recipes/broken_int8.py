"""The network of recipe:broken_int8: good in float, broken by plain int8.

Beside a small convolutional net it has a feature made by hand, the profile: the brightness of each
row, added up. Nothing scales the profile before the two are joined; the batch norm behind the join
sees to that, and the float model is none the worse. In int8 it comes too late: what is joined has
one scale, whose step is wider than all that the convolutional net can say.
"""

from __future__ import annotations

from typing import Any


def network(shape: tuple[int, ...], classes: int) -> Any:
    """shape: height, width, channels of images fed as 0..255. Returns a Keras model."""
    import keras
    from keras import layers

    image = keras.Input(shape, name="image")
    x = layers.BatchNormalization(name="normalize")(image)
    x = _convolution(x, 16, "conv1")
    x = _convolution(x, 32, "conv2")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(32, activation="relu", name="learned")(x)
    rows = layers.Conv2D(
        *(1, (1, shape[1])),
        use_bias=False,
        kernel_initializer="ones",
        trainable=False,
        name="profile",
    )(image)
    rows = layers.Flatten(name="profile_flatten")(rows)
    x = layers.Concatenate(name="join")([x, rows])
    x = layers.BatchNormalization(momentum=0.9, name="balance")(x)
    x = layers.Dense(32, activation="relu", name="mix")(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="scores")(x))


def _convolution(x: Any, channels: int, name: str) -> Any:
    from keras import layers

    x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
