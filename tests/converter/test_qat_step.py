"""The qat step of a build: what it leaves, what it refuses, where a killed one goes on."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe, build
from edge_converter.compression.fake_quant import is_fake_quantized
from edge_converter.datasets import Dataset
from edge_converter.models.keras_files import load_keras
from edge_converter.steps.common import StepResult
from edge_converter.steps.qat import qat
from edge_converter.training.checkpoints import Checkpoints
from edge_sdk.errors import ConfigError
from edge_sdk.events import Listener, ignore
from edge_sdk.tflite.graph import read_graph
from listeners import Lines, of_progress

pytestmark = pytest.mark.slow

STEPS = {"steps": ["train", "qat"], "qat.epochs": 2}


@pytest.fixture
def tuned(
    stripes_file: Path, stripes: Dataset, stripes_model: Path, tmp_path: Path
) -> Callable[..., tuple[StepResult, Any]]:
    """`tuned(folder="a", listen=…, epochs=2, …)`: what the step left, and the saved model."""

    def run(folder: str = "a", listen: Listener = ignore, **keys: Any) -> tuple[StepResult, Any]:
        settings = {f"qat.{key}": value for key, value in keys.items()}
        recipe = Recipe.load(stripes_file, {**STEPS, **settings})
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        kept, target = Checkpoints(place / "kept", "key"), place / "model.keras"
        left = qat(recipe, stripes, target, kept, source=stripes_model, listen=listen)
        return left, load_keras(target)

    return run


class Killed(Exception):
    pass


def test_a_step_that_was_killed_gives_the_same_weights(
    tuned: Callable[..., tuple[StepResult, Any]],
) -> None:
    def progress(line: str) -> None:
        if "epoch 2 of 2" in line:
            raise Killed

    with pytest.raises(Killed):
        tuned("killed", of_progress(progress))
    lines = Lines("progress")
    (resumed, ours), (whole, theirs) = tuned("killed", lines), tuned("whole")
    assert lines[0].startswith("qat: epoch 2 of 2")
    assert resumed == whole and whole.phases == (("qat", 2),)
    assert is_fake_quantized(ours)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rate_counts(tuned: Callable[..., tuple[StepResult, Any]]) -> None:
    slow, fast = tuned("slow", learning_rate=1e-9)[0], tuned("fast", learning_rate=1e-3)[0]
    assert slow.curves["val_loss"][0] == pytest.approx(slow.curves["val_loss"][1], rel=1e-4)
    assert min(fast.curves["val_loss"]) < min(slow.curves["val_loss"])


def test_a_build(stripes_file: Path) -> None:
    """Float and int8 are measured apart: before the step, and what comes of it."""
    report = build(Recipe.load(stripes_file, STEPS))
    steps = report.document["steps"]
    assert [step["name"] for step in steps] == ["train", "qat"]
    assert steps[1]["note"] == "fake quantization to int8: 2 epochs"
    assert report.document["converted"]["quantization"] == "int8"
    assert report.document["agreement"]["converted"]["distance"] <= 0.005
    with zipfile.ZipFile(report.bundle) as bundle:
        graph = read_graph(bundle.read("model.tflite"))
    inside = {operator.name for operator in graph.operators}
    assert inside - {"RESHAPE"} == {"CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"}
    assert graph.input_specs[0].quant is not None
    assert graph.input_specs[0].quant.zero_point == -128


def test_a_build_of_other_ranges_starts_anew(stripes_file: Path, tmp_path: Path) -> None:
    """Where the ranges start from is what the step depends on, beside its own table."""
    for samples, cached in ((30, False), (30, True), (10, False)):
        recipe = Recipe.load(stripes_file, STEPS | {"quantize.calibration_samples": samples})
        stages = build(recipe, tmp_path / "x.edge").document["stages"]
        assert [stage["cached"] for stage in stages if stage["name"] == "qat"] == [cached]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"steps": ["train", "qat", "prune"]}, '"prune" comes after "qat"'),
        ({"quantize.mode": "float16"}, 'quantize.mode = "float16" does not go with the step "qat"'),
        ({"quantize.float_layers": ["dense"]}, "float_layers"),
    ],
)
def test_what_does_not_go_with_it(more: dict[str, Any], told: str, stripes_file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.load(stripes_file, STEPS | more)
    assert told in str(caught.value)
    assert "qat" in caught.value.fix
