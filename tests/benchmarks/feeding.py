"""What feeding costs: a training step on batches as `build` makes them, against the same step on
batches that lie in memory; and how long a large folder takes to its first step.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_converter import Recipe
from edge_converter.datasets import Dataset
from edge_converter.steps.common import feeds
from edge_converter.steps.train import new_model
from edge_converter.training.batches import Batch, Feed
from edge_converter.training.loop import Task, prepare, training_step
from edge_converter.training.losses import hard_loss, supervised
from edge_sdk.data.samples import Image
from edge_sdk.statistics import median

STEPS = 50
"""Steps of one side before the other has its turn."""

AHEAD = 8
"""Batches that the feed may have ready when its turn begins; they are used up before the clock
starts.
"""

REST_S = 0.5
"""After the feed's turn: its threads make those batches again, and must not do so in the other's.
"""
_RECIPE = """
name = "large"
[data]
source = "folder:images"
[model]
name = "mobilenet_v2"
[augment]
flip = "horizontal"
crop = 0.2
"""
_FIRST_STEP = """
import json, sys, time
started = time.monotonic()
from edge_converter import Recipe, build

class Enough(Exception):
    pass

def listen(event):
    if event.stage == "train":
        raise Enough

try:
    build(Recipe.load(sys.argv[1]), listen=listen)
except Enough:
    seconds = time.monotonic() - started
# VmHWM, not ru_maxrss: that one starts from the memory of whoever started the process.
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"first_step_s": seconds, "peak_mb": int(lines["VmHWM"].split()[0]) / 1024}))
"""


def measure(folder: Path, rounds: int, *, cache_bytes: int) -> dict[str, Any]:
    """MobileNet v2 at 96 with flip and crop, batches of 32 of 1,600 images, 320 files of 160 x
    120 written into `folder`: median seconds a step, `rounds` in turns.

    cache_bytes: as of streaming.Feed; 0 decodes every image each time it comes up.
    """
    paths = write_images(folder, 320, size=(160, 120)) * 5
    images = [Image(i % 2, str(path), path=path) for i, path in enumerate(paths)]
    data = Dataset(("a", "b"), images, images[:32], images[:32])
    recipe = Recipe.load(_write_recipe(folder))
    prepare(recipe.seed)
    feed = feeds(recipe, data, cache_bytes=cache_bytes)[0]
    step = _step(recipe, data, feed)
    batches = _endless(feed)
    kept = list(itertools.islice(batches, STEPS // 5)) * 5
    fed, memory = [], []
    for _ in range(rounds + 1):
        time.sleep(REST_S)
        memory.append(_seconds(step, kept))
        for batch in itertools.islice(batches, AHEAD):
            step(*batch).numpy()
        fed.append(_seconds(step, batches))
    fed, memory = fed[1:], memory[1:]  # in the first round TensorFlow draws its graph
    return {
        "decoded": "once" if cache_bytes else "each time",
        "rounds": rounds,
        "memory_s": median(memory),
        "memory_spread": [min(memory), max(memory)],
        "fed_s": median(fed),
        "fed_spread": [min(fed), max(fed)],
        "ratio": median([a / b for a, b in zip(fed, memory, strict=True)]),
    }


def measure_large(folder: Path, count: int) -> dict[str, Any]:
    """`build` on `count` images of 96 x 96 in a folder, a process of its own: seconds from its
    start to the end of the first training step, and its peak memory by then.
    """
    write_images(folder / "images", count, size=(96, 96))
    command = [sys.executable, "-c", _FIRST_STEP, str(_write_recipe(folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return {"pictures": count, **found}


def write_images(folder: Path, count: int, *, size: tuple[int, int]) -> list[Path]:
    """`count` JPEG files (width, height) in two classes, no two alike: coarse noise."""
    random = np.random.default_rng(0)
    paths = [folder / "ab"[number % 2] / f"{number:05}.jpg" for number in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (12, 16, 3), np.uint8)
        path.write_bytes(cv2.imencode(".jpg", cv2.resize(coarse, size))[1].tobytes())
    return paths


def _write_recipe(folder: Path) -> Path:
    path = folder / "recipe.toml"
    path.write_text(_RECIPE, "utf-8")
    return path


def _step(recipe: Recipe, data: Dataset, feed: Feed) -> Any:
    import keras

    model, _ = new_model(recipe, data)
    optimizer = keras.optimizers.Adam(recipe.train.learning_rate)
    optimizer.build(model.trainable_variables)
    hard = hard_loss(recipe.train.loss)
    return training_step(Task(model, supervised(hard), hard, model), optimizer, feed)


def _endless(feed: Feed) -> Iterator[Batch]:
    for number in itertools.count():
        yield from feed.epoch(number)


def _seconds(step: Any, batches: Any) -> float:
    """A step's, of STEPS."""
    started = time.perf_counter()
    for batch in itertools.islice(batches, STEPS):
        step(*batch).numpy()
    return (time.perf_counter() - started) / STEPS
