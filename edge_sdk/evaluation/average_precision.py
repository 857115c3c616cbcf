"""COCO's mean average precision: IoU .50 to .95, 101 recall points, at most 100 boxes a class and
image, objects of every size.

Source: COCO's evaluation as pycocotools does it (COCOeval, iouType "bbox", area range "all"); the
tests hold the two against each other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_sdk.tasks.overlap import Boxes, area, intersection, overlap

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Intersections over union from which on a box counts as found."""

_RECALLS = np.linspace(0, 1, 101)
_MAX = 100


@dataclass
class _Class:
    """All boxes of one class so far. Parts for each image: scores (d,), matched and ignored
    (10, d).
    """

    n: int = 0
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    matched: list[NDArray[np.bool_]] = field(default_factory=list)
    ignored: list[NDArray[np.bool_]] = field(default_factory=list)


class AveragePrecision:
    """Takes images one by one, and then tells how precise a detector is."""

    def __init__(self) -> None:
        self._classes: defaultdict[int, _Class] = defaultdict(_Class)

    def add(
        self, number: int, truths: Boxes, crowd: NDArray[np.bool_], boxes: Boxes, scores: Boxes
    ) -> None:
        """Class `number` in one image: annotated objects, and detections.

        truths (g, 4), boxes (d, 4): x0, y0, x1, y1; crowd (g,): a region of many objects, which
        need not be found, and where any number of boxes is neither right nor wrong; scores (d,).
        """
        order = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:_MAX]
        matched, ignored = matches(truths, crowd, boxes[order])
        found = self._classes[number]
        found.n += int((~crowd).sum())
        found.scores.append(np.asarray(scores, np.float64)[order])
        found.matched.append(matched)
        found.ignored.append(ignored)

    def counts(self) -> dict[int, int]:
        """{class: annotated objects}, of classes that have any."""
        return {number: found.n for number, found in sorted(self._classes.items()) if found.n}

    def by_class(self) -> dict[int, NDArray[np.float64]]:
        """{class: average precision at each of OVERLAPS, (10,)}, of classes with objects."""
        return {number: _averages(self._classes[number]) for number in self.counts()}


def matches(
    truths: Boxes, crowd: NDArray[np.bool_], boxes: Boxes
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Boxes, best first: those that are right, and those that count neither way; (10, d) each, for
    OVERLAPS.

    Each box takes the object that it overlaps most, of those not taken by a better box; of equals
    the last one.
    """
    shares = _shares(truths, crowd, boxes)
    matched = np.zeros((len(OVERLAPS), len(boxes)), bool)
    ignored = np.zeros_like(matched)
    objects, regions = np.flatnonzero(~crowd)[::-1], np.flatnonzero(crowd)
    free = np.ones((len(OVERLAPS), len(objects)), bool)
    rows = np.arange(len(OVERLAPS))
    for number, row in enumerate(shares):
        if objects.size:
            best = np.where(free, row[objects], -1.0).argmax(axis=1)
            hit = free[rows, best] & (row[objects][best] >= OVERLAPS)
            free[rows[hit], best[hit]] = False
            matched[:, number] = hit
        if regions.size:
            ignored[:, number] = ~matched[:, number] & (row[regions].max() >= OVERLAPS)
    return matched, ignored


def _shares(truths: Boxes, crowd: NDArray[np.bool_], boxes: Boxes) -> NDArray[np.float64]:
    """(d, g) intersection over union; over the box's own area where the truth is a crowd."""
    whole = overlap(boxes[:, None], truths)
    common = intersection(boxes[:, None], truths)
    own = np.broadcast_to(area(boxes)[:, None], common.shape)
    part = np.divide(common, own, out=np.zeros_like(common), where=own > 0)
    shares: NDArray[np.float64] = np.where(crowd, part, whole)
    return shares


def _averages(found: _Class) -> NDArray[np.float64]:
    scores = np.concatenate(found.scores)
    order = np.argsort(-scores, kind="stable")
    matched = np.concatenate(found.matched, axis=1)[:, order]
    ignored = np.concatenate(found.ignored, axis=1)[:, order]
    right = np.cumsum(matched, axis=1, dtype=np.float64)
    wrong = np.cumsum(~matched & ~ignored, axis=1, dtype=np.float64)
    precisions = right / (right + wrong + np.spacing(1))
    # The best precision at that recall or any higher one.
    precisions = np.maximum.accumulate(precisions[:, ::-1], axis=1)[:, ::-1]
    rows = zip(right / found.n, precisions, strict=True)
    return np.array([_average(recalls, best) for recalls, best in rows])


def _average(recalls: NDArray[np.float64], precisions: NDArray[np.float64]) -> float:
    """The mean precision at 101 recalls; 0 where a recall is never reached."""
    places = np.searchsorted(recalls, _RECALLS, side="left")
    reached = places < len(recalls)
    return float(precisions[places[reached]].sum() / len(_RECALLS))
