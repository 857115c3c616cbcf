"""The golden rule: exact, tolerance or unproven, and what each lets through."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_sdk import Bundle, Engine, open_engine
from edge_sdk.bundle.manifest import MIN_SAMPLES, Manifest, ModelEntry
from edge_sdk.bundle.reading import Golden, write_bundle
from edge_sdk.engines import EngineInfo
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.errors import GateFailed, ModelError
from edge_sdk.inference.golden import (
    MIN_STEPS,
    GoldenCheck,
    answers,
    check_golden,
    check_tensors,
    require_golden,
    rule_for,
)
from edge_sdk.model.interface import OutputEntry, TensorEntry
from edge_sdk.tasks.tolerance import difference
from edge_sdk.tensors import QuantParams, TensorSpec
from edge_sdk.tflite.tiny import tiny_classifier

Parts = tuple[Manifest, dict[str, bytes]]


def litert() -> Engine:
    """The engine that the tiny bundles are proven on."""
    return open_engine("litert", tiny_classifier())


@pytest.mark.parametrize(
    ("changes", "precision", "rule"),
    [
        ({}, "int8", "exact"),
        ({}, "uint8", "tolerance"),
        ({}, "float32", "tolerance"),
        ({}, "dynamic", "tolerance"),
        ({"version": "2.2.0"}, "int8", "tolerance"),
        ({"resolver": "builtin-without-delegates"}, "int8", "tolerance"),
        ({"delegate": "none"}, "int8", "tolerance"),
        ({"name": "tflite-runtime"}, "int8", "tolerance"),
        ({"threads": 4}, "int8", "exact"),
        ({"name": "edgetpu"}, "int8", "unproven"),
        ({"name": "fake"}, "int8", "unproven"),
        ({"name": "litert-next"}, "int8", "unproven"),
    ],
)
def test_which_rule_holds(
    changes: dict[str, Any], precision: str, rule: str, tiny_parts: Callable[..., Parts]
) -> None:
    manifest, _ = tiny_parts()
    manifest = replace(manifest, models={"litert": ModelEntry("model.tflite", precision)})
    with litert() as engine:
        assert rule_for(manifest, replace(engine.info, **changes)) == rule


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_a_bundle_is_proven_where_it_was_made(dtype: str, tiny_bundle: Callable[..., Path]) -> None:
    bundle = Bundle.open(tiny_bundle(dtype=dtype))
    with open_engine("litert", bundle.model()) as engine:
        check = require_golden(bundle, engine)
    assert check.as_dict() == {
        "rule": "exact" if dtype == "int8" else "tolerance",
        **{"passed": True, "samples": MIN_SAMPLES, "largest": 0.0, "because": ""},
    }


def engines() -> list[tuple[str, str]]:
    """(name, resolver) of interpreters other than the one that bundles are proven on."""
    found = [("litert", "builtin-without-delegates"), ("isolated:litert", "builtin")]
    try:
        import tflite_runtime  # noqa: F401
    except ImportError:
        return found
    return [*found, ("tflite-runtime", "builtin")]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
@pytest.mark.parametrize(("name", "resolver"), engines())
def test_other_interpreters_stay_within_the_steps_noted_at_build(
    name: str, resolver: Any, dtype: str, tiny_bundle: Callable[..., Path]
) -> None:
    path = tiny_bundle(dtype=dtype, shape=(16, 16, 3), classes=8, samples=30)
    with Bundle.open(path) as bundle:
        assert bundle.manifest.golden.steps >= MIN_STEPS
        with open_engine(name, bundle.model(), resolver=resolver) as engine:
            check = require_golden(bundle, engine)
    exact = name == "isolated:litert" and dtype == "int8"
    assert (check.rule, check.passed) == ("exact" if exact else "tolerance", True)
    assert check.largest <= (0 if exact else bundle.manifest.golden.steps)


def test_one_changed_output_fails_with_its_document(
    tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    write_bundle(tmp_path / "x.edge", manifest, members)
    golden = Bundle.open(tmp_path / "x.edge").golden()
    golden.outputs[0][4, 0, 1] ^= 1
    members["golden.npz"] = golden.to_npz()
    write_bundle(tmp_path / "x.edge", manifest, members)
    bundle = Bundle.open(tmp_path / "x.edge")
    engine = open_engine("litert", bundle.model())
    with engine, pytest.raises(GateFailed, match="must be equal") as caught:
        require_golden(bundle, engine)
    assert engine.info.version in str(caught.value)
    assert "build the bundle again" in caught.value.fix
    assert caught.value.exit_status == 3
    assert caught.value.document == {
        "schema": "edge-sdk/golden/1",
        "bundle": bundle.identity,
        "engine": engine.info.as_dict(),
        "golden": {
            **{"rule": "exact", "passed": False, "samples": 10, "largest": 1.0},
            "because": "outputs differ where they must be equal",
        },
    }


# From here on the engine is a stand-in that answers what a test wants, under litert's name.


def stand_in(output: NDArray[Any], name: str = "litert") -> tuple[Engine, NDArray[Any]]:
    """An engine whose answer to sample i is output[i], and the samples."""
    quant = None if output.dtype == np.float32 else QuantParams(1 / 256, 0)
    image = TensorSpec("image", (1, 1), "int8", None)
    scores = TensorSpec("scores", output.shape[1:], output.dtype.name, quant)
    engine = FakeEngine((image,), (scores,), answer=lambda inputs: (output[int(inputs[0][0, 0])],))
    engine.info = EngineInfo(name, "9", "builtin", "xnnpack", 1)
    return engine, np.arange(len(output), dtype=np.int8).reshape(-1, 1, 1)


def manifest_for(engine: Engine, manifest: Manifest, role: Any = "scores") -> Manifest:
    """`manifest` with the stand-in's tensors, proven by another version, 4 steps allowed."""
    return replace(
        manifest,
        input=replace(manifest.input, tensor=TensorEntry.of(engine.inputs[0])),
        outputs=tuple(OutputEntry(role, TensorEntry.of(spec)) for spec in engine.outputs),
        golden=replace(manifest.golden, version="8", steps=4),
    )


def compared(
    manifest: Manifest, wanted: list[list[float]], found: list[list[float]], dtype: str, **more: Any
) -> tuple[bool | None, str]:
    """(passed, because) for golden scores `wanted` where the engine answers `found`."""
    name = more.pop("name", "litert")
    output = np.array(found, dtype)[:, None]
    engine, inputs = stand_in(output, name)
    golden = Golden((inputs,), (np.array(wanted, dtype)[:, None],))
    check = check_golden(manifest_for(engine, manifest, **more), golden, engine)
    return check.passed, check.because


@pytest.fixture
def manifest(tiny_parts: Callable[..., Parts]) -> Manifest:
    return tiny_parts()[0]


@pytest.mark.parametrize(
    ("wanted", "found", "because"),
    [
        ([10, 50, 20], [10, 50, 20], ""),
        ([10, 50, 20], [14, 46, 24], ""),
        ([10, 50, 20], [15, 50, 20], "outputs differ by more than 4 steps"),
        ([-128, 127, 0], [-128, 122, 0], "outputs differ by more than 4 steps"),
        ([50, 55, 20], [54, 51, 20], "another best class"),  # golden margin 5: it must hold
        ([50, 54, 20], [54, 50, 20], ""),  # golden margin 4: it need not
        ([50, 50, 20], [46, 50, 20], ""),
    ],
)
def test_integers_within_their_steps(
    manifest: Manifest, wanted: list[float], found: list[float], because: str
) -> None:
    sure = [10.0, 50.0, 20.0]
    passed, why = compared(manifest, [sure, wanted], [sure, found], "int8")
    assert (passed, why) == (not because, because)


def test_uint8_differences_do_not_wrap(manifest: Manifest) -> None:
    assert compared(manifest, [[0, 200, 9]], [[255, 200, 9]], "uint8")[0] is False
    assert compared(manifest, [[255, 200, 9]], [[251, 200, 9]], "uint8")[0] is True


BEYOND = "outputs differ by more than 0.001 relative, 1e-05 absolute"


@pytest.mark.parametrize(
    ("wanted", "found", "because"),
    [
        ([0.9, 0.1, 0.0], [0.9008, 0.0999, 0.000009], ""),
        ([0.9, 0.1, 0.0], [0.902, 0.1, 0.0], BEYOND),
        ([0.9, 0.1, 0.0], [0.9, 0.1, 0.00002], BEYOND),
        ([0.9, 0.1, 0.0], [float("nan"), 0.1, 0.0], BEYOND),
        ([float("nan"), 0.1, 0.0], [float("nan"), 0.1, 0.0], BEYOND),
        ([0.5, 0.4999, 0.0], [0.4999, 0.5, 0.0], ""),
        ([1.0, 0.9985, 0.0], [0.99905, 0.99945, 0.0], "another best class"),
    ],
)
def test_floats_within_their_tolerance(
    manifest: Manifest, wanted: list[float], found: list[float], because: str
) -> None:
    passed, why = compared(manifest, [wanted], [found], "float32")
    assert (passed, why) == (not because, because)


def test_a_difference_without_a_number_is_null_in_json() -> None:
    check = GoldenCheck("tolerance", False, 10, float("inf"), BEYOND)
    assert json.loads(json.dumps(check.as_dict(), allow_nan=False))["largest"] is None


def test_the_best_class_is_asked_of_scores_alone(manifest: Manifest) -> None:
    assert compared(manifest, [[50, 55]], [[54, 51]], "int8")[1] == "another best class"
    assert compared(manifest, [[50, 55]], [[54, 51]], "int8", role="state")[0] is True


def test_one_score_has_no_best_class(manifest: Manifest) -> None:
    assert compared(manifest, [[50], [60]], [[53], [57]], "int8")[0] is True


def test_nothing_is_asked_of_an_unproven_engine(manifest: Manifest) -> None:
    passed, because = compared(manifest, [[1, 2]], [[9, -9]], "int8", name="edgetpu")
    assert passed is None
    assert because == "no bound is known for engine edgetpu"


def test_an_unproven_engine_may_be_opened(tiny_bundle: Callable[..., Path]) -> None:
    bundle = Bundle.open(tiny_bundle())
    with open_engine("fake", bundle.model()) as engine:
        check = require_golden(bundle, engine)
    assert (check.rule, check.passed) == ("unproven", None)
    assert check.largest > 4


def test_the_largest_difference() -> None:
    assert difference(np.array([-128], np.int8), np.array([127], np.int8)) == 255.0
    assert difference(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == np.inf
    assert difference(np.array([], np.int8), np.array([], np.int8)) == 0.0


def test_answers_are_stacked(tiny_bundle: Callable[..., Path]) -> None:
    with Bundle.open(tiny_bundle()) as bundle, litert() as engine:
        golden = bundle.golden()
        (output,) = answers(engine, golden.inputs)
    assert np.array_equal(output, golden.outputs[0])


SCORES = TensorEntry("scores", (1, 3), "int8", 1 / 256, -128)
STRANGE = {
    "shape": {"outputs": (OutputEntry("scores", replace(SCORES, shape=(3, 1))),)},
    "dtype": {"outputs": (OutputEntry("scores", replace(SCORES, dtype="uint8")),)},
    "zero point": {"outputs": (OutputEntry("scores", replace(SCORES, zero_point=0)),)},
    "scale": {"outputs": (OutputEntry("scores", replace(SCORES, scale=1 / 255)),)},
    "quantization": {"outputs": (OutputEntry("scores", replace(SCORES, scale=None)),)},
    "number": {"outputs": (OutputEntry("scores", SCORES), OutputEntry("state", SCORES))},
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_manifest_about_another_model_is_a_model_error(what: str, manifest: Manifest) -> None:
    other = replace(manifest, **STRANGE[what])
    outputs = tuple(np.zeros((10, *o.tensor.shape), o.tensor.dtype) for o in other.outputs)
    golden = Golden((np.zeros((10, 1, 4, 4, 1), np.int8),), outputs)
    with litert() as engine, pytest.raises(ModelError, match="are not the model's"):
        check_golden(other, golden, engine)


def test_names_and_lost_digits_do_not_matter(manifest: Manifest) -> None:
    entry = replace(SCORES, name="StatefulPartitionedCall:0", scale=0.003906250001)
    with litert() as engine:
        check_tensors(replace(manifest.interface, outputs=(OutputEntry("scores", entry),)), engine)


def test_a_model_with_two_inputs_is_refused(manifest: Manifest) -> None:
    with litert() as engine:
        image, scores = engine.inputs[0], engine.outputs[0]
    two = FakeEngine((image, image), (scores,))
    with pytest.raises(ModelError, match="are not the model's"):
        check_tensors(manifest.interface, two)
