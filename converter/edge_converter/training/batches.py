"""Samples in batches for training, through the decoder and the preprocessing of the device.

Threads make them a little ahead of their use, so that decoding and training overlap.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_converter.datasets.model_input import ModelInput
from edge_converter.recipe.loading import Recipe
from edge_sdk.data.samples import Sample, Target
from edge_sdk.preprocess import fed_values

CACHE_BYTES = 256 * 1024 * 1024
"""Decoded samples stay in memory up to this size in all; a larger set is decoded each epoch."""

Batch = tuple[NDArray[Any], NDArray[np.float32]]
"""Values [batch, *shape], float32 once they are fed, and the targets as the loss takes them:
for classes one-hot, float32 [batch, classes].
"""
Encode = Callable[[Sequence[Target]], NDArray[np.float32]]
"""Targets of samples as the loss takes them, one row each."""
Change = Callable[[NDArray[Any], NDArray[np.float32]], Batch]
"""(pixels 0..255, targets) -> the same as new float32 arrays, changed."""
Order = Callable[[int], NDArray[np.int64]]
"""Numbers of the samples of an epoch, in the order in which they come."""

T = TypeVar("T")
R = TypeVar("R")


class Reader:
    """Reads samples as arrays before normalisation: images (height, width, channels) and clips
    (frames, height, width, channels) as uint8, features (frames, features) as the float32 they are.
    Safe to call from several threads.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe) -> None:
        self._samples = samples
        self._input = ModelInput.of(recipe, samples)
        self._local = threading.local()
        self.shape = self._input.shape
        self.dtype = np.dtype(np.float32 if recipe.preprocess is None else np.uint8)

    def __call__(self, index: int) -> NDArray[Any]:
        """Sample number `index`. Raises ImageError, FileError."""
        value = self._samples[int(index)].read()
        if isinstance(value, np.ndarray):
            return value
        preprocessor = getattr(self._local, "preprocessor", None)
        if preprocessor is None:
            preprocessor = self._local.preprocessor = self._input.open_preprocessor()
        out = np.empty(self.shape, np.uint8)
        preprocessor.pixels(value, out)
        return out


class Feed:
    """Batches of samples, epoch after epoch.

    Samples of `cache_bytes` in all are decoded once, into one array. More are decoded as their
    batch comes up, so that memory does not grow with their number.
    encode: makes a batch's targets what the loss takes.
    order: which samples an epoch has; without it all, as they stand. change: what is done to the
    batches of an epoch before normalisation (augmentation); without it they are what the device
    feeds, to the last bit.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        recipe: Recipe,
        encode: Encode,
        *,
        order: Order | None = None,
        change: Callable[[int], Change] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.batch_size = recipe.train.batch_size
        self._read = Reader(samples, recipe)
        self._targets = [sample.target for sample in samples]
        self._encode = encode
        self.target_shape = encode(self._targets[:1]).shape[1:]
        self._order = order or (lambda _: np.arange(len(samples)))
        self._change = change
        self._normalised = _normalisation(recipe)
        size = len(samples) * math.prod(self.shape) * self._read.dtype.itemsize
        self._fits = size <= cache_bytes
        self._decoded: NDArray[Any] | None = None
        self.samples = len(self._order(0))
        self.steps = math.ceil(self.samples / self.batch_size)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample's values; target_shape is that of its encoded target."""
        return self._read.shape

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`: the same whenever it is asked for. Raises ImageError,
        FileError.
        """
        order = self._order(number)
        parts = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        change = self._change(number) if self._change else None

        def fed(raw: Batch) -> Batch:
            values, targets = change(*raw) if change else raw
            return self._normalised(values), targets

        if self._fits and self._decoded is None:
            self._decoded = self._decode_all()
        readers = 1 if self._fits else os.cpu_count() or 1
        # One thread changes them, in order: what is random in it is then the same in every run.
        with (
            closing(_ahead(self._raw, parts, readers)) as raw,
            closing(_ahead(fed, raw, 1)) as batches,
        ):
            yield from batches

    def _raw(self, rows: NDArray[np.int64]) -> Batch:
        """Values before normalisation and encoded targets of the samples numbered `rows`."""
        if self._decoded is not None:
            values = self._decoded[rows]
        else:
            values = np.stack([self._read(row) for row in rows])
        return values, self._encode([self._targets[row] for row in rows])

    def _decode_all(self) -> NDArray[Any]:
        """Every sample: [samples, *shape]."""
        found = np.empty((len(self._targets), *self.shape), self._read.dtype)

        def fill(row: int) -> None:
            found[row] = self._read(row)

        with ThreadPoolExecutor() as pool:
            deque(pool.map(fill, range(len(found))), maxlen=0)
        return found


def one_hot(classes: int) -> Encode:
    """Encodes classes: float32 [samples, classes], 1 at the sample's own."""
    rows = np.eye(classes, dtype=np.float32)
    return lambda targets: rows[np.array(targets, np.int64)]


def _normalisation(recipe: Recipe) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """From the values of a batch to fed ones. Whole pixel values go through a table of 256 float32
    a channel, as on the device.
    """
    spec = recipe.preprocess
    if spec is None:
        return lambda values: values
    table = np.ascontiguousarray(fed_values(spec)[None], np.float32)
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)

    def normalised(pixels: NDArray[Any]) -> NDArray[np.float32]:
        if pixels.dtype == np.uint8:
            rows = pixels.reshape(-1, *pixels.shape[-2:])
            fed: NDArray[np.float32] = cv2.LUT(rows, table)
            return fed.reshape(pixels.shape)
        pixels -= mean
        pixels /= std
        return pixels

    return normalised


def _ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int
) -> Generator[R, None, None]:
    """function(item) of each item, in order, worked out by threads before it is asked for: at most
    two items a thread are ahead. Raises what `function` raises, in its place.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
