"""Overlapping boxes: intersection over union, and one box out of many of the same object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[Any]
"""Float, shape (…, 4): x0, y0, x1, y1 in any unit."""


def area(boxes: Boxes) -> NDArray[Any]:
    """Areas of boxes (…, 4), shape (…); 0 where a box is turned inside out."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    product: NDArray[Any] = sides[..., 0] * sides[..., 1]
    return product


def intersection(one: Boxes, other: Boxes) -> NDArray[Any]:
    """The common area of boxes (…, 4) that broadcast against each other."""
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    return area(np.concatenate((low, high), axis=-1))


def overlap(one: Boxes, other: Boxes) -> NDArray[Any]:
    """Intersection over union, 0..1, of boxes that broadcast; 0 where both are empty.

    All pairs of (n, 4) and (m, 4): `overlap(one[:, None], other)`, shape (n, m).
    """
    common = intersection(one, other)
    union = area(one) + area(other) - common
    shares: NDArray[Any] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares


def suppress(
    boxes: Boxes, scores: NDArray[Any], classes: NDArray[Any], iou: float, most: int
) -> NDArray[np.intp]:
    """Non-maximum suppression: numbers of the boxes that stay, best first, `most` at most.

    boxes (n, 4), scores (n,), classes (n,). A box goes where one of the same class that stays, with
    a better score, overlaps it by more than `iou`. Equal scores keep their order.
    """
    kept: list[int] = []
    order = np.argsort(-scores, kind="stable")
    while order.size and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(best)
        apart = overlap(boxes[best], boxes[order]) <= iou
        order = order[apart | (classes[order] != classes[best])]
    return np.array(kept, np.intp)


def merge(
    boxes: Boxes, scores: NDArray[Any], iou: float, most: int
) -> tuple[Boxes, NDArray[np.intp]]:
    """Weighted suppression, as BlazeFace's authors use it: the boxes that overlap the best one by
    more than `iou` become one with it, their mean weighted by their scores.

    boxes (n, 4), scores (n,). Returns boxes (k, 4), best first, and numbers (k,) of the best ones.
    """
    kept: list[int] = []
    merged: list[Boxes] = []
    order = np.argsort(-scores, kind="stable")
    while order.size and len(kept) < most:
        best = order[0]
        near = overlap(boxes[best], boxes[order]) > iou
        near[0] = True
        kept.append(best)
        merged.append(np.average(boxes[order[near]], axis=0, weights=scores[order[near]]))
        order = order[~near]
    return np.array(merged).reshape(-1, 4), np.array(kept, np.intp)
