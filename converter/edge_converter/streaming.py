"""Samples as tensors: streamed through tf.data for training, stacked for calibration.

Both go through the decoder and the preprocessing that the device uses.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.frameworks import load_tensorflow
from edge_converter.recipe import Recipe
from edge_sdk.recognizer import open_preprocessor
from edge_sdk.sources import Sample
from edge_sdk.tensors import TensorSpec

CACHE_BYTES = 256 * 1024 * 1024
"""Decoded pictures stay in memory up to this size in all; a larger set is decoded each epoch."""


class Reader:
    """Reads samples as arrays before normalisation: pictures (height, width, channels) and clips
    (frames, height, width, channels) as uint8, features (frames, features) as the float32 they are.
    Safe to call from several threads.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe) -> None:
        self._samples = samples
        self._recipe = recipe
        self._local = threading.local()
        self.shape = fed_shape(recipe, samples)
        self.dtype = np.dtype(np.float32 if recipe.preprocess is None else np.uint8)

    def __call__(self, index: int) -> NDArray[Any]:
        """Sample number `index`. Raises ImageError, FileError."""
        value = self._samples[int(index)].read()
        if isinstance(value, np.ndarray):
            return value
        preprocessor = getattr(self._local, "preprocessor", None)
        if preprocessor is None:
            preprocessor = self._local.preprocessor = _float_preprocessor(self._recipe, self.shape)
        out = np.empty(self.shape, np.uint8)
        preprocessor.pixels(value, out)
        return out


def fed_shape(recipe: Recipe, samples: Sequence[Sample]) -> tuple[int, ...]:
    """The model's input without the batch: (height, width, channels); (frames, height, width,
    channels) for clips; (frames, features), which only the samples know, for features.
    """
    if recipe.preprocess is None:
        values = samples[0].read()
        assert isinstance(values, np.ndarray)
        return tuple(values.shape)
    settings = recipe.input
    picture = (settings.height, settings.width, settings.channels)
    return picture if recipe.cut is None else (recipe.cut.frames, *picture)


def _float_preprocessor(recipe: Recipe, shape: tuple[int, ...]) -> Any:
    """A preprocessor into float32 [1, *shape]: fed values, not quantized."""
    return open_preprocessor(recipe.preprocess, TensorSpec("input", (1, *shape), "float32"))


def batches(
    samples: Sequence[Sample],
    recipe: Recipe,
    classes: int,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Any:
    """A tf.data.Dataset of (fed float32 [batch, *fed_shape], one-hot float32 [batch, classes]).
    With `shuffle_seed` each epoch has an order of its own, the same in every run.
    cache_bytes: a set of more decoded bytes is decoded anew each epoch.
    """
    load_tensorflow()
    import tensorflow as tf

    reader = Reader(samples, recipe)
    mean = tf.constant(recipe.input.mean, tf.float64)
    std = tf.constant(recipe.input.std, tf.float64)

    def read(index: Any, label: Any) -> tuple[Any, Any]:
        values = tf.numpy_function(reader, [index], reader.dtype, stateful=False)
        return tf.ensure_shape(values, reader.shape), label

    def feed(values: Any, labels: Any) -> tuple[Any, Any]:
        if reader.dtype == np.uint8:
            # In float64 as the device's table is: the same float32 numbers, to the last bit.
            values = tf.cast((tf.cast(values, tf.float64) - mean) / std, tf.float32)
        return values, tf.one_hot(labels, classes)

    labels = np.array([sample.label for sample in samples], np.int32)
    data = tf.data.Dataset.from_tensor_slices((np.arange(len(samples)), labels))
    fits = len(samples) * int(np.prod(reader.shape)) * reader.dtype.itemsize <= cache_bytes
    if fits:
        data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).cache()
    if shuffle_seed is not None:
        data = data.shuffle(len(samples), seed=shuffle_seed, reshuffle_each_iteration=True)
    if not fits:
        data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return data.batch(batch_size).map(feed).prefetch(tf.data.AUTOTUNE)


def stack(samples: Sequence[Sample], recipe: Recipe) -> NDArray[np.float32]:
    """Fed values of each sample: float32 [samples, *fed_shape]."""
    shape = fed_shape(recipe, samples)
    preprocessor = _float_preprocessor(recipe, shape)
    out = np.empty((len(samples), *shape), np.float32)
    for row, sample in enumerate(samples):
        preprocessor(sample.read(), out[row : row + 1])
    return out
