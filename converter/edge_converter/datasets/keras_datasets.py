"""`keras:NAME`: a data set that keras.datasets downloads."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

from edge_converter.datasets import Source
from edge_converter.tf.setup import load_tensorflow
from edge_sdk.configuration import nearest
from edge_sdk.data.samples import Image, LabelledImages
from edge_sdk.errors import ConfigError, DataError

LABELS = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("t-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle-boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": tuple(f"class-{number:02d}" for number in range(100)),
}


def open_source(name: str) -> Source:
    """The train and test parts of a data set. Raises ConfigError (unknown), DataError (no
    download).
    """
    if name not in LABELS:
        raise ConfigError(f"unknown data set keras:{name}", fix=nearest(name, LABELS))
    load_tensorflow()
    module = importlib.import_module(f"keras.datasets.{name}")
    try:
        # keras shows the download on stdout, which belongs to the answer.
        with contextlib.redirect_stdout(sys.stderr):
            (train, train_labels), (test, test_labels) = module.load_data()
    except Exception as error:  # keras raises a bare Exception for a failed download
        raise DataError(
            f"keras:{name} cannot be downloaded: {' '.join(str(error).split())[:200]}",
            fix="connect to the network once (keras keeps it in ~/.keras/datasets), or use "
            "data.source = digits or folder:PATH",
        ) from error
    return Source(
        LABELS[name],
        {"train": _images(train, train_labels), "test": _images(test, test_labels)},
    )


def test_images(name: str, _sequence: object = None) -> LabelledImages:
    """The test part, for `evaluate --data keras:NAME`. Raises as `open_source`."""
    source = open_source(name)
    return LabelledImages(source.labels, source.parts["test"], "test")


def _images(images: Any, labels: Any) -> list[Image]:
    color = "gray" if images.ndim == 3 else "rgb"
    return [
        Image(int(label), f"{index:05d}", pixels=image, color=color)  # type: ignore[arg-type]
        for index, (image, label) in enumerate(zip(images, labels.reshape(-1), strict=True))
    ]
