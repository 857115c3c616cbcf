"""Sequences: clips and features through the public door, against the image path and LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import Bundle, Frame, Recognizer, evaluate, open_engine
from edge_sdk.bundle.manifest import parse_manifest
from edge_sdk.cli.table import main
from edge_sdk.data.samples import FeatureRow, Image, LabelledImages, Sample
from edge_sdk.errors import BundleError, DataError, ModelError
from edge_sdk.evaluation.classification import evaluate_images
from edge_sdk.images.image_files import write_image
from edge_sdk.model.interface import SequenceEntry
from edge_sdk.preprocess import Preprocessor, PreprocessSpec
from edge_sdk.tasks.sequence import ClipPreprocessor, FeaturePreprocessor
from edge_sdk.tensors import QuantParams, TensorSpec, quantize

STORED = QuantParams(1 / 255, -128)


def frames_of(count: int, seed: int = 0) -> tuple[Frame, ...]:
    random = np.random.default_rng(seed)
    return tuple(
        Frame(random.integers(0, 256, (9, 12, 3), np.uint8), "rgb", index=number, sensor_ns=number)
        for number in range(count)
    )


def test_each_frame_is_fed_as_a_image_is() -> None:
    spec = PreprocessSpec("gray", "letterbox", mean=(0.0,), std=(255.0,))
    clip = TensorSpec("frames", (1, 3, 8, 6, 1), "int8", STORED)
    image = Preprocessor(spec, TensorSpec("image", (1, 8, 6, 1), "int8", STORED))
    frames = frames_of(3)
    out = np.zeros(clip.shape, np.int8)
    ClipPreprocessor(spec, clip)(frames, out)
    for step, frame in enumerate(frames):
        wanted = np.zeros((1, 8, 6, 1), np.int8)
        image(frame, wanted)
        assert np.array_equal(out[:, step], wanted)


def test_features_are_quantized_as_the_tensor_asks() -> None:
    tensor = TensorSpec("features", (1, 4, 2), "int8", QuantParams(0.02, 3))
    values = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    out = np.zeros(tensor.shape, np.int8)
    FeaturePreprocessor(tensor)(values, out)
    assert np.array_equal(out[0], quantize(values, tensor))


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_frames_is_refused(count: int) -> None:
    clip = TensorSpec("frames", (1, 3, 8, 6, 3), "int8", STORED)
    with pytest.raises(ModelError, match=f"{count} frames do not fit"):
        ClipPreprocessor(PreprocessSpec(), clip)(frames_of(count), np.zeros(clip.shape, np.int8))


def test_other_features_are_refused() -> None:
    tensor = TensorSpec("features", (1, 4, 2), "float32")
    with pytest.raises(ModelError, match="2x4 features do not fit"):
        FeaturePreprocessor(tensor)(np.zeros((2, 4), np.float32), np.zeros((1, 4, 2), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_features_that_are_no_numbers_are_refused(dtype: str, value: float) -> None:
    tensor = TensorSpec("features", (1, 4, 2), dtype, STORED)
    fill, out = FeaturePreprocessor(tensor), np.zeros((1, 4, 2), dtype)
    rows = np.zeros((4, 2), np.float32)
    rows[3, 1] = value
    with pytest.raises(ModelError, match="NaN or an infinity"):
        fill(rows, out)
    with pytest.raises(ModelError, match="NaN or an infinity"):
        fill.step(rows[3], out[:, 0])


def test_a_clip_is_answered_as_of_its_newest_frame(tiny_bundle: Callable[..., Path]) -> None:
    with (
        Bundle.open(tiny_bundle(shape=(3, 8, 6, 3))) as bundle,
        Recognizer.open(bundle) as recognizer,
    ):
        result = recognizer(frames_of(3))
        assert (result.index, result.sensor_ns) == (2, 2)
        assert bundle.manifest.task == "sequence"
        assert bundle.manifest.sequence == SequenceEntry(3, 1)


def test_features_are_answered_as_litert_does(tiny_bundle: Callable[..., Path]) -> None:
    values = np.random.default_rng(3).random((4, 2), np.float32)
    with (
        Bundle.open(tiny_bundle(shape=(4, 2))) as bundle,
        Recognizer.open(bundle) as recognizer,
        open_engine("litert", bundle.model()) as engine,
    ):
        assert bundle.manifest.input.preprocess is None
        recognizer(values)
        (stored,) = engine(quantize(values[None], engine.inputs[0]))
        assert recognizer.scores() == pytest.approx((stored[0] + 128.0) / 256)


def test_features_are_evaluated(tiny_bundle: Callable[..., Path]) -> None:
    random = np.random.default_rng(3)
    with (
        Bundle.open(tiny_bundle(shape=(4, 2))) as bundle,
        Recognizer.open(bundle) as recognizer,
    ):
        rows = []
        for number in range(12):
            row = FeatureRow(0, f"{number}", values=random.random((4, 2), np.float32))
            recognizer(row.read())
            rows.append(row.labelled(int(recognizer.scores().argmax())))
        found = evaluate_images(recognizer, LabelledImages(bundle.labels, rows, "all"))
    assert (found.correct, found.n) == (12, 12)


def test_the_content_of_a_row_is_its_values() -> None:
    one = FeatureRow(0, "a", values=np.zeros((2, 2), np.float32))
    assert one.sha256 == one.labelled(1).sha256
    assert one.sha256 != FeatureRow(0, "a", values=np.ones((2, 2), np.float32)).sha256


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sequence": None}, 'task "sequence" needs "sequence"'),
        ({"sequence": SequenceEntry(5, 1)}, "does not fit sequence.frames 5"),
        ({"task": "classify"}, 'task "classify" has no "sequence"'),
    ],
)
def test_a_manifest_that_does_not_fit_itself(
    change: dict[str, Any], says: str, tiny_parts: Callable[..., Any]
) -> None:
    manifest, _ = tiny_parts(shape=(3, 8, 6, 3))
    assert parse_manifest(manifest.to_json()) == manifest
    with pytest.raises(BundleError, match=says):
        parse_manifest(replace(manifest, **change).to_json())


def test_features_have_three_dimensions(tiny_parts: Callable[..., Any]) -> None:
    manifest, _ = tiny_parts(shape=(3, 8, 6, 3))
    features = replace(manifest, input=replace(manifest.input, preprocess=None))
    with pytest.raises(BundleError, match="is not \\[1, frames, features\\]"):
        parse_manifest(features.to_json())


@pytest.mark.parametrize(("shape", "streamed"), [((3, 8, 6, 3), True), ((3, 2), False)])
def test_a_sequence_is_not_answered_a_image_at_a_time(
    shape: tuple[int, ...],
    streamed: bool,
    tiny_bundle: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Frames can be streamed; of features no camera gives any."""
    write_image(tmp_path / "a.png", frames_of(1)[0])
    assert main(["predict", str(tiny_bundle(shape=shape)), str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "answers about sequences of 3 frames" in printed.err
    assert ("edge-sdk run" in printed.err) is streamed
    assert "edge-sdk evaluate" in printed.err


@pytest.mark.parametrize(
    ("shape", "sample", "says", "fix"),
    [
        ((4, 2), Image(0, "a", pixels=np.zeros((4, 4), np.uint8)), "rows of features", "csv:"),
        ((3, 8, 6, 3), Image(0, "a", pixels=np.zeros((4, 4), np.uint8)), "clips", "video:"),
        ((3, 8, 6, 3), FeatureRow(0, "a"), "the data holds rows of features", "video:"),
        ((4, 4, 1), FeatureRow(0, "a"), "answers about single images", "folder:"),
    ],
)
def test_data_of_another_kind_is_refused(
    shape: tuple[int, ...],
    sample: Sample,
    says: str,
    fix: str,
    tiny_bundle: Callable[..., Path],
) -> None:
    data = LabelledImages(("class0",), [sample], "all")
    with Bundle.open(tiny_bundle(shape=shape)) as bundle, pytest.raises(DataError) as caught:
        evaluate(bundle, data)
    assert says in str(caught.value) and fix in caught.value.fix


@pytest.mark.parametrize(
    ("values", "known"),
    [(("0", "1", "2"), True), (("class1", "class2", "class3"), False), (("0", "1", "10"), True)],
)
def test_numbers_take_the_bundles_names(
    values: tuple[str, ...], known: bool, tiny_bundle: Callable[..., Path]
) -> None:
    """By place, but only plain numbers: labels that overlap are another order, not another name."""
    rows = [
        FeatureRow(number, f"{number}", values=np.ones((4, 2), np.float32)) for number in (0, 2)
    ]
    data = LabelledImages(values, rows, "all", numbered=True)
    with Bundle.open(tiny_bundle(shape=(4, 2))) as bundle:
        if known:
            assert evaluate(bundle, data).confusion.sum(axis=1).tolist() == [1, 0, 1]
        else:
            with pytest.raises(DataError, match="class3"):
                evaluate(bundle, data)


def test_numbers_out_of_order_take_no_names(tiny_bundle: Callable[..., Path]) -> None:
    data = LabelledImages(("1", "10", "2"), [FeatureRow(0, "a")], "all", numbered=True)
    with (
        Bundle.open(tiny_bundle(shape=(4, 2))) as bundle,
        pytest.raises(DataError, match="does not know"),
    ):
        evaluate(bundle, data)
