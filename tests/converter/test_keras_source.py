"""The source `keras:NAME`, in a process of its own: out of reach, and downloaded before."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waiting import PATIENCE_S

KERAS = """
import json, sys
from edge_converter import Recipe
from edge_converter.datasets import open_dataset
from edge_converter.tf.setup import leave_out_extras
from edge_sdk.errors import DataError
leave_out_extras()
answers = []
for name in sys.argv[1:]:
    data = {"source": "keras:" + name}
    try:
        found = open_dataset(
            Recipe.parse({"name": "x", "data": data, "model": {"name": "seed_cnn"}})
        )
        answers.append([found.per_class, found.test[0].read().color])
    except DataError as error:
        answers.append([str(error), error.fix])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def keras_answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, str]:
    """What a process says about a set out of reach and one downloaded before, and its stderr.

    Its downloads go to a closed port of this machine.
    """
    home = tmp_path_factory.mktemp("keras")
    _write_fashion_mnist(home / "datasets" / "fashion-mnist", train=4, test=2)
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", KERAS, "mnist", "fashion_mnist"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={
            **{k: v for k, v in os.environ.items() if k.lower() != "no_proxy"},
            **proxies,
            **{key.upper(): value for key, value in proxies.items()},
            "KERAS_HOME": str(home),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The download shows itself on stderr: stdout is the answer's alone.
    return *json.loads(done.stdout), done.stderr


def _write_fashion_mnist(folder: Path, *, train: int, test: int) -> None:
    """The four files as keras keeps them, with so many images of each of the ten classes."""
    folder.mkdir(parents=True)
    for part, each in (("train", train), ("t10k", test)):
        labels = np.repeat(np.arange(10, dtype=np.uint8), each)
        images = np.random.default_rng(each).integers(0, 256, (len(labels), 28, 28), np.uint8)
        for kind, header, values in (("labels-idx1", 8, labels), ("images-idx3", 16, images)):
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(bytes(header) + values.tobytes()))


@pytest.mark.slow
def test_a_keras_data_set_out_of_reach(keras_answers: tuple[Any, Any, str]) -> None:
    (message, fix), _, stderr = keras_answers
    assert "keras:mnist cannot be downloaded" in message
    assert "connect to the network once" in fix and "folder:PATH" in fix
    assert "Downloading data from" in stderr and "Traceback" not in stderr


@pytest.mark.slow
def test_a_keras_data_set_that_was_downloaded_before(keras_answers: tuple[Any, Any, str]) -> None:
    _, (per_class, color), _ = keras_answers
    assert list(per_class)[:2] == ["t-shirt", "trouser"] and len(per_class) == 10
    assert all(count == {"train": 3, "val": 1, "test": 2} for count in per_class.values())
    assert color == "gray"


@pytest.mark.slow
def test_tensorflow_starts_in_silence(keras_answers: tuple[Any, Any, str]) -> None:
    stderr = keras_answers[2]
    assert "InitializeLog" not in stderr and "I0000" not in stderr and "E0000" not in stderr
