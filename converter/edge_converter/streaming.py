"""Pictures as tensors: streamed through tf.data for training, stacked for calibration.

Both go through the decoder and the preprocessing that the device uses.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.frameworks import load_tensorflow
from edge_converter.recipe import Input
from edge_sdk.preprocess import Preprocessor
from edge_sdk.sources import Picture
from edge_sdk.tensors import TensorSpec

CACHE_BYTES = 256 * 1024 * 1024
"""Decoded pictures stay in memory up to this size in all; a larger set is decoded each epoch."""


class PixelReader:
    """Reads pictures as the model sees them before normalisation: (height, width, channels),
    uint8. Safe to call from several threads.
    """

    def __init__(self, pictures: Sequence[Picture], settings: Input) -> None:
        self._pictures = pictures
        self._settings = settings
        self._local = threading.local()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        settings = self._settings
        return (settings.height, settings.width, settings.channels)

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Picture number `index`. Raises ImageError, FileError."""
        preprocessor = getattr(self._local, "preprocessor", None)
        if preprocessor is None:
            preprocessor = self._local.preprocessor = float_preprocessor(self._settings)
        out = np.empty(self.shape, np.uint8)
        preprocessor.pixels(self._pictures[int(index)].read(), out)
        return out


def float_preprocessor(settings: Input) -> Preprocessor:
    """A Preprocessor into float32 [1, height, width, channels]: fed values, not quantized."""
    shape = (1, settings.height, settings.width, settings.channels)
    return Preprocessor(settings.preprocess, TensorSpec("image", shape, "float32"))


def batches(
    pictures: Sequence[Picture],
    settings: Input,
    classes: int,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Any:
    """A tf.data.Dataset of (fed float32 [batch, height, width, channels], one-hot float32 [batch,
    classes]). With `shuffle_seed` each epoch has an order of its own, the same in every run.
    cache_bytes: a set of more decoded bytes is decoded anew each epoch.
    """
    load_tensorflow()
    import tensorflow as tf

    reader = PixelReader(pictures, settings)
    mean = tf.constant(settings.mean, tf.float64)
    std = tf.constant(settings.std, tf.float64)

    def read(index: Any, label: Any) -> tuple[Any, Any]:
        pixels = tf.numpy_function(reader, [index], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, reader.shape), label

    def feed(pixels: Any, labels: Any) -> tuple[Any, Any]:
        # In float64 as the device's table is: the same float32 numbers, to the last bit.
        fed = (tf.cast(pixels, tf.float64) - mean) / std
        return tf.cast(fed, tf.float32), tf.one_hot(labels, classes)

    labels = np.array([picture.label for picture in pictures], np.int32)
    data = tf.data.Dataset.from_tensor_slices((np.arange(len(pictures)), labels))
    fits = len(pictures) * int(np.prod(reader.shape)) <= cache_bytes
    if fits:
        data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).cache()
    if shuffle_seed is not None:
        data = data.shuffle(len(pictures), seed=shuffle_seed, reshuffle_each_iteration=True)
    if not fits:
        data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return data.batch(batch_size).map(feed).prefetch(tf.data.AUTOTUNE)


def stack(pictures: Sequence[Picture], settings: Input) -> NDArray[np.float32]:
    """Fed values of each picture: float32 [pictures, height, width, channels]."""
    preprocessor = float_preprocessor(settings)
    out = np.empty((len(pictures), *preprocessor.tensor.shape[1:]), np.float32)
    for row, picture in enumerate(pictures):
        preprocessor(picture.read(), out[row : row + 1])
    return out
