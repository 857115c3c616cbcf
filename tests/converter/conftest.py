"""Folders of tiny images, recipes for them, and one build that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import BuildReport, Recipe, build
from edge_converter.datasets import Dataset, open_dataset
from edge_converter.models import build_model
from edge_converter.steps.train import train
from edge_converter.training.checkpoints import Checkpoints
from edge_sdk import Frame
from edge_sdk.images.image_files import write_image
from listeners import Lines

STRIPES = """
name = "stripes"
seed = 7

[data]
source = "folder:images"

[input]
width = 12
height = 12
color = "gray"
fit = "stretch"
mean = [0.0]
std = [255.0]

[model]
name = "seed_cnn"

[train]
epochs = 3
batch_size = 16
learning_rate = 0.01
schedule = "constant"
patience = 0

[quantize]
calibration_samples = 30

[budget]
accuracy_loss = 0.5
"""
COUNTS = {"low": 24, "mid": 24, "top": 24}


NOT_OURS = (
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    "ignore:Statistics for quantized inputs were expected:UserWarning",
)
"""Warnings inside Keras and TensorFlow, about themselves."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every warning is an error but for NOT_OURS, in the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for line in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(line))


@dataclass(frozen=True)
class Built:
    """The shared build: its recipe's file, what came out, and the lines that were said."""

    recipe: Path
    report: BuildReport
    said: tuple[str, ...]


@pytest.fixture(scope="session")
def write_classes() -> Callable[..., Path]:
    """`write_classes(folder, {"cat": 3}, size=(16, 16), values=(0, 100), seed=0)`: a class folder
    each, with images of noise and one bright stripe, lower for each class. Returns `folder`.
    """

    def make(
        folder: Path,
        counts: Mapping[str, int],
        *,
        size: tuple[int, int] = (16, 16),
        values: tuple[int, int] = (0, 100),
        seed: int = 0,
    ) -> Path:
        random = np.random.default_rng(seed)
        for number, (label, count) in enumerate(counts.items()):
            for index in range(count):
                pixels = _stripe(random, size, number / len(counts), values)
                write_image(folder / label / f"{index:03}.png", Frame(pixels, "bgr"))
        return folder

    return make


@pytest.fixture(scope="session")
def project(write_classes: Callable[..., Path]) -> Callable[..., Path]:
    """`project(folder, text=STRIPES, counts=COUNTS, **images)`: recipe.toml with its images
    beside it; the path of the recipe. Small enough to train in a second.
    """

    def make(
        folder: Path, text: str = STRIPES, counts: Mapping[str, int] = COUNTS, **images: Any
    ) -> Path:
        write_classes(folder / "images", counts, **images)
        (folder / "recipe.toml").write_text(text, "utf-8")
        return folder / "recipe.toml"

    return make


@pytest.fixture(scope="session")
def built(project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The stripes, dark ones, built once; nobody may change it."""
    recipe = project(tmp_path_factory.mktemp("stripes"))
    said = Lines("note", "warning")
    report = build(Recipe.load(recipe), listen=said)
    return Built(recipe, report, tuple(said))


@pytest.fixture(scope="session")
def stripes_file(project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of the stripes."""
    return project(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="session")
def stripes(stripes_file: Path) -> Dataset:
    """Its images."""
    return open_dataset(Recipe.load(stripes_file))


@pytest.fixture(scope="session")
def stripes_model(stripes_file: Path, stripes: Dataset) -> Path:
    """The stripes, learned: model.keras."""
    path = stripes_file.parent / "model.keras"
    train(Recipe.load(stripes_file), stripes, path, Checkpoints(path.parent / "kept", "key"))
    return path


@dataclass(frozen=True)
class Tiny:
    """A built-in model at a size that takes moments. cell: of one that looks at sequences."""

    name: str
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    cell: str = ""

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        options = (f"{name}={value}" for name, value in self.options.items())
        return "-".join([self.name, shape, *options, *([self.cell] if self.cell else [])])

    def build(self, classes: int) -> Any:
        """The untrained Keras model."""
        table: dict[str, Any] = {"model": {"name": self.name, "options": self.options}}
        source = "digits"
        if self.cell:
            table |= {"task": "sequence", "sequence": {"cell": self.cell, "units": 8}}
            source = "csv:x.csv" if self.name == "features" else "video:x"
        recipe = Recipe.parse({"name": "x", "data": {"source": source}, **table})
        return build_model(recipe, self.shape, classes)


TINY_FRAMES = ("edge_net", (3, 16, 16, 1), {"width": 0.25, "depth": 0.5})
TINY = [
    Tiny("seed_cnn", (10, 10, 1)),
    Tiny("tiny_cnn", (8, 8, 1), {"width": 0.75}),
    Tiny("edge_net", (28, 28, 1), {"width": 0.25}),
    Tiny("edge_net", (16, 20, 3), {"width": 0.25, "space_to_depth": True}),
    Tiny("mobilenet_v1", (32, 32, 3), {"width": 0.25}),
    Tiny("mobilenet_v2", (32, 32, 1), {"width": 0.35}),
    Tiny("mobilenet_v3_small", (32, 32, 3)),
    Tiny("mobilenet_v3_small_minimalistic", (32, 32, 3)),
    Tiny("mobilenet_v3_large", (32, 32, 3)),
    Tiny("mobilenet_v3_large_minimalistic", (32, 32, 3)),
    Tiny("efficientnet_b0", (32, 32, 3)),
    Tiny("squeezenet", (31, 31, 3)),
    Tiny(*TINY_FRAMES, "lstm"),
    Tiny(*TINY_FRAMES, "gru"),
    Tiny("features", (4, 3), {}, "lstm"),
    Tiny("features", (4, 3), {}, "gru"),
]


@pytest.fixture(params=TINY, ids=str)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    """Each built-in model at its smallest, a test each."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def tinies() -> list[Tiny]:
    """All of them."""
    return list(TINY)


@pytest.fixture(scope="session")
def count_macs() -> Callable[[Any], int]:
    """`count_macs(model)`: multiply-accumulates of one inference by each layer's definition, from
    the Keras model alone. Frames lie in the batch of the layers that see them one by one.
    """
    return _count_macs


def _count_macs(model: Any) -> int:
    shape = model.inputs[0].shape[1:]
    frames, total = shape[0] if len(shape) == 4 else 1, 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            total += frames * prod(layer.output.shape[1:]) * prod(layer.kernel.shape[:3])
        elif kind == "DepthwiseConv2D":
            total += frames * prod(layer.output.shape[1:]) * prod(layer.kernel.shape[:2])
        elif kind == "Dense":
            total += prod(layer.kernel.shape)
        elif kind in ("LSTM", "GRU"):
            steps, cell = layer.input.shape[1], layer.cell
            total += steps * prod(cell.kernel.shape)
            total += (steps - 1) * prod(cell.recurrent_kernel.shape)  # the first state is zero
    return total


def _stripe(
    random: np.random.Generator, size: tuple[int, int], place: float, values: tuple[int, int]
) -> np.ndarray[Any, Any]:
    """Noise in the lower third of `values`, a stripe in the upper third."""
    low, high = values
    third = (high - low) // 3
    width, height = size
    pixels = random.integers(low, low + third, (height, width, 3))
    top = int(place * height)
    rows = slice(top, top + max(1, height // 4))
    pixels[rows] = random.integers(high - third, high, pixels[rows].shape)
    return pixels.astype(np.uint8)
