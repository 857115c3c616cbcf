"""One frame in, one answer out: through the public door, against LiteRT used directly."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import Bundle, Frame, Recognizer, open_engine
from edge_sdk.bundle.manifest import Manifest, Postprocess
from edge_sdk.errors import BundleError, FileError, ModelError
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.preprocess import PreprocessSpec

Parts = tuple[Manifest, dict[str, bytes]]


def frame_of(pixels: Any, **more: Any) -> Frame:
    return Frame(np.asarray(pixels, np.uint8).reshape(4, 4), "gray", **more)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_the_answer_is_the_models(dtype: str, tiny_bundle: Callable[..., Path]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 4))
    with Bundle.open(tiny_bundle(dtype=dtype)) as bundle, Recognizer.open(bundle) as recognizer:
        result = recognizer(frame_of(pixels))
        with open_engine("litert", bundle.model()) as engine:
            offset = {"int8": -128, "uint8": 0, "float32": 0}[dtype]
            scale = 255 if dtype == "float32" else 1
            fed = ((pixels + offset) / scale).astype(dtype).reshape(1, 4, 4, 1)
            (stored,) = engine(fed)
    real = stored[0].astype(float) if dtype == "float32" else (stored[0] - float(offset)) / 256
    best = sorted(range(3), key=lambda i: -real[i])
    assert [c.index for c in result.classes] == best
    assert [c.label for c in result.classes] == [f"class{i}" for i in best]
    assert [c.score for c in result.classes] == pytest.approx([real[i] for i in best], rel=1e-5)


def test_times_and_names_are_handed_on(tiny_bundle: Callable[..., Path]) -> None:
    ticks = itertools.count(1000, 10)
    with Bundle.open(tiny_bundle()) as bundle:
        recognizer = Recognizer.open(bundle, now_ns=lambda: next(ticks))
    with recognizer:
        frame = frame_of(range(16), sensor_ns=500, index=7, source="a.png")
        result = recognizer(frame, capture_ns=3)
        assert recognizer.golden is not None
        assert recognizer.golden.rule == "exact"
    assert (result.index, result.source, result.sensor_ns, result.result_ns) == (
        7,
        "a.png",
        500,
        1030,
    )
    assert (result.stages.capture, result.stages.preprocess) == (3, 10)
    assert (result.stages.invoke, result.stages.postprocess) == (10, 10)


def test_min_score_and_top(tiny_bundle: Callable[..., Path]) -> None:
    path = tiny_bundle(classes=8, postprocess=Postprocess(min_score=0.2))
    with Bundle.open(path) as bundle:
        every = Recognizer.open(bundle, min_score=0.0)
        asked = Recognizer.open(bundle)
    with every, asked:
        frame = frame_of(range(0, 256, 16))
        assert len(every(frame).classes) == 5
        assert asked(frame).classes == tuple(c for c in every(frame).classes if c.score >= 0.2)
        assert len(every.scores()) == 8


def test_softmax_is_applied_where_the_manifest_asks(tiny_bundle: Callable[..., Path]) -> None:
    path = tiny_bundle(dtype="float32", postprocess=Postprocess(activation="softmax"))
    with open_recognizer(path) as asked, open_recognizer(tiny_bundle(dtype="float32")) as plain:
        frame = frame_of(range(16))
        plain(frame), asked(frame)
        raw = np.exp(plain.scores().astype(float))
        assert asked.scores() == pytest.approx(raw / raw.sum(), rel=1e-5)


def test_info_and_closing(tiny_bundle: Callable[..., Path]) -> None:
    recognizer = open_recognizer(tiny_bundle(), "isolated:litert", threads=2)
    assert (recognizer.info.name, recognizer.info.threads) == ("litert", 2)
    recognizer.close()
    recognizer.close()


def test_any_frame_is_answered(tiny_bundle: Callable[..., Path]) -> None:
    random = np.random.default_rng(0)
    for spec in (PreprocessSpec(fit="letterbox"), PreprocessSpec(fit="stretch", resize="area")):
        with open_recognizer(tiny_bundle(shape=(8, 6, 3), preprocess=spec)) as recognizer:
            for size, color in itertools.product([(1, 1), (720, 1280), (5, 900)], ["rgb", "gray"]):
                shape = size if color == "gray" else (*size, 3)
                frame = Frame(random.integers(0, 256, shape, np.uint8), color)  # type: ignore[arg-type]
                assert len(recognizer(frame).classes) == 3


def test_an_engine_on_another_model(tiny_parts: Callable[..., Parts]) -> None:
    manifest, _ = tiny_parts()
    _, members = tiny_parts(shape=(8, 8, 1))
    engine = open_engine("litert", members["model.tflite"])
    with engine, pytest.raises(ModelError, match="are not the model's"):
        Recognizer(manifest.interface, ("a", "b", "c"), engine)


def test_the_engine_is_closed_when_the_rest_fails(
    detector_bundle: Callable[..., Path],
) -> None:
    """A manifest that asks for what cannot be must not leave an interpreter open."""
    with (
        Bundle.open(detector_bundle(min_scores={"violet": 0.5})) as bundle,
        pytest.raises(ModelError, match="'violet', which is no label"),
    ):
        Recognizer.open(bundle, "isolated:litert")


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        open_recognizer(tmp_path / "x.edge")
    (tmp_path / "x.edge").write_text("no bundle")
    with pytest.raises(BundleError):
        open_recognizer(tmp_path / "x.edge")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_a_prepared_frame_is_answered_as_the_frame_itself(
    dtype: str, fit: Any, tiny_bundle: Callable[..., Path]
) -> None:
    """Also after its memory had another frame in it."""
    preprocess = PreprocessSpec("rgb", fit, mean=(0.0,), std=(255.0,))
    path = tiny_bundle(shape=(8, 8, 3), dtype=dtype, preprocess=preprocess)
    random = np.random.default_rng(3)
    frames = [Frame(random.integers(0, 256, (9, 16, 3), np.uint8), "bgr", 5) for _ in range(4)]
    with open_recognizer(path) as recognizer:
        prepare = recognizer.preparer()
        assert prepare is not None
        for frame in frames:
            prepared = prepare(frame)
            assert prepared is not None
            result = recognizer(frame, capture_ns=3, prepared=prepared)
            prepare.release(prepared)
            scores = recognizer.scores()
            direct = recognizer(frame, capture_ns=3)
            assert (result.classes, result.sensor_ns) == (direct.classes, 5)
            assert (scores == recognizer.scores()).all()


def test_what_preparing_took_is_part_of_preprocess(tiny_bundle: Callable[..., Path]) -> None:
    ticks = itertools.count(1000, 10)
    with Bundle.open(tiny_bundle()) as bundle:
        recognizer = Recognizer.open(bundle, now_ns=lambda: next(ticks))
    with recognizer:
        prepare = recognizer.preparer()
        assert prepare is not None
        frame = frame_of(range(16))
        assert recognizer(frame, prepared=prepare(frame)).stages.preprocess == 20
