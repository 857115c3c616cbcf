"""The golden rule of detectors: the same things in any order, raw outputs by their range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_sdk import Bundle, Engine, open_engine, read_image
from edge_sdk.bundle.manifest import MIN_SAMPLES, Manifest, ModelEntry
from edge_sdk.bundle.reading import Golden, write_bundle
from edge_sdk.engines import EngineInfo
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.errors import GateFailed
from edge_sdk.inference.golden import (
    MIN_STEPS,
    GoldenCheck,
    answers,
    check_golden,
    require_golden,
    rule_for,
)
from edge_sdk.model.interface import OutputEntry, TensorEntry
from edge_sdk.tasks import task_of
from edge_sdk.tensors import QuantParams, TensorSpec

Parts = tuple[Manifest, dict[str, bytes]]
Outputs = tuple[NDArray[Any], ...]
PLACES = 10


def answering(outputs: Outputs, quants: tuple[QuantParams | None, ...] = ()) -> Engine:
    """A stand-in for litert 9 whose answer to sample i is outputs[k][i]."""
    image = TensorSpec("image", (1, 1, 1, 3), "int8")
    specs = tuple(
        TensorSpec(
            f"output {k}", values.shape[1:], values.dtype.name, quants[k] if quants else None
        )
        for k, values in enumerate(outputs)
    )
    engine = FakeEngine(
        (image,), specs, answer=lambda inputs: tuple(o[int(inputs[0].flat[0])] for o in outputs)
    )
    engine.info = EngineInfo("litert", "9", "builtin", "xnnpack", 1)
    return engine


def checked(
    manifest: Manifest,
    wanted: Outputs,
    found: Outputs,
    *,
    precision: str = "uint8",
    steps: int = 4,
    quants: tuple[QuantParams | None, ...] = (),
) -> GoldenCheck:
    """How `found` comes out where the bundle carries `wanted`, made by litert 8."""
    with answering(found, quants) as engine:
        entries = zip(manifest.outputs, engine.outputs, strict=True)
        manifest = replace(
            manifest,
            models={"litert": ModelEntry("model.tflite", precision)},
            input=replace(manifest.input, tensor=TensorEntry.of(engine.inputs[0])),
            outputs=tuple(OutputEntry(o.role, TensorEntry.of(spec)) for o, spec in entries),
            golden=replace(manifest.golden, version="8", steps=steps),
        )
        samples = len(wanted[0])
        inputs = np.zeros((samples, 1, 1, 1, 3), np.int8)
        inputs[:, 0, 0, 0, 0] = np.arange(samples)
        return check_golden(manifest, Golden((inputs,), wanted), engine)


# -- a post-process that is built in


@pytest.fixture
def built_in(detector_parts: Callable[..., Parts]) -> Manifest:
    return detector_parts("built-in")[0]


def images(counts: list[int], scores: list[float]) -> Outputs:
    """Boxes that do not touch each other, of three classes, with the same scores in each image,
    best first; what lies behind the count is garbage.
    """
    n = len(counts)
    random = np.random.default_rng(1)
    boxes = random.uniform(-9, 9, (n, 1, PLACES, 4)).astype(np.float32)
    classes = random.integers(0, 90, (n, 1, PLACES)).astype(np.float32)
    stored = random.uniform(0, 1, (n, 1, PLACES)).astype(np.float32)
    for row, count in enumerate(counts):
        for place in range(count):
            boxes[row, 0, place] = (0.1 * place, 0.2, 0.1 * place + 0.08, 0.7)
            classes[row, 0, place] = place % 3
            stored[row, 0, place] = scores[place]
    return boxes, classes, stored, np.array(counts, np.float32)[:, None]


def taken(outputs: Outputs, order: NDArray[np.intp]) -> Outputs:
    """The same with the places of every image in another order."""
    return (*(values[:, :, order].copy() for values in outputs[:3]), outputs[3].copy())


EQUAL = [0.9, 0.8, 0.8, 0.8, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(0, PLACES), order=st.permutations(range(PLACES)), seed=st.integers(0, 99))
def test_any_order_and_any_garbage_behind_the_count_are_the_same(
    built_in: Manifest, count: int, order: list[int], seed: int
) -> None:
    wanted = images([count] * 3, EQUAL)
    found = taken(wanted, np.array([*(i for i in order if i < count), *range(count, PLACES)]))
    random = np.random.default_rng(seed)
    for values in found[:3]:
        values[:, :, count:] = random.choice([np.nan, np.inf, -1e30, 0.5, 1e9])
    for precision in ("uint8", "float32"):
        check = checked(built_in, wanted, found, precision=precision)
        assert (check.rule, check.passed, check.largest) == ("tolerance", True, 0.0)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    precision=st.sampled_from(["uint8", "float32"]),
    row=st.integers(0, 2),
    place=st.integers(0, 6),
    what=st.sampled_from(["box", "class", "score", "missing", "new", "nan"]),
    count=st.integers(8, PLACES),
)
def test_one_wrong_detection_fails_and_is_named(
    built_in: Manifest, precision: str, row: int, place: int, what: str, count: int
) -> None:
    """Of those that people are shown: the least score is 0.5."""
    wanted = images([count] * 3, EQUAL)
    boxes, classes, scores, _ = found = taken(wanted, np.arange(PLACES))
    if what == "box":
        boxes[row, 0, place] += (0.1, 0.5, 0.1, 0.5)
    elif what == "class":
        classes[row, 0, place] += 1
    elif what == "score":
        scores[row, 0, place] -= 0.1
    elif what == "nan":
        boxes[row, 0, place] = np.nan
    else:
        broken = wanted if what == "new" else found
        for values in broken[:3]:
            values[row, 0, place:-1] = values[row, 0, place + 1 :]
        broken[3][row] -= 1
    check = checked(built_in, wanted, found, precision=precision)
    assert check.passed is False
    number = place % 3 + (what == "class" and "is new" in check.because)
    assert check.because.startswith(f"sample {row}: class {number} with score ")
    verdict = "is new" if what == "new" else "is missing"
    assert verdict in check.because or what in ("box", "class", "score", "nan")
    if what == "score":
        assert "which overlaps it by 1.00" in check.because


@pytest.mark.parametrize(
    ("precision", "score", "side", "passed"),
    [
        ("uint8", 0.015, 0.0, True),  # 4 steps of 1/255: 0.0157
        ("uint8", 0.017, 0.0, False),
        ("uint8", 0.0, 0.3, True),  # overlap 0.54
        ("uint8", 0.0, 0.5, False),  # 0.33
        ("float32", 0.0005, 0.0, True),
        ("float32", 0.002, 0.0, False),
        ("float32", 0.0, 0.03, True),
        ("float32", 0.0, 0.3, False),
    ],
)
def test_how_far_one_may_be_off(
    built_in: Manifest, precision: str, score: float, side: float, passed: bool
) -> None:
    wanted = images([8], EQUAL)
    boxes, _, scores, _ = found = taken(wanted, np.arange(PLACES))
    scores[0, 0, 0] -= score
    boxes[0, 0, 0, [1, 3]] += side * 0.5
    assert checked(built_in, wanted, found, precision=precision).passed is passed


def test_what_is_near_the_cut_may_come_and_go(built_in: Manifest) -> None:
    """All places are taken: the last one may have lost its place to one with a like score."""
    scores = [0.9, *[0.8] * 7, 0.61, 0.6]
    wanted = images([PLACES] * 2, scores)
    for place, passed in ((9, True), (8, True), (7, False)):
        boxes, _, _, _ = found = taken(wanted, np.arange(PLACES))
        boxes[:, 0, place] = (0.0, 0.8, 0.2, 0.9)
        assert checked(built_in, wanted, found).passed is passed


def test_below_the_least_score_most_must_be_the_same(built_in: Manifest) -> None:
    """Random golden images show nothing clearly: what they show must hold all the same."""
    wanted = images([PLACES] * 10, [0.4, 0.3, 0.28, 0.26, 0.24, 0.22, 0.2, 0.18, 0.16, 0.1])
    found = taken(wanted, np.arange(PLACES))
    for row in range(10):
        found[1][row, 0, 3] += 1
        assert checked(built_in, wanted, found).passed is (row < 9), row


def test_one_may_suppress_the_other(built_in: Manifest) -> None:
    """Two boxes that overlap by a little less than the least overlap of one and the same."""
    wanted = images([2], [0.9, 0.8])
    wanted[0][0, 0, :2] = [(0.0, 0.0, 0.5, 0.5), (0.0, 0.15, 0.5, 0.65)]
    found = taken(wanted, np.arange(PLACES))
    found[3][0] = 1
    assert checked(built_in, wanted, found).passed is True
    wanted[0][0, 0, 1] = (0.0, 0.25, 0.5, 0.75)
    check = checked(built_in, wanted, found)
    assert check.because == (
        "sample 0: class 1 with score 0.8 at 0.25 0.00 0.75 0.50 is missing: "
        "there is class 0 with score 0.9 at 0.00 0.00 0.50 0.50, which overlaps it by 0.33"
    )


@pytest.mark.parametrize("count", [np.nan, -3.0, 0.0])
def test_no_detections_where_there_should_be_some(built_in: Manifest, count: float) -> None:
    wanted = images([3], EQUAL)
    found = taken(wanted, np.arange(PLACES))
    found[3][0] = count
    check = checked(built_in, wanted, found)
    assert "class 0 with score 0.9 at 0.20 0.00 0.70 0.08 is missing" in check.because
    assert check.because.endswith("nothing else is there")


def test_a_score_that_is_no_number_is_never_near(built_in: Manifest) -> None:
    wanted = images([3], EQUAL)
    found = taken(wanted, np.arange(PLACES))
    found[2][0, 0, 1] = np.nan
    for one, other in ((wanted, found), (found, wanted), (found, found)):
        check = checked(built_in, one, other)
        assert (check.passed, check.largest) == (False, np.inf)
        assert check.because == "sample 0: a score is not a number"


def test_a_built_in_post_process_is_never_exact(built_in: Manifest) -> None:
    golden = built_in.golden
    info = EngineInfo(golden.engine, golden.version, golden.resolver, golden.delegate, 1)  # type: ignore[arg-type]
    int8 = replace(built_in, models={"litert": ModelEntry("model.tflite", "int8")})
    assert rule_for(int8, info) == "tolerance"
    raw = replace(int8, outputs=(replace(int8.outputs[0], role="raw_boxes"),))
    assert rule_for(raw, info) == "exact"


def test_a_detector_is_proven_on_other_resolvers(detector_bundle: Callable[..., Path]) -> None:
    for ending in ("built-in", "ssd", "background"):
        with Bundle.open(detector_bundle(ending)) as bundle:
            for resolver in ("builtin", "builtin-without-delegates"):
                with open_engine("litert", bundle.model(), resolver=resolver) as engine:  # type: ignore[arg-type]
                    assert require_golden(bundle, engine).passed is True


def test_the_error_names_engine_version_and_detection(
    detector_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    """Golden outputs of another image, through the real interpreter."""
    manifest, members = detector_parts("built-in")
    write_bundle(tmp_path / "x.edge", manifest, members)
    golden = Bundle.open(tmp_path / "x.edge").golden()
    golden.outputs[1][4, 0, 0] = 2 - golden.outputs[1][4, 0, 0]
    golden.outputs[1][4, 0, 0] += golden.outputs[1][4, 0, 0] == 1
    members["golden.npz"] = golden.to_npz()
    write_bundle(tmp_path / "x.edge", manifest, members)
    with Bundle.open(tmp_path / "x.edge") as bundle:
        engine = open_engine("litert", bundle.model())
        with engine, pytest.raises(GateFailed, match="sample 4: class") as caught:
            require_golden(bundle, engine)
    assert f"on litert {engine.info.version} (xnnpack)" in str(caught.value)


# -- raw outputs


@pytest.fixture
def raw(detector_parts: Callable[..., Parts]) -> Manifest:
    return detector_parts("ssd")[0]


def offsets(dtype: str) -> Outputs:
    """Boxes from -100 to 100, many near 0, and scores from -10 to 10; or 8 bits for them."""
    random = np.random.default_rng(3)
    values = np.concatenate([random.normal(0, 1e-3, 800), np.linspace(-100, 100, 800)])
    boxes, scores = values.reshape(10, 1, 40, 4), values.reshape(10, 1, 40, 4) / 10
    if dtype == "float32":
        return boxes.astype(np.float32), scores.astype(np.float32)
    return tuple((127 + v / np.abs(v).max() * 127).astype(np.uint8) for v in (boxes, scores))


@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "precision", "apart", "passed"),
    [
        ("float32", "float32", 0.0009, True),  # shares of the range
        ("float32", "float32", 0.0011, False),
        ("float32", "float16", 0.0009, True),
        ("float32", "uint8", 0.015, True),  # 4 steps of 255: 0.0157
        ("float32", "uint8", 0.017, False),
        ("uint8", "uint8", 0.015, True),
        ("uint8", "uint8", 0.02, False),
        *((dtype, "uint8", 0.1, False) for dtype in ("float32", "uint8")),
        ("float32", "float32", 0.1, False),
    ],
)
def test_raw_outputs_are_compared_by_their_range(
    raw: Manifest, dtype: str, precision: str, apart: float, passed: bool, output: int
) -> None:
    wanted = offsets(dtype)
    shift = apart * float(np.ptp(wanted[output].astype(np.float64)))
    found = [values.copy() for values in wanted]
    moved = np.trunc(shift) if dtype == "uint8" else shift
    found[output][3] = np.clip(
        found[output][3].astype(np.float64) + moved,
        *((0, 255) if dtype == "uint8" else (-np.inf, np.inf)),
    ).astype(dtype)
    quants = (QuantParams(0.8, 127), QuantParams(0.08, 127)) if dtype == "uint8" else ()
    check = checked(raw, wanted, tuple(found), precision=precision, quants=quants)
    assert check.passed is passed, check
    if not passed:
        role = ("raw_boxes", "raw_scores")[output]
        assert role in check.because


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_never_near(raw: Manifest, bad: float) -> None:
    wanted = offsets("float32")
    found = tuple(values.copy() for values in wanted)
    found[0][2, 0, 5, 1] = bad
    for one, other in ((wanted, found), (found, wanted), (found, found)):
        for precision in ("float32", "uint8"):
            assert checked(raw, one, other, precision=precision).passed is False


# -- a real model


def engines() -> list[tuple[str, str]]:
    """(name, resolver) of interpreters other than the one that bundles are proven on."""
    found = [("litert", "builtin-without-delegates")]
    try:
        import tflite_runtime  # noqa: F401
    except ImportError:
        return found
    return [*found, ("tflite-runtime", "builtin")]


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[bytes, Golden]:
    """TensorFlow's SSD MobileNet for COCO, and what litert finds in ten images."""
    model = (shared_data / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite").read_bytes()
    names = sorted(p for p in (shared_data / "images").iterdir() if p.is_file())[:MIN_SAMPLES]
    small = [cv2.resize(read_image(name).pixels, (300, 300))[None, ..., ::-1] for name in names]
    inputs = (np.ascontiguousarray(small),)
    with open_engine("litert", model) as engine:
        return model, Golden(inputs, answers(engine, inputs))


@pytest.mark.parametrize(("name", "resolver"), engines())
def test_a_real_detector_is_the_same_on_other_interpreters(
    name: str, resolver: Any, real: tuple[bytes, Golden], built_in: Manifest
) -> None:
    """Its 8-bit kernels are not XNNPACK's: element by element, classes differ by up to 77."""
    model, golden = real
    with open_engine("litert", model) as engine:
        entries = zip(built_in.outputs, engine.outputs, strict=True)
        outputs = tuple(OutputEntry(o.role, TensorEntry.of(spec)) for o, spec in entries)
        image = TensorEntry.of(engine.inputs[0])
    with open_engine("litert", model, resolver="builtin-without-delegates") as engine:
        found = answers(engine, golden.inputs)
        seen = apart(replace(built_in, outputs=outputs), golden.outputs, found, "uint8")
    manifest = replace(
        built_in,
        models={"litert": ModelEntry("model.tflite", "uint8")},
        input=replace(built_in.input, tensor=image),
        outputs=outputs,
        golden=replace(built_in.golden, steps=max(MIN_STEPS, 1 + math.ceil(seen))),
    )
    with open_engine(name, model, resolver=resolver) as engine:
        check = check_golden(manifest, golden, engine)
        assert (check.rule, check.passed, check.because) == ("tolerance", True, "")
        assert not np.array_equal(answers(engine, golden.inputs)[1], golden.outputs[1])
        others = tuple(np.roll(values, 1, axis=0) for values in golden.outputs)
        assert check_golden(manifest, Golden(golden.inputs, others), engine).passed is False


# -- what a build notes


def apart(manifest: Manifest, wanted: Outputs, found: Outputs, precision: str) -> float:
    return task_of(manifest).steps_apart(manifest.interface, wanted, found, precision)


def test_steps_are_counted_where_the_rule_counts_them(raw: Manifest, built_in: Manifest) -> None:
    one = offsets("float32")
    other = (one[0] + np.float32(200 * 7 / 255), one[1])
    assert apart(raw, one, other, "int8") == pytest.approx(7, abs=0.01)
    assert apart(raw, one, other, "float32") == 0
    stored = offsets("uint8")
    assert apart(raw, stored, (stored[0], stored[1] ^ 1), "uint8") == 1
    wanted = images([8], EQUAL)
    found = taken(wanted, np.arange(PLACES))
    found[2][0, 0, 2] += 11 / 255
    assert apart(built_in, wanted, found, "uint8") == pytest.approx(11, abs=0.01)
    assert apart(built_in, wanted, found, "float32") == 0
