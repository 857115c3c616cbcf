"""mAP by hand on small scenes, and against pycocotools where it is installed."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from edge_sdk.evaluation.average_precision import OVERLAPS, AveragePrecision, matches

SQUARE = [0.0, 0.0, 10.0, 10.0]
Image = dict[str, Any]


def precision(
    truths: list[list[float]],
    boxes: list[list[float]],
    scores: list[float],
    crowd: list[bool] | None = None,
) -> list[float]:
    """Of one class in one image, at each of OVERLAPS."""
    counted = AveragePrecision()
    counted.add(
        0,
        np.array(truths).reshape(-1, 4),
        np.array(crowd or [False] * len(truths), bool),
        np.array(boxes).reshape(-1, 4),
        np.array(scores),
    )
    found: list[float] = counted.by_class()[0].tolist()
    return found


def test_found_exactly() -> None:
    assert precision([SQUARE], [SQUARE], [0.3]) == pytest.approx([1.0] * 10)


def test_not_found() -> None:
    assert precision([SQUARE], [], []) == [0.0] * 10
    assert precision([SQUARE], [[20.0, 20, 30, 30]], [0.9]) == [0.0] * 10


def test_a_box_counts_up_to_its_overlap() -> None:
    """8 of 10 columns: .80 counts as .50 to .80, COCO's thresholds including their own value."""
    found = precision([SQUARE], [[0.0, 0.0, 8.0, 10.0]], [0.9])
    assert found == pytest.approx([1.0] * 7 + [0.0] * 3)


def test_a_thing_is_found_once() -> None:
    """Second, the same box again is wrong; before the other thing it costs precision."""
    other = [50.0, 50.0, 60.0, 60.0]
    twice = precision([SQUARE, other], [SQUARE, SQUARE, other], [0.9, 0.8, 0.7])
    # Recall 0.5 at precision 1 (51 of 101 points), then 1.0 at 2/3.
    assert twice == pytest.approx([(51 + 50 * 2 / 3) / 101] * 10)
    later = precision([SQUARE, other], [SQUARE, SQUARE, other], [0.9, 0.1, 0.7])
    assert later == pytest.approx([1.0] * 10)


def test_the_surest_box_takes_the_thing_that_it_overlaps_most() -> None:
    near = [1.0, 0.0, 11.0, 10.0]
    matched, ignored = matches(
        np.array([SQUARE, near]), np.zeros(2, bool), np.array([near, near, SQUARE])
    )
    assert matched[0].tolist() == [True, True, False]
    assert matched[-1].tolist() == [True, False, True]  # at .95 the second is not the square
    assert not ignored.any()


def test_a_crowd_need_not_be_found_and_forgives() -> None:
    region = [0.0, 0.0, 100.0, 100.0]
    inside = [[10.0, 10, 20, 20], [30.0, 30, 40, 40], [110.0, 0, 120, 10]]
    counted = AveragePrecision()
    counted.add(0, np.array([region]), np.array([True]), np.array(inside), np.array([0.9, 0.8, 1]))
    assert counted.by_class() == {}  # nothing to be found
    with_one = precision([region, [200.0, 0, 210, 10]], [*inside, [200.0, 0, 210, 10]],
                         [0.9, 0.8, 0.1, 0.7], [True, False])  # fmt: skip
    assert with_one == pytest.approx([1.0] * 10)


def test_a_hundred_boxes_of_a_image_count() -> None:
    boxes = [[20.0, 20, 30, 30]] * 100 + [SQUARE]
    scores = [0.9] * 100 + [0.1]
    assert precision([SQUARE], boxes, scores) == [0.0] * 10
    assert precision([SQUARE], boxes[1:], scores[1:])[0] == pytest.approx(0.01)


def images(seed: int) -> list[Image]:
    """Made-up truths and answers: near, doubled, wrong, in crowds, with equal scores."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(6):
        truths = random.uniform(0, 80, (random.integers(0, 6), 2))
        truths = np.concatenate([truths, truths + random.integers(4, 60, truths.shape)], axis=1)
        near = np.repeat(truths, 2, axis=0) + random.normal(0, 3, (2 * len(truths), 4))
        far = random.uniform(0, 80, (random.integers(0, 4), 2))
        far = np.concatenate([far, far + random.integers(4, 60, far.shape)], axis=1)
        boxes = np.concatenate([near, far])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        made.append(
            {
                "truths": truths,
                "kinds": random.integers(0, 3, len(truths)),
                "crowd": random.random(len(truths)) < 0.2,
                "boxes": boxes,
                "labels": random.integers(0, 3, len(boxes)),
                "scores": np.round(random.random(len(boxes)), 1),
            }
        )
        made[-1]["labels"][: 2 * len(truths)] = np.repeat(made[-1]["kinds"], 2)
    return made


def ours(made: list[Image]) -> dict[int, Any]:
    counted = AveragePrecision()
    for one in made:
        for kind in range(3):
            truths, boxes = one["kinds"] == kind, one["labels"] == kind
            counted.add(
                *(kind, one["truths"][truths], one["crowd"][truths]),
                *(one["boxes"][boxes], one["scores"][boxes]),
            )
    return counted.by_class()


def test_a_scene_that_pycocotools_has_measured() -> None:
    """The numbers are pycocotools 2.0.11's for seed 5."""
    found = ours(images(5))
    assert {kind: values.mean() for kind, values in found.items()} == pytest.approx(PYCOCOTOOLS)


PYCOCOTOOLS = {0: 0.3145120226308345, 1: 0.057708628005657694, 2: 0.19675624705327666}


@pytest.mark.parametrize("seed", range(12))
def test_against_pycocotools(seed: int) -> None:
    reason = "NOT TESTED: pycocotools is not installed"
    coco = pytest.importorskip("pycocotools.coco", reason=reason).COCO
    evaluation = pytest.importorskip("pycocotools.cocoeval", reason=reason).COCOeval
    made = images(seed)
    annotations, results = [], []
    for number, one in enumerate(made, start=1):
        for box, kind, crowd in zip(one["truths"], one["kinds"], one["crowd"], strict=True):
            x0, y0, x1, y1 = box
            annotations.append(
                {
                    **{"id": len(annotations) + 1, "image_id": number, "category_id": int(kind)},
                    **{"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)},
                    "iscrowd": int(crowd),
                }
            )
        for box, kind, score in zip(one["boxes"], one["labels"], one["scores"], strict=True):
            x0, y0, x1, y1 = box
            results.append(
                {
                    **{"image_id": number, "category_id": int(kind), "score": float(score)},
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                }
            )
    truth = coco()
    truth.dataset = {
        "info": {},
        "images": [{"id": n + 1} for n in range(len(made))],
        "categories": [{"id": kind, "name": str(kind)} for kind in range(3)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = evaluation(truth, truth.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
    # (overlaps, recalls, classes, areas, most boxes); -1 where there is nothing to be found
    theirs = run.eval["precision"][:, :, :, 0, 2]
    found = ours(made)
    for kind in range(3):
        if kind in found:
            assert found[kind] == pytest.approx(theirs[:, :, kind].mean(axis=1), abs=1e-12)
        else:
            assert (theirs[:, :, kind] == -1).all()
    assert len(OVERLAPS) == len(theirs)
