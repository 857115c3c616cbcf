"""Overlap and suppression against plain loops, one pair at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.tasks.overlap import area, merge, overlap, suppress

Box = tuple[float, ...]


def plain_overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Boxes on a coarse grid, so that many touch, coincide or are empty; scores with ties."""
    count = draw(st.integers(0, 25))
    edge = st.integers(0, 8)
    boxes = []
    for _ in range(count):
        (x0, x1), (y0, y1) = (sorted((draw(edge), draw(edge))) for _ in range(2))
        boxes.append((x0, y0, x1, y1))
    scores = [draw(st.integers(1, 6)) / 6 for _ in range(count)]
    classes = [draw(st.integers(0, 2)) for _ in range(count)]
    return (
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int64),
    )


@given(scenes(), scenes())
def test_overlap_of_all_pairs(one: Any, other: Any) -> None:
    found = overlap(one[0][:, None], other[0])
    assert found.shape == (len(one[0]), len(other[0]))
    for i, a in enumerate(one[0]):
        for j, b in enumerate(other[0]):
            assert abs(found[i, j] - plain_overlap(a, b)) < 1e-12


def test_boxes_turned_inside_out_are_empty() -> None:
    boxes = np.array([[5.0, 5, 1, 1], [0, 5, 4, 1], [0, 0, 4, 1]])
    assert area(boxes).tolist() == [0, 0, 4]
    assert overlap(boxes[:, None], boxes)[2].tolist() == [0, 0, 1]


@given(scenes(), st.sampled_from([0.1, 0.3, 0.5, 0.6, 1.0]), st.sampled_from([1, 3, 100]))
def test_suppression_is_the_plain_one(scene: Any, iou: float, most: int) -> None:
    """The definition: best first, each stays unless one of its class that stays covers it."""
    boxes, scores, classes = scene
    wanted: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        covered = any(
            classes[k] == classes[i] and plain_overlap(boxes[k], boxes[i]) > iou for k in wanted
        )
        if not covered:
            wanted.append(i)
    assert suppress(boxes, scores, classes, iou, most).tolist() == wanted[:most]


@given(scenes(), st.sampled_from([0.1, 0.3, 0.6]), st.sampled_from([2, 100]))
def test_merging_is_the_plain_one(scene: Any, iou: float, most: int) -> None:
    boxes, scores, _ = scene
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    wanted, numbers = [], []
    while left and len(numbers) < most:
        best = left[0]
        near = [i for i in left if i == best or plain_overlap(boxes[best], boxes[i]) > iou]
        total = sum(float(scores[i]) for i in near)
        wanted.append([sum(boxes[i][e] * float(scores[i]) for i in near) / total for e in range(4)])
        numbers.append(best)
        left = [i for i in left if i not in near]
    merged, kept = merge(boxes, scores, iou, most)
    assert kept.tolist() == numbers
    assert np.allclose(merged, np.array(wanted).reshape(-1, 4), atol=1e-5)
