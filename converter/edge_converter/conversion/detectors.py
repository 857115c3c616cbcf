"""The outputs of a detector, identified by its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_converter.conversion.options import BACKGROUND, ConvertOptions
from edge_sdk.errors import ModelError
from edge_sdk.files import read_file
from edge_sdk.model.anchors import BLAZEFACE, Anchors
from edge_sdk.model.postprocess import Activation, Postprocess, Role, roles_of
from edge_sdk.tflite.detection_postprocess import detection_operator
from edge_sdk.tflite.graph import Graph

_ADVICE = (
    "export it with TFLite_Detection_PostProcess, or as raw boxes [1, anchors, 4] and scores "
    "[1, anchors, classes] with the anchors of TensorFlow's SSD MobileNet; for MediaPipe's face "
    "detector add --preset blazeface"
)
_OVERLAP = 0.6
"""Above it TensorFlow's SSD pipelines take two boxes for one thing."""


@dataclass(frozen=True)
class DetectorOutputs:
    """roles: of the outputs, in the model's order. postprocess: what is left to do. classes: how
    many it tells apart, without a background.
    """

    roles: tuple[Role, ...]
    postprocess: Postprocess
    classes: int


def detector_outputs(graph: Graph, path: Path, options: ConvertOptions) -> DetectorOutputs:
    """Raises ModelError for what is not a known kind of detector."""
    shapes = [tuple(spec.shape) for spec in graph.output_specs]
    if options.preset == "blazeface":
        return _blazeface(graph, shapes, path)
    built_in = detection_operator(graph)
    if built_in is not None:
        if sorted(graph.outputs) != sorted(built_in.outputs):
            raise _unknown(path, shapes)
        names = dict(zip(built_in.outputs, roles_of("none"), strict=True))
        post = Postprocess(classes=built_in.classes)
        return DetectorOutputs(
            tuple(names[number] for number in graph.outputs), post, built_in.classes
        )
    return _raw(graph, shapes, path, options)


def _blazeface(graph: Graph, shapes: Sequence[tuple[int, ...]], path: Path) -> DetectorOutputs:
    """Source: MediaPipe, face_detection_short_range_common.pbtxt."""
    taken = graph.input_specs[0].shape
    if taken != (1, 128, 128, 3) or sorted(shapes) != [(1, 896, 1), (1, 896, 16)]:
        raise ModelError(
            f"{path} takes {list(taken)} and answers {', '.join(str(list(s)) for s in shapes)}: it "
            "is not MediaPipe's short-range face detector",
            fix="name face_detection_short_range.tflite, which takes [1, 128, 128, 3]",
        )
    roles = tuple(_role(shape[2] == 16) for shape in shapes)
    post = Postprocess("sigmoid", decode="blazeface", anchors=BLAZEFACE, iou=0.3)
    return DetectorOutputs(roles, post, 1)


def _raw(
    graph: Graph, shapes: Sequence[tuple[int, ...]], path: Path, options: ConvertOptions
) -> DetectorOutputs:
    """An SSD whose boxes and scores come as its network answers them."""
    anchors = Anchors()
    count = anchors.count(*graph.input_specs[0].shape[1:3])
    boxes = [index for index, shape in enumerate(shapes) if shape == (1, count, 4)]
    others = [shape for shape in shapes if len(shape) == 3 and shape[:2] == (1, count)]
    if len(shapes) != 2 or len(boxes) != 1 or len(others) != 2:
        raise _unknown(path, shapes)
    columns = shapes[1 - boxes[0]][2]
    background = _has_background(columns, options)
    if columns <= background:
        raise _unknown(path, shapes)
    post = Postprocess(
        _activation(graph, graph.outputs[1 - boxes[0]]),
        decode="ssd",
        anchors=anchors,
        iou=_OVERLAP,
        label_offset=int(background),
    )
    roles = tuple(_role(index == boxes[0]) for index in range(2))
    return DetectorOutputs(roles, post, columns - background)


def _has_background(columns: int, options: ConvertOptions) -> bool:
    """True where the first column of the scores is the background, as in TensorFlow's pipelines: so
    unless there are as many labels as columns, and the first of them is a thing.
    """
    if options.labels is None:
        return True
    lines = read_file(options.labels, what="labels file").decode("utf-8-sig", "replace")
    labels = lines.splitlines()
    return len(labels) != columns or labels[0].strip().lower() in BACKGROUND


def _role(boxes: bool) -> Role:
    return "raw_boxes" if boxes else "raw_scores"


def _activation(graph: Graph, tensor: int) -> Activation:
    """The activation that scores still need: TensorFlow's SSDs are trained with a sigmoid."""
    made = {output: operator for operator in graph.operators for output in operator.outputs}
    while tensor in made:
        operator = made[tensor]
        if operator.name not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "CONCATENATION"):
            return "none" if operator.name in ("SOFTMAX", "LOGISTIC") else "sigmoid"
        tensor = operator.inputs[0]
    return "sigmoid"


def _unknown(path: Path, shapes: Sequence[tuple[int, ...]]) -> ModelError:
    shown = ", ".join(str(list(shape)) for shape in shapes)
    return ModelError(f"{path} answers {shown}: not a known kind of detector", fix=_ADVICE)
