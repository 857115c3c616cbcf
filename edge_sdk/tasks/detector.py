"""Detection: stored output tensors -> detections, best first, in pixels of Frame.shown.

Three kinds of models: with the post-process built in (TFLite_Detection_PostProcess), raw SSD, and
BlazeFace. Their boxes are shares of the model's image first, 0..1, then pixels of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.configuration import nearest
from edge_sdk.errors import ModelError
from edge_sdk.frames import Frame
from edge_sdk.model.interface import ModelInterface
from edge_sdk.model.postprocess import Activation, Role
from edge_sdk.preprocess import Placement
from edge_sdk.results import BBox, Detection
from edge_sdk.tasks.base import Output
from edge_sdk.tasks.classify import activated
from edge_sdk.tasks.overlap import Boxes, area, merge, suppress
from edge_sdk.tensors import TensorSpec, dequantize

MAX = 100
"""Detections of a frame, as in COCO's evaluation."""

MAX_CANDIDATES = 1000
"""Boxes that suppression looks at, the best ones. Source: RetinaNet (arXiv:1708.02002), 4.1."""

SMALLEST_SCORE = float(np.finfo(np.float32).tiny)
"""A score of 0 is no detection, whatever the least score."""

_SCALES = np.array([10.0, 10.0, 5.0, 5.0], np.float32)
"""Factors of an SSD for offsets (y, x) and logarithms of sizes (height, width). Source:
TensorFlow's object detection API, faster_rcnn_box_coder in the pipelines of its model zoo.
"""

_FARTHEST = 1e6
"""Offsets beyond this many pixels or images are far outside of all frames anyway."""


@dataclass(frozen=True, eq=False)
class RawDetections:
    """boxes (n, 4), float: x0, y0, x1, y1 in shares of the model's image; scores (n,), float32;
    classes (n,), int: 0 is the first label.
    """

    boxes: Boxes
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


class Detector:
    """Makes detections of the outputs of one model.

    specs: the engine's outputs. min_score: detections below it are left out, whatever their label;
    None takes the interface's `min_scores`, and its `min_score` for labels that are not there.
    Raises ModelError for a threshold of a label that there is none of.
    """

    def __init__(
        self,
        interface: ModelInterface,
        labels: Sequence[str],
        specs: Sequence[TensorSpec],
        *,
        min_score: float | None = None,
    ) -> None:
        post = self._post = interface.postprocess
        self._labels = labels
        self._specs = specs
        self._numbers = {output.role: i for i, output in enumerate(interface.outputs)}
        _, self._height, self._width, _ = interface.input.tensor.shape
        if min_score is None:
            self._thresholds = thresholds(labels, post.min_score, post.min_scores)
        else:
            self._thresholds = thresholds(labels, min_score, {})
        self._least = float(self._thresholds.min())
        if post.anchors is not None:
            self._anchors = post.anchors.grid(self._height, self._width)
        decoders = {"none": self._built_in, "ssd": self._ssd, "blazeface": self._blazeface}
        self._decode = decoders[post.decode]

    def __call__(self, output: Output, placement: Placement, frame: Frame) -> tuple[Detection, ...]:
        """The objects in the frame, at most MAX, best first. placement: where the frame lies in the
        input. Boxes are clipped to the frame; those that lie outside of it are left out.

        Raises ModelError for a class without a label.
        """
        found = self._decode(output)
        boxes = in_frame(found.boxes, placement, (self._width, self._height), frame)
        inside = np.flatnonzero(area(boxes) > 0)  # what is not a number is not, either
        order = inside[np.argsort(-found.scores[inside], kind="stable")][:MAX]
        chosen = (found.classes[order], found.scores[order], boxes[order])
        return tuple(
            Detection(self._labels[index], index, score, BBox(*box))
            for index, score, box in zip(*(values.tolist() for values in chosen), strict=True)
        )

    def _built_in(self, output: Output) -> RawDetections:
        """Boxes come as y0, x0, y1, x1, sorted and suppressed."""
        n = _whole(self._real(output, "count"))[0]
        scores = self._real(output, "scores").reshape(-1)[:n]
        classes = _whole(self._real(output, "classes"))[:n] - self._post.label_offset
        chosen = np.flatnonzero((scores >= self._least) & (classes >= 0))
        self._check_labels(classes[chosen])
        chosen = chosen[scores[chosen] >= self._thresholds[classes[chosen]]]
        boxes = self._real(output, "boxes").reshape(-1, 4)[chosen][:, [1, 0, 3, 2]]
        return RawDetections(boxes, scores[chosen], classes[chosen])

    def _ssd(self, output: Output) -> RawDetections:
        anchors, classes, scores = self._candidates(output)
        boxes = ssd_boxes(self._codes(output, anchors), self._anchors[anchors])
        kept = suppress(boxes, scores, classes, self._post.iou, MAX)
        return RawDetections(boxes[kept], scores[kept], classes[kept])

    def _blazeface(self, output: Output) -> RawDetections:
        anchors, classes, scores = self._candidates(output)
        size = (self._width, self._height)
        boxes = blazeface_boxes(self._codes(output, anchors), self._anchors[anchors], size)
        boxes, kept = merge(boxes, scores, self._post.iou, MAX)
        return RawDetections(boxes, scores[kept], classes[kept])

    def _candidates(
        self, output: Output
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Anchors, classes and scores, (n,) each, that reach their label's threshold."""
        spec = self._spec("raw_scores")
        stored = output(self._numbers["raw_scores"])
        stored = stored.reshape(-1, stored.shape[-1])
        anchors, columns, scores = scores_above(stored, spec, self._post.activation, self._least)
        classes = columns - self._post.label_offset
        chosen = np.flatnonzero(classes >= 0)
        chosen = chosen[scores[chosen] >= self._thresholds[classes[chosen]]]
        if len(chosen) > MAX_CANDIDATES:
            chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:MAX_CANDIDATES]]
        return anchors[chosen], classes[chosen], scores[chosen]

    def _codes(self, output: Output, anchors: NDArray[np.intp]) -> NDArray[np.float32]:
        """The encoded boxes of some anchors, (n, 4); key points are left out."""
        stored = output(self._numbers["raw_boxes"])
        codes = stored.reshape(-1, stored.shape[-1])[anchors, :4]
        # Infinity would spread to what is compared with it; NaN stays, and is left out at last.
        return np.clip(dequantize(codes, self._spec("raw_boxes")), -_FARTHEST, _FARTHEST)

    def _real(self, output: Output, role: Role) -> NDArray[np.float32]:
        return dequantize(output(self._numbers[role]), self._spec(role))

    def _spec(self, role: Role) -> TensorSpec:
        return self._specs[self._numbers[role]]

    def _check_labels(self, classes: NDArray[np.int64]) -> None:
        if classes.size and classes.max() >= len(self._labels):
            raise ModelError(
                f"the model answers class {classes.max()}, and there are labels for classes 0 to "
                f"{len(self._labels) - 1}",
                fix="convert it again with one label for each class, in the model's order",
            )


def _whole(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts and classes, which come as float numbers; (n,)."""
    return np.clip(np.nan_to_num(values.reshape(-1)), 0, _FARTHEST).astype(np.int64)


def thresholds(
    labels: Sequence[str], min_score: float, min_scores: Mapping[str, float]
) -> NDArray[np.float32]:
    """The least score of each label, (labels,), float32. Raises ModelError for one of no label."""
    for name in min_scores:
        if name not in labels:
            raise ModelError(
                f"postprocess.min_scores has {name!r}, which is no label", fix=nearest(name, labels)
            )
    found = [max(min_scores.get(label, min_score), SMALLEST_SCORE) for label in labels]
    return np.array(found, np.float32)


def scores_above(
    stored: NDArray[Any], spec: TensorSpec, activation: Activation, least: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Rows, columns and real scores, (n,) each, of those at or above `least`, row by row.

    stored: (anchors, classes), of `spec`. Most of them are background: only what may be above is
    made numbers at all, but for softmax, which needs every class.
    """
    if activation == "softmax":
        values = activated(dequantize(stored, spec), activation)
        rows, columns = np.nonzero(values >= least)
        return rows, columns, values[rows, columns]
    bound = _logit(least) if activation == "sigmoid" else least
    if spec.quant is not None:
        # A step lower, so that rounding loses nothing; what is too low goes below.
        bound = math.floor(max(min(bound / spec.quant.scale, 1e6), -1e6)) + spec.quant.zero_point
        bound -= 1
    rows, columns = np.nonzero(stored >= bound)
    scores = activated(dequantize(stored[rows, columns], spec), activation)
    above = scores >= least
    return rows[above], columns[above], scores[above]


def _logit(share: float) -> float:
    """The number whose sigmoid is `share`, a little lower: float32 rounds."""
    return math.log(share / (1 - share)) - 1e-3 if share < 1 else 15.0


def ssd_boxes(codes: NDArray[np.float32], anchors: NDArray[np.float32]) -> Boxes:
    """(n, 4) boxes x0, y0, x1, y1 from what an SSD answers, y, x, height, width relative to its
    anchors (centre x, centre y, width, height); all in shares of the model's image, float32.
    """
    y, x, height, width = (codes / _SCALES).T
    center_x, center_y = x * anchors[:, 2] + anchors[:, 0], y * anchors[:, 3] + anchors[:, 1]
    # A side of exp(20) images is beyond all clipping; more would overflow.
    half_x = np.exp(np.minimum(width, 20)) * anchors[:, 2] / 2
    half_y = np.exp(np.minimum(height, 20)) * anchors[:, 3] / 2
    sides = (center_x - half_x, center_y - half_y, center_x + half_x, center_y + half_y)
    return np.stack(sides, axis=-1)


def blazeface_boxes(
    codes: NDArray[np.float32], anchors: NDArray[np.float32], size: tuple[int, int]
) -> Boxes:
    """(n, 4) boxes x0, y0, x1, y1 from what BlazeFace answers: centre x, y, relative to the
    anchor's, width and height, in pixels of an input of `size` (width, height).
    """
    shares = codes / np.array((*size, *size), np.float32)
    centers, halves = shares[:, :2] + anchors[:, :2], shares[:, 2:] / 2
    return np.concatenate((centers - halves, centers + halves), axis=-1)


def in_frame(
    boxes: Boxes, placement: Placement, size: tuple[int, int], frame: Frame
) -> NDArray[np.float64]:
    """(n, 4) boxes in pixels of `frame.shown`, clipped to it.

    boxes: x0, y0, x1, y1 in shares of the model's image of `size` (width, height), in which
    `frame` lies as `placement` says.
    """
    shown = frame.shown
    offset = np.array([placement.offset_x, placement.offset_y] * 2)
    per_pixel = np.array([placement.scale_x, placement.scale_y] * 2)
    larger = np.array([shown.width / frame.width, shown.height / frame.height] * 2)
    pixels = (boxes * np.array(size * 2) - offset) / per_pixel * larger
    edges = np.array([shown.width, shown.height] * 2, np.float64)
    clipped: NDArray[np.float64] = np.clip(pixels, 0, edges)
    return clipped
