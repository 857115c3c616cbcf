"""Real detectors: TensorFlow's SSD MobileNet for COCO, whole and with its post-process cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_sdk import Recognizer, open_engine, read_image
from edge_sdk.bundle.manifest import GoldenEntry, LabelsEntry, Manifest, ModelEntry
from edge_sdk.model.anchors import Anchors
from edge_sdk.model.interface import InputEntry, OutputEntry, TensorEntry
from edge_sdk.model.postprocess import Postprocess, roles_of
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tasks.overlap import overlap
from edge_sdk.tflite.detection_postprocess import detection_operator
from edge_sdk.tflite.graph import read_graph

IMAGES = ("pets.jpg", "kite_and_cold.jpg", "cats_and_dogs.jpg")
PLACES = {
    # What is in the images, by hand: (label, x0, y0, x1, y1), to some pixels.
    "pets.jpg": [("dog", 118, 45, 252, 300), ("dog", 340, 160, 495, 375)],
    "grace_hopper.bmp": [("person", 0, 25, 512, 600)],
    "owl.jpg": [("bird", 150, 5, 335, 370)],
}


def manifest_of(model: bytes, labels: int, post: Postprocess) -> Manifest:
    with open_engine("litert", model) as engine:
        image, outputs, info = engine.inputs[0], engine.outputs, engine.info
    return Manifest(
        *("ssd", "1.0.0", "detect", {"litert": ModelEntry("model.tflite", "uint8")}),
        InputEntry(TensorEntry.of(image), PreprocessSpec(fit="stretch")),
        tuple(
            OutputEntry(role, TensorEntry.of(spec))
            for role, spec in zip(roles_of(post.decode), outputs, strict=True)
        ),
        LabelsEntry("labels.txt", labels),
        GoldenEntry(
            *("golden.npz", 10, "synthetic", "litert", info.version, info.resolver),
            info.delegate,
            4,
        ),
        post,
    )


@pytest.fixture(scope="module")
def model(shared_data: Path) -> bytes:
    return (shared_data / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite").read_bytes()


@pytest.fixture(scope="module")
def labels(shared_data: Path) -> tuple[str, ...]:
    return tuple((shared_data / "labels" / "coco_labels.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def whole(model: bytes, labels: tuple[str, ...]) -> Iterator[Recognizer]:
    manifest = manifest_of(model, len(labels), Postprocess(min_score=0.4, classes=90))
    with Recognizer(manifest.interface, labels, open_engine("litert", model)) as recognizer:
        yield recognizer


@pytest.fixture(scope="module")
def raw(model: bytes, labels: tuple[str, ...]) -> Iterator[Recognizer]:
    model = without_post_process(model)
    post = Postprocess(min_score=0.4, decode="ssd", anchors=Anchors(), iou=0.6, label_offset=1)
    manifest = manifest_of(model, len(labels), post)
    with Recognizer(manifest.interface, labels, open_engine("litert", model)) as recognizer:
        yield recognizer


@pytest.mark.parametrize("name", IMAGES)
def test_boxes_are_those_of_the_models_own_post_process(
    name: str, whole: Recognizer, labels: tuple[str, ...], shared_data: Path
) -> None:
    """Its outputs, and the arithmetic of an image that is stretched over the model's."""
    frame = read_image(shared_data / "images" / name)
    found = whole(frame).detections or ()
    boxes, classes, scores, count = (whole.engine.output(i)[0] for i in range(4))
    kept = [i for i in range(int(count)) if scores[i] >= 0.4]
    assert len(found) == len(kept) > 0
    assert [d.score for d in found] == sorted(scores[kept].tolist(), reverse=True)
    for i in kept:
        y0, x0, y1, x1 = np.clip(boxes[i], 0, 1)
        wanted = (x0 * frame.width, y0 * frame.height, x1 * frame.width, y1 * frame.height)
        near = [d for d in found if d.box == pytest.approx(wanted, abs=1e-3)]
        assert [d.label for d in near] == [labels[int(classes[i])]]


@pytest.mark.parametrize("name", sorted(PLACES))
def test_things_are_found_where_they_are(name: str, whole: Recognizer, shared_data: Path) -> None:
    found = whole(read_image(shared_data / "images" / name)).detections or ()
    for label, *edges in PLACES[name]:
        shares = [overlap(np.array(edges), np.array(d.box)) for d in found if d.label == label]
        assert max(shares) > 0.8


def without_post_process(model: bytes) -> bytes:
    """The same model, whose outputs are what its last operator takes."""
    cut = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = cut.subgraphs[0]
    last = graph.operators.pop()
    graph.outputs = list(last.inputs[:2])
    builder = flatbuffers.Builder(1024)
    builder.Finish(cut.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("name", IMAGES)
def test_our_decoding_is_the_models_own(
    name: str, whole: Recognizer, raw: Recognizer, shared_data: Path
) -> None:
    """Raw boxes and scores in 8 bits, anchors from parameters, our suppression: what the model's
    own post-process finds, at the same place, and nothing elsewhere. It suppresses across classes,
    so that one thing has one name; ours may name it twice.
    """
    frame = read_image(shared_data / "images" / name)
    theirs, ours = whole(frame).detections, raw(frame).detections
    assert theirs and ours
    for wanted in theirs:
        same = [d for d in ours if (d.label, d.score) == (wanted.label, wanted.score)]
        # Their anchors are stored in steps of 0.0065 of the image.
        near = 0.0065 * np.array([frame.width, frame.height] * 2)
        assert any((np.abs(np.array(d.box) - wanted.box) <= near).all() for d in same)
    places = np.array([d.box for d in theirs])
    for one in ours if len(theirs) < 10 else ():  # it gives ten at most
        assert overlap(np.array(one.box), places).max() > 0.5


def test_what_the_operator_says(model: bytes) -> None:
    graph = read_graph(model)
    found = detection_operator(graph)
    assert found is not None
    assert (found.classes, found.outputs) == (90, graph.outputs)
    assert detection_operator(read_graph(without_post_process(model))) is None


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
def test_another_fit_finds_the_same(fit: Any, whole: Recognizer, shared_data: Path) -> None:
    """It shows the model another image; the boxes come back to the same places."""
    frame = read_image(shared_data / "images" / "owl.jpg")
    (wanted, *_) = whole(frame).detections or ()
    entry = replace(whole.interface.input, preprocess=PreprocessSpec(fit=fit))
    other = Recognizer(replace(whole.interface, inputs=(entry,)), whole.labels, whole.engine)
    (best, *_) = other(frame).detections or ()
    assert best.label == wanted.label == "bird"
    assert overlap(np.array(best.box), np.array(wanted.box)) > 0.75
