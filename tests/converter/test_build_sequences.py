"""Rows of features and clips, from a recipe to a bundle that answers about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_converter import BuildReport, Recipe, build
from edge_converter.datasets import Dataset, open_dataset
from edge_sdk import Bundle, Evaluation, evaluate
from edge_sdk.data.samples import LabelledImages
from edge_sdk.model.interface import SequenceEntry
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tflite.graph import read_graph

pytestmark = pytest.mark.slow

ROWS = """
name = "slopes"
task = "sequence"
seed = 3
data.source = "csv:slopes.csv"
sequence = { frames = 5, stride = 1, cell = "lstm", units = 8 }
model.name = "features"
train = { epochs = 3, batch_size = 8, learning_rate = 0.02, schedule = "constant", patience = 0 }
quantize.calibration_samples = 40
budget.accuracy_loss = 0.2
"""
CLIPS = """
name = "lamps"
task = "sequence"
seed = 3
data.source = "video:clips"
sequence = { frames = 4, stride = 2, cell = "gru", units = 8 }
input = { width = 16, height = 16, color = "gray", fit = "stretch", mean = [0.0], std = [255.0] }
model.name = "edge_net"
model.options = { width = 0.25, depth = 0.5 }
train = { epochs = 2, batch_size = 2, learning_rate = 0.01, schedule = "constant", patience = 0 }
quantize.calibration_samples = 16
budget.accuracy_loss = 0.2
"""


@dataclass(frozen=True)
class Built:
    """A build, its data, and its bundle evaluated on the test part."""

    report: BuildReport
    data: Dataset
    found: Evaluation


def built(recipe: Path) -> Built:
    report = build(Recipe.load(recipe))
    data = open_dataset(Recipe.load(recipe))
    with Bundle.open(report.bundle) as bundle:
        found = evaluate(bundle, LabelledImages(data.labels, data.test, "test"))
    return Built(report, data, found)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Five steps of two features, the first of which falls, stays or rises."""
    folder = tmp_path_factory.mktemp("slopes")
    random = np.random.default_rng(1)
    with (folder / "slopes.csv").open("w") as file:
        for number in range(180):
            slope = number % 3 - 1
            steps = random.normal(0, 0.2, (5, 2))
            steps[:, 0] += slope * np.arange(5) + random.normal()
            values = ",".join(f"{value:.4f}" for value in steps.ravel())
            file.write(f"{('falls', 'stays', 'rises')[slope + 1]},{values}\n")
    (folder / "recipe.toml").write_text(ROWS)
    return built(folder / "recipe.toml")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Dark and bright noise, in parts, so that SOURCE itself names the test part."""
    folder = tmp_path_factory.mktemp("lamps")
    random = np.random.default_rng(1)
    for part, count in (("train", 20), ("test", 3)):
        for label, level in (("off", 40), ("on", 180)):
            for number in range(count):
                frames = random.integers(level, level + 60, (6, 32, 32, 3), np.uint8)
                write_clip(folder / "clips" / part / label / f"{number}.avi", frames)
    (folder / "recipe.toml").write_text(CLIPS)
    return built(folder / "recipe.toml")


def write_clip(path: Path, frames: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 25, (32, 32))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


@pytest.fixture(params=["rows", "clips"])
def either(request: pytest.FixtureRequest) -> Built:
    found: Built = request.getfixturevalue(request.param)
    return found


def test_the_record_has_what_float_and_int8_got_right(either: Built) -> None:
    document = either.report.document
    floats, final = document["float"], document["converted"]
    assert final["quantization"] == "int8"
    assert floats["n"] == final["n"] == len(either.data.test)
    assert floats["accuracy"] >= 0.8 and final["accuracy"] >= 0.8  # they are easy to tell apart
    assert document["accuracy_loss"] == floats["accuracy"] - final["accuracy"]
    assert [stage["name"] for stage in document["stages"]] == ["train", "convert", "verify"]


def test_evaluate_confirms_the_record(either: Built) -> None:
    final, found = either.report.document["converted"], either.found
    assert (found.accuracy, found.correct, found.n) == (
        *(final["accuracy"], final["correct"]),
        final["n"],
    )
    assert found.confusion.tolist() == final["confusion"]
    assert (found.golden.rule, found.golden.passed) == ("exact", True)
    assert found.seen_in_training == 0


def test_every_operator_is_builtin_and_int8(either: Built) -> None:
    with Bundle.open(either.report.bundle) as bundle:
        model, entry = bundle.model(), bundle.manifest.models["litert"]
    names = {operator.name for operator in read_graph(model).operators}
    assert {"FULLY_CONNECTED", "LOGISTIC", "TANH"} <= names  # the cell, unrolled
    assert not [name for name in names if name.startswith(("FLEX", "CUSTOM", "WHILE", "OP_"))]
    assert entry.precision == "int8"
    assert entry.macs == either.report.document["converted"]["macs"] > 0


def test_the_bundle_of_rows_says_what_it_is_fed(rows: Built) -> None:
    with Bundle.open(rows.report.bundle) as bundle:
        manifest, labels = bundle.manifest, bundle.labels
    assert (manifest.task, labels) == ("sequence", ("falls", "rises", "stays"))
    assert manifest.sequence == SequenceEntry(frames=5, stride=1)
    assert manifest.input.preprocess is None
    assert (manifest.input.tensor.shape, manifest.input.tensor.dtype) == ((1, 5, 2), "int8")
    assert (manifest.golden.samples, manifest.golden.origin) == (10, "test")


def test_the_bundle_of_clips_says_what_it_is_fed(clips: Built) -> None:
    with Bundle.open(clips.report.bundle) as bundle:
        manifest, labels = bundle.manifest, bundle.labels
    assert (manifest.task, labels) == ("sequence", ("off", "on"))
    assert manifest.sequence == SequenceEntry(frames=4, stride=2)
    assert manifest.input.preprocess == PreprocessSpec(
        "gray", fit="stretch", mean=(0.0,), std=(255.0,)
    )
    assert (manifest.input.tensor.shape, manifest.input.tensor.dtype) == ((1, 4, 16, 16, 1), "int8")
    assert (manifest.golden.samples, manifest.golden.origin) == (10, "test")


def test_the_sources_themselves_can_be_evaluated(rows: Built, clips: Built) -> None:
    """A file of rows has no parts; of clips, the windows of the test part are answered."""
    with Bundle.open(rows.report.bundle) as bundle:
        every = evaluate(bundle, f"csv:{rows.report.bundle.parent / 'slopes.csv'}")
    with Bundle.open(clips.report.bundle) as bundle:
        tested = evaluate(bundle, f"video:{clips.report.bundle.parent / 'clips'}")
    assert (every.part, every.n, every.seen_in_training) == ("all", 180, len(rows.data.train))
    assert (tested.part, tested.correct, tested.n) == ("test", clips.found.correct, 12)


def test_only_clips_have_images_to_show(rows: Built, clips: Built) -> None:
    pages = [(one.report.folder / "build.html").read_text("utf-8") for one in (rows, clips)]
    assert ["Training images" in page for page in pages] == [False, True]
    assert ["<img " in page for page in pages] == [False, True]
    assert "A few of each class, by their middle frame." in pages[1]
