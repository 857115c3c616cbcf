"""SqueezeNet v1.1 (Iandola and others, arXiv:1602.07360, and its authors' release 1.1)."""

from __future__ import annotations

from typing import Any

from edge_converter.recipe.schema import Options

_FIRES = ((16, 64), (16, 64), None, (32, 128), (32, 128), None)
_LAST_FIRES = ((48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet(image: Any, options: Options) -> Any:
    """Conv 64 3x3 stride 2, MaxPool 3 stride 2, fire 2 to 9 with poolings after 3 and 5, global
    average. image: Keras tensor (batch, height, width, channels). Returns (batch, 512).

    Where the original has a last 1x1 convolution to the classes and then the average, the average
    is taken first: the same weights, a fraction of the arithmetic. Its relu on the logits is left
    out, since a class that it once silences gets no gradient any more.
    """
    from keras import layers

    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    number = 2
    for fire in (*_FIRES, *_LAST_FIRES):
        if fire is None:
            x = layers.MaxPooling2D(3, strides=2, name=f"pool{number - 1}")(x)
        else:
            x = _fire(x, *fire, name=f"fire{number}")
            number += 1
    return layers.GlobalAveragePooling2D(name="pool10")(x)


def _fire(x: Any, squeeze: int, expand: int, name: str) -> Any:
    """1x1 to `squeeze` channels, then 1x1 and 3x3 to `expand` channels each, side by side."""
    from keras import layers

    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    one = layers.Conv2D(expand, 1, activation="relu", name=f"{name}_expand1x1")(x)
    three = layers.Conv2D(expand, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return layers.Concatenate(name=f"{name}_concat")([one, three])
