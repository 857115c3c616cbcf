"""Detection: objects, and where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge_sdk.data.samples import Sample, Scene
from edge_sdk.errors import BundleError
from edge_sdk.frames import Frame
from edge_sdk.model.interface import ModelInterface
from edge_sdk.model.postprocess import Role, roles_of
from edge_sdk.preprocess import Placement
from edge_sdk.tasks.base import Answer, Decoder, Output, Outputs, Task, Threshold, Tolerance
from edge_sdk.tasks.checks import check_single_image, require
from edge_sdk.tasks.detection_sets import Bounds, compare_detections, decoded
from edge_sdk.tasks.detector import Detector
from edge_sdk.tasks.tolerance import (
    ABSOLUTE,
    IN_FLOATS,
    RELATIVE,
    STEPS_OF_RANGE,
    compare_numbers,
    numbers_apart,
)
from edge_sdk.tensors import TensorSpec

_IOU = 0.9
"""Least overlap of two boxes that were computed in floats, and are one."""

_MEASURED = Bounds(32 / STEPS_OF_RANGE, iou=_IOU)
"""Which detections are surely the same, where it is asked how many steps they differ by."""

_WHOLE = Placement(1.0, 1.0, 0.0, 0.0)


class Detect(Task):
    """Boxes with a class and a score, by a built-in post-process or by Detector."""

    name = "detect"
    kind = "a detector"
    metric = "mAP"
    classes = "classes"
    keys = (
        *Task.keys,
        *("decode", "anchors", "iou", "label_offset", "classes", "min_scores"),
    )
    fit = "stretch"
    min_score = 0.5
    """MediaPipe's for faces."""

    def check(self, interface: ModelInterface, labels: int, where: str) -> None:
        """An image for input, the outputs that the decoder needs, and a label for each class."""
        check_single_image(interface, where)
        require(interface.input.preprocess is not None, f"{where}: input.preprocess is null")
        post = interface.postprocess
        shapes = {output.role: output.tensor.shape for output in interface.outputs}
        missing = [role for role in roles_of(post.decode) if role not in shapes]
        require(not missing, f"{where}: no output has the role {', '.join(missing)}")
        wrong = _built_in_wrong(shapes) if post.decode == "none" else _raw_wrong(interface, shapes)
        require(not wrong, f"{where}: {wrong}")
        classes = post.classes
        if post.decode != "none":
            classes = shapes["raw_scores"][-1] - post.label_offset
        require(
            classes in (None, labels),
            f"{where}: {labels} labels for {classes} classes",
            fix="give one label for each class, in the model's order",
        )
        for label, score in post.min_scores.items():
            if not 0 <= score <= 1:
                raise BundleError(
                    f"{where}: postprocess.min_scores.{label} is {score}", fix="use 0 to 1"
                )

    def sample_type(self, interface: ModelInterface) -> type[Sample]:
        """Images with boxes."""
        return Scene

    def decoder(
        self,
        interface: ModelInterface,
        labels: Sequence[str],
        specs: Sequence[TensorSpec],
        threshold: Threshold,
    ) -> Decoder:
        """The objects in the frame."""
        detector = Detector(interface, labels, specs, min_score=threshold.min_score)

        def decode(output: Output, placement: Placement | None, frame: Frame) -> Answer:
            assert placement is not None
            return Answer(detections=detector(output, placement, frame))

        return decode

    def bit_exact(self, interface: ModelInterface) -> bool:
        """A built-in post-process computes in floats, whatever the network does."""
        return not _built_in(interface)

    def compare(
        self, interface: ModelInterface, wanted: Outputs, found: Outputs, tolerance: Tolerance
    ) -> tuple[float, str]:
        """Detections as sets; raw outputs number by number."""
        if not _built_in(interface):
            return compare_numbers(interface.outputs, wanted, found, tolerance)
        one, other = (decoded(interface.outputs, values) for values in (wanted, found))
        return compare_detections(one, other, _bounds(interface, tolerance))

    def steps_apart(
        self, interface: ModelInterface, wanted: Outputs, found: Outputs, precision: str
    ) -> float:
        """Of the scores of detections that are surely the same; of raw outputs, of their range."""
        if not _built_in(interface):
            return numbers_apart(interface.outputs, wanted, found, precision)
        one, other = (decoded(interface.outputs, values) for values in (wanted, found))
        gap, _ = compare_detections(one, other, _MEASURED)
        return 0.0 if precision in IN_FLOATS else gap * STEPS_OF_RANGE

    def shows_something(
        self, interface: ModelInterface, labels: Sequence[str], outputs: Outputs
    ) -> bool:
        """True where an object is detected in at least one of the samples."""
        _, height, width, _ = interface.input.tensor.shape
        frame = Frame(np.zeros((height, width, 3), np.uint8), "rgb")
        specs = [output.tensor.spec for output in interface.outputs]
        detector = Detector(interface, labels, specs)
        samples = zip(*outputs, strict=True)
        return any(detector(sample.__getitem__, _WHOLE, frame) for sample in samples)


def _built_in(interface: ModelInterface) -> bool:
    """True for the outputs of TFLite_Detection_PostProcess."""
    return any(output.role == "count" for output in interface.outputs)


def _bounds(interface: ModelInterface, tolerance: Tolerance) -> Bounds:
    post = interface.postprocess
    least = min(post.min_score, *post.min_scores.values(), 1.0)
    if tolerance.precision in IN_FLOATS:
        return Bounds(ABSOLUTE, RELATIVE, _IOU, post.iou, least)
    return Bounds(tolerance.steps / STEPS_OF_RANGE, 0.0, post.iou, post.iou, least)


def _built_in_wrong(shapes: dict[Role, tuple[int, ...]]) -> str:
    count = math.prod(shapes["scores"])
    fits = math.prod(shapes["boxes"]) == 4 * count and math.prod(shapes["classes"]) == count
    if fits and math.prod(shapes["count"]) == 1:
        return ""
    return f"the shapes of boxes, classes, scores and count do not fit: {list(shapes.values())}"


def _raw_wrong(interface: ModelInterface, shapes: dict[Role, tuple[int, ...]]) -> str:
    """Why boxes cannot be made of the raw outputs, or ""."""
    boxes, scores = shapes["raw_boxes"], shapes["raw_scores"]
    anchors = interface.postprocess.anchors
    if anchors is None or not anchors.strides:
        return f'decode "{interface.postprocess.decode}" needs anchors'
    if len(boxes) != 3 or len(scores) != 3 or boxes[:2] != scores[:2] or boxes[2] < 4:
        return f"raw_boxes {list(boxes)} and raw_scores {list(scores)} do not fit each other"
    count = anchors.count(*interface.input.tensor.shape[1:3])
    return "" if boxes[:2] == (1, count) else f"{count} anchors for raw_boxes {list(boxes)}"
