"""In an arm64 root: models answer as they did on the machine that made the references."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import open_engine
from edge_sdk.inference.golden import answers
from edge_sdk.tasks.tolerance import difference

WORK = Path("/edge/case")
MODELS = sorted(path.stem for path in (WORK / "models").glob("*.tflite"))
FLOAT = {"rtol": 1e-3, "atol": 1e-5}
STEPS = 4
"""The golden rule's tolerance (edge_sdk/inference/golden.py)."""

# These answer in whole numbers but are not int8 inside: fed or answering in uint8.
UINT8 = {"mobilenet_v1_0.25_224_quant", "tf2_mobilenet_v2_1.0_224_ptq", "tiny_uint8"}


def test_this_is_arm64_and_there_is_something_to_compare() -> None:
    assert platform.machine() == "aarch64"
    assert MODELS


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_the_reference(name: str) -> None:
    model = (WORK / "models" / f"{name}.tflite").read_bytes()
    with np.load(WORK / "models" / f"{name}.npz") as kept, open_engine("litert", model) as engine:
        assert engine.info.delegate == "xnnpack"
        inputs = tuple(kept[f"input_{number}"] for number in range(len(engine.inputs)))
        wanted = [kept[f"output_{number}"] for number in range(len(engine.outputs))]
        found = answers(engine, inputs)
        kind = engine.inputs[0].dtype
    largest = max(map(difference, wanted, found))
    with (WORK / "seen.jsonl").open("a") as seen:
        print(json.dumps({"model": name, "input": kind, "largest": largest}), file=seen)
    for one, other in zip(wanted, found, strict=True):
        if one.dtype == np.float32:
            assert np.allclose(other, one, **FLOAT)
        elif name in UINT8:
            assert difference(one, other) <= STEPS
        else:
            assert np.array_equal(one, other)
