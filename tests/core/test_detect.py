"""Detections of real, tiny models: scores, boxes, thresholds, and where boxes lie in the frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_sdk import Bundle, Detection, Frame, Recognizer, open_engine
from edge_sdk.bundle.manifest import parse_manifest
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.errors import BundleError, ModelError
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.preprocess import Placement, Preprocessor, PreprocessSpec
from edge_sdk.tasks.detector import in_frame, scores_above
from edge_sdk.tensors import QuantParams, TensorSpec, dequantize

Make = Callable[..., Any]
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
ENDINGS = ["ssd", "background", "built-in"]


def image(*squares: tuple[int, int, Any], size: int = 8, scale: int = 10) -> Frame:
    """Black, with squares (column, row, colour) of `scale` pixels."""
    pixels = np.zeros((size * scale, size * scale, 3), np.uint8)
    for column, row, color in squares:
        pixels[row * scale : (row + 1) * scale, column * scale : (column + 1) * scale] = color
    return Frame(pixels, "rgb", index=3, sensor_ns=5, source="a.png")


def shown(found: tuple[Detection, ...] | None) -> list[tuple[str, int, float, list[int]]]:
    assert found is not None
    return [(d.label, d.index, round(d.score, 3), [round(edge) for edge in d.box]) for d in found]


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_way_to_answer_finds_the_same(ending: str, detector_bundle: Make) -> None:
    frame = image((2, 1, (230, 0, 0)), (5, 6, GREEN), (7, 7, (0, 0, 153)), (0, 0, (0, 0, 102)))
    with open_recognizer(detector_bundle(ending)) as recognizer:
        result = recognizer(frame)
    assert shown(result.detections) == [
        ("green", 1, 1.0, [50, 60, 60, 70]),
        ("red", 0, 0.902, [20, 10, 30, 20]),
        ("blue", 2, 0.6, [70, 70, 80, 80]),
    ]
    assert result.classes == () and not result.unknown
    assert (result.index, result.sensor_ns, result.source) == (3, 5, "a.png")
    document = result.as_dict()["detections"][1]
    assert document["box"] == pytest.approx([20, 10, 30, 20], abs=1e-3)
    assert "track" not in document


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_there_is_no_unknown(ending: str, detector_bundle: Make) -> None:
    with open_recognizer(detector_bundle(ending)) as recognizer:
        result = recognizer(image())
    assert result.detections == () and not result.unknown


@pytest.mark.parametrize("ending", ENDINGS)
def test_thresholds_of_labels(ending: str, detector_bundle: Make) -> None:
    frame = image((1, 1, (90, 0, 0)), (3, 3, (0, 180, 0)), (6, 6, (0, 0, 180)))
    path = detector_bundle(ending, min_scores={"red": 0.3, "green": 0.8})
    with Bundle.open(path) as bundle:
        as_it_says = Recognizer.open(bundle)
        told = Recognizer.open(bundle, min_score=0.6)
        every = Recognizer.open(bundle, min_score=0.0)
    with as_it_says, told, every:
        assert [d.label for d in as_it_says(frame).detections or ()] == ["blue", "red"]
        assert [d.label for d in told(frame).detections or ()] == ["green", "blue"]
        assert [d.label for d in every(frame).detections or ()] == ["green", "blue", "red"]


def test_a_threshold_of_no_label(detector_parts: Make) -> None:
    manifest, members = detector_parts(min_scores={"reds": 0.3})
    with (
        open_engine("litert", members["model.tflite"]) as engine,
        pytest.raises(ModelError, match="'reds', which is no label") as caught,
    ):
        Recognizer(manifest.interface, ("red", "green", "blue"), engine)
    assert 'did you mean "red"' in caught.value.fix


def test_a_class_without_a_label(detector_bundle: Make) -> None:
    """A manifest that does not say how many classes there are: seen when one is answered."""
    path = detector_bundle("built-in", labels=("red", "green"), classes=None)
    with open_recognizer(path) as recognizer:
        assert shown(recognizer(image((1, 1, GREEN))).detections)[0][0] == "green"
        with pytest.raises(ModelError, match="class 2, and there are labels for classes 0 to 1"):
            recognizer(image((1, 1, GREEN), (2, 4, BLUE)))
        assert recognizer(image((2, 4, (0, 0, 40)))).detections == ()  # below the threshold


def changed(manifest: Any, **keys: Any) -> bytes:
    data: bytes = replace(manifest, postprocess=replace(manifest.postprocess, **keys)).to_json()
    return data


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_manifest_comes_back(ending: str, detector_parts: Make) -> None:
    manifest, _ = detector_parts(ending, min_scores={"red": 0.25})
    assert parse_manifest(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("ending", "labels", "keys", "message"),
    [
        ("ssd", 2, {}, "2 labels for 3 classes"),
        ("background", 4, {}, "4 labels for 3 classes"),
        ("built-in", 4, {}, "4 labels for 3 classes"),
        ("built-in", 2, {}, "2 labels for 3 classes"),
        ("ssd", 3, {"label_offset": 1}, "3 labels for 2 classes"),
        ("ssd", 3, {"decode": "none"}, "no output has the role boxes, classes, scores, count"),
        ("built-in", 3, {"decode": "ssd"}, "no output has the role raw_boxes, raw_scores"),
        ("ssd", 3, {"anchors": None}, "needs anchors"),
        ("ssd", 3, {"iou": 0.0}, "postprocess.iou is 0.0"),
        ("ssd", 3, {"label_offset": 2}, "postprocess.label_offset is 2"),
        ("ssd", 3, {"min_scores": {"red": 1.5}}, "min_scores.red is 1.5"),
    ],
)
def test_what_does_not_fit(
    ending: str, labels: int, keys: dict[str, Any], message: str, detector_parts: Make
) -> None:
    manifest, _ = detector_parts(ending)
    manifest = replace(manifest, labels=replace(manifest.labels, count=labels))
    with pytest.raises(BundleError, match=message):
        parse_manifest(changed(manifest, **keys))


def test_anchors_that_are_too_few(detector_parts: Make) -> None:
    manifest, _ = detector_parts()
    anchors = manifest.postprocess.anchors
    with pytest.raises(BundleError, match=r"16 anchors for raw_boxes \[1, 64, 4\]"):
        parse_manifest(changed(manifest, anchors=replace(anchors, strides=(2,))))
    with pytest.raises(BundleError, match="needs anchors"):
        parse_manifest(changed(manifest, anchors=replace(anchors, strides=())))


def test_shapes_that_do_not_fit(detector_parts: Make) -> None:
    manifest, _ = detector_parts("built-in")
    boxes, classes, scores, count = manifest.outputs
    fewer = replace(scores, tensor=replace(scores.tensor, shape=(1, 9)))
    with pytest.raises(BundleError, match="boxes, classes, scores and count do not fit"):
        parse_manifest(replace(manifest, outputs=(boxes, classes, fewer, count)).to_json())
    raw, _ = detector_parts()
    flat = replace(raw.outputs[0], tensor=replace(raw.outputs[0].tensor, shape=(64, 4)))
    with pytest.raises(BundleError, match="do not fit each other"):
        parse_manifest(replace(raw, outputs=(flat, raw.outputs[1])).to_json())
    features = replace(manifest, input=replace(manifest.input, preprocess=None))
    with pytest.raises(BundleError, match=r"input.preprocess is null"):
        parse_manifest(features.to_json())


def test_other_tasks_do_not_have_the_keys(tiny_parts: Make) -> None:
    manifest, _ = tiny_parts()
    assert (
        b'"postprocess": {\n  "activation": "none",\n  "min_score": 0.0\n },' in manifest.to_json()
    )


def test_outputs_that_are_no_numbers_are_left_out(detector_parts: Make) -> None:
    """Infinite and missing numbers, classes and counts that cannot be: no crash, no nonsense."""
    manifest, members = detector_parts("built-in")
    with open_engine("litert", members["model.tflite"]) as engine:
        inputs, specs = engine.inputs, engine.outputs
    nan, inf = float("nan"), float("inf")
    boxes = np.zeros((1, 10, 4), np.float32)
    boxes[0, :7] = (0.1, 0.1, 0.5, 0.5)
    boxes[0, 1], boxes[0, 2, 3], boxes[0, 3] = nan, inf, (0.5, 0.5, 0.1, 0.1)
    classes = np.array([[0, 1, 1, 2, nan, -7, 1, 0, 0, 0]], np.float32)
    scores = np.array([[0.9, 0.9, 0.8, 0.9, 0.7, 0.6, nan, 0.9, 0.9, 0.9]], np.float32)
    for count, wanted in ((7.0, 4), (1.0, 1), (nan, 0), (-3.0, 0), (1e30, 4)):
        answer = (boxes, classes, scores, np.array([count], np.float32))
        engine = FakeEngine(inputs, specs, answer=lambda _, answer=answer: answer)
        with Recognizer(manifest.interface, ("red", "green", "blue"), engine) as recognizer:
            found = recognizer(image()).detections
        assert found is not None and len(found) == wanted
        for one in found:
            assert 0 <= one.box.x0 < one.box.x1 <= 80 and 0 <= one.box.y0 < one.box.y1 <= 80


# --- where boxes lie -----------------------------------------------------------------------------

SIZES = st.integers(16, 1400)


@given(
    *(SIZES, SIZES, st.integers(32, 400), st.integers(32, 400)),
    st.sampled_from(["stretch", "letterbox", "crop"]),
    st.sampled_from(["rgb", "yuv420p"]),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_boxes_come_back_within_a_pixel(
    width: int,
    height: int,
    model_w: int,
    model_h: int,
    fit: Any,
    color: Any,
    edges: tuple[float, float, float, float],
) -> None:
    """A box in the frame, where the fit puts it in the tensor, and back: of any two sizes."""
    if color == "yuv420p":
        width, height = width // 2 * 2, height // 2 * 2
    shape = (height * 3 // 2, width) if color == "yuv420p" else (height, width, 3)
    frame = Frame(np.zeros(shape, np.uint8), color)
    preprocessor = Preprocessor(
        PreprocessSpec(fit=fit), TensorSpec("x", (1, model_h, model_w, 3), "float32")
    )
    placement = preprocessor(frame, np.empty((1, model_h, model_w, 3), np.float32))
    # The part of the frame that the model sees.
    low_x, low_y = max(0, -placement.offset_x), max(0, -placement.offset_y)
    seen = (low_x, low_y, low_x + model_w, low_y + model_h) if fit == "crop" else None
    left, right = sorted(edge * width for edge in edges[:2])
    top, bottom = sorted(edge * height for edge in edges[2:])
    if seen is not None:
        left, right = (
            min(max(x, seen[0] / placement.scale_x), seen[2] / placement.scale_x)
            for x in (left, right)
        )
        top, bottom = (
            min(max(y, seen[1] / placement.scale_y), seen[3] / placement.scale_y)
            for y in (top, bottom)
        )
    in_tensor = np.array([[left, top, right, bottom]]) * [
        *(placement.scale_x, placement.scale_y) * 2
    ] + [*(placement.offset_x, placement.offset_y) * 2]
    assert (in_tensor >= -1e-6).all()
    assert (in_tensor <= np.array([model_w, model_h] * 2) + 1e-6).all()
    shares = (in_tensor / [model_w, model_h, model_w, model_h]).astype(np.float32)
    back = in_frame(shares, placement, (model_w, model_h), frame)
    assert np.abs(back - [left, top, right, bottom]).max() < 1


@given(
    *(st.integers(40, 900), st.integers(40, 900), st.integers(32, 300), st.integers(32, 300)),
    st.sampled_from(["stretch", "letterbox", "crop"]),
    st.integers(0, 2**32 - 1),
)
def test_what_is_seen_in_the_tensor_is_there_in_the_frame(
    width: int, height: int, model_w: int, model_h: int, fit: Any, seed: int
) -> None:
    """A white block, drawn in the frame and looked for in the model's image: its edges come back
    within a pixel, of whichever image is the coarser.
    """
    random = np.random.default_rng(seed)
    left, right = sorted(random.choice(width + 1, 2, replace=False))
    top, bottom = sorted(random.choice(height + 1, 2, replace=False))
    pixels = np.zeros((height, width), np.uint8)
    pixels[top:bottom, left:right] = 255
    tensor = TensorSpec("x", (1, model_h, model_w, 1), "float32")
    seen = np.zeros((model_h, model_w, 1), np.uint8)
    frame = Frame(pixels, "gray")
    placement = Preprocessor(PreprocessSpec("gray", fit), tensor).pixels(frame, seen)
    rows, columns = np.nonzero(seen[:, :, 0] > 127)
    assume(rows.size)
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    shares = np.array([edges]) / [model_w, model_h, model_w, model_h]
    ((x0, y0, x1, y1),) = in_frame(shares, placement, (model_w, model_h), frame)
    # Of a crop, what lies outside is not seen.
    view = in_frame(np.array([[0.0, 0, 1, 1]]), placement, (model_w, model_h), frame)[0]
    wanted = np.clip([left, top, right, bottom], view[[0, 1, 0, 1]], view[[2, 3, 2, 3]])
    near = [max(1, 1 / placement.scale_x), max(1, 1 / placement.scale_y)] * 2
    assert (np.abs(np.array([x0, y0, x1, y1]) - wanted) <= np.array(near) * 1.001).all()


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize(("width", "height"), [(80, 80), (160, 80), (90, 240), (1280, 720)])
def test_a_square_is_found_where_it_is(
    fit: str, width: int, height: int, detector_bundle: Make
) -> None:
    """Through the real resize: the centre of what is found lies in the square, whose size it has
    to within a cell of the model's image.
    """
    cell_w, cell_h = (
        (max(width, height) / 8,) * 2 if fit == "letterbox" else (width / 8, height / 8)
    )
    if fit == "letterbox":  # whole pixels of the model's image
        cell_w, cell_h = width / round(width / cell_w), height / round(height / cell_h)
    if fit == "crop":
        cell_w = cell_h = min(width, height) / 8
    x, y = width * 0.55, height * 0.45
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[round(y - cell_h) : round(y + cell_h), round(x - cell_w) : round(x + cell_w)] = RED
    with open_recognizer(detector_bundle(fit=fit)) as recognizer:
        found = recognizer(Frame(pixels, "rgb")).detections
    assert found
    for one in found:
        center_x, center_y = (one.box.x0 + one.box.x1) / 2, (one.box.y0 + one.box.y1) / 2
        assert abs(center_x - x) <= cell_w + 1 and abs(center_y - y) <= cell_h + 1
        assert one.box.x1 - one.box.x0 == pytest.approx(cell_w, abs=1.5)
        assert one.box.y1 - one.box.y0 == pytest.approx(cell_h, abs=1.5)


def test_boxes_are_clipped_and_those_outside_left_out(detector_bundle: Make) -> None:
    frame = Frame(np.zeros((100, 200, 3), np.uint8), "rgb")
    boxes = np.array([[-0.2, 0.3, 0.5, 2.0], [0.1, 0.0, 0.4, 0.2], [0.1, 0.2, 0.4, 0.3]])
    letterbox = Placement(0.5, 0.5, 0, 25)
    back = in_frame(boxes, letterbox, (100, 100), frame)
    assert back.tolist() == [[0, 10, 100, 100], [20, 0, 80, 0], [20, 0, 80, 10]]
    # A letterboxed frame's bars are black; what is found there is nowhere in the frame.
    with open_recognizer(detector_bundle(fit="letterbox", size=16)) as recognizer:
        wide = Frame(np.full((20, 160, 3), 255, np.uint8), "rgb")
        for one in recognizer(wide).detections or ():
            assert 0 <= one.box.y0 < one.box.y1 <= 20


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_boxes_are_in_pixels_of_the_larger_image(fit: str, detector_bundle: Make) -> None:
    """picamera2: the model sees a small stream of what people see in a large one."""
    small = image((5, 2, RED))
    large = Frame(np.zeros((400, 400, 3), np.uint8), "bgr")
    with open_recognizer(detector_bundle(fit=fit)) as recognizer:
        alone = recognizer(small).detections
        both = recognizer(replace(small, image=large)).detections
    assert shown(alone) == [("red", 0, 1.0, [50, 20, 60, 30])]
    assert shown(both) == [("red", 0, 1.0, [250, 100, 300, 150])]


# --- candidates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_candidates_are_those_at_or_above_the_threshold(dtype: str, activation: Any) -> None:
    """Against every score computed, for thresholds that fall on a score and between them."""
    random = np.random.default_rng(1)
    real = random.normal(0, 4, (50, 6)).astype(np.float32)
    zero = {"int8": -3, "uint8": 120, "float32": 0}[dtype]
    quant = None if dtype == "float32" else QuantParams(0.07, zero)
    spec = TensorSpec("scores", (1, 50, 6), dtype, quant)
    stored = real if quant is None else np.clip(np.rint(real / 0.07) + zero, -128, 127)
    stored = stored.astype(dtype)
    values = dequantize(stored, spec).astype(np.float64)
    if activation == "sigmoid":
        values = 1 / (1 + np.exp(-values))
    elif activation == "softmax":
        values = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    for least in (1e-38, 1e-3, 0.2, 0.5, 0.731, 0.999, 1.0):
        rows, columns, scores = scores_above(stored, spec, activation, least)
        near = np.abs(values - least) < 1e-6  # float32 may put these on either side
        found = np.zeros(values.shape, bool)
        found[rows, columns] = True
        assert ((found == (values >= least)) | near).all()
        assert np.allclose(scores, values[rows, columns], rtol=1e-5)


@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 0), ("int8", -128)])
def test_a_score_that_is_the_least_is_shown(dtype: Any, zero: int) -> None:
    """0.5 is step 128 of 256 exactly: at the least score nothing may be lost to rounding."""
    spec = TensorSpec("scores", (1, 3, 1), dtype, QuantParams(1 / 256, zero))
    stored = np.array([[127], [128], [129]]) + zero
    rows, _, scores = scores_above(stored.astype(dtype), spec, "none", 0.5)
    assert (rows.tolist(), scores.tolist()) == ([1, 2], [0.5, 129 / 256])


def test_a_background_that_a_built_in_post_process_answers(detector_bundle: Make) -> None:
    """label_offset 1: its class 0 is nothing, and the first label names class 1."""
    path = detector_bundle("built-in", label_offset=1, labels=("green", "blue", "none"))
    with open_recognizer(path) as recognizer:
        result = recognizer(image((1, 1, RED), (4, 2, GREEN), (6, 6, BLUE)))
    assert {(label, edges[0]) for label, _, _, edges in shown(result.detections)} == {
        *(("green", 40), ("blue", 60))
    }


def test_many_candidates_and_many_things(detector_bundle: Make) -> None:
    """A white image: three classes of 4,096 pixels each, all equally sure."""
    with Bundle.open(detector_bundle(size=64)) as bundle, Recognizer.open(bundle) as recognizer:
        found = recognizer(Frame(np.full((64, 64, 3), 255, np.uint8), "rgb")).detections
    assert found is not None and len(found) == 100
    assert [(d.label, round(d.box.x0)) for d in found[:4]] == [
        *(("red", 0), ("green", 0), ("blue", 0), ("red", 1))
    ]


def test_a_closed_bundle_keeps_answering(detector_bundle: Make, tmp_path: Path) -> None:
    path = detector_bundle()
    with Bundle.open(path) as bundle:
        recognizer = Recognizer.open(bundle, "isolated:litert", threads=2)
    with recognizer:
        frames = [image((column, row, RED)) for column, row in itertools.product((0, 7), (0, 7))]
        boxes = [shown(recognizer(frame).detections)[0][3][:2] for frame in frames]
    assert boxes == [[0, 0], [0, 70], [70, 0], [70, 70]]
