"""Detections of a built-in post-process on two engines, compared as sets.

What TFLite_Detection_PostProcess answers cannot be compared place by place: equal scores come in
any order, and what lies behind the count is left over from before. So detections are paired: of one
class, where their boxes overlap and their scores are near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.model.interface import OutputEntry
from edge_sdk.tasks.base import Outputs
from edge_sdk.tasks.overlap import Boxes, overlap
from edge_sdk.tensors import dequantize

TOLERATED = 10
"""One in so many detections that nobody is shown may differ. Seen: SSD MobileNet, uint8, over 34
images, XNNPACK against no delegate, and against tflite-runtime 2.14: one of 205.
"""

_FARTHEST = 1e6


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections in one image. boxes (n, 4), float: x0, y0, x1, y1 in any unit;
    classes (n,), int; scores (n,), float. full: every place of the model is taken, there may be
    more.
    """

    boxes: Boxes
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    full: bool

    def describe(self, number: int) -> str:
        """For example "class 17 with score 0.83 at 0.12 0.20 0.50 0.61"."""
        place = " ".join(f"{edge:.2f}" for edge in self.boxes[number])
        return f"class {self.classes[number]} with score {self.scores[number]:.3g} at {place}"


@dataclass(frozen=True)
class Bounds:
    """The largest difference between two detections of one object.

    score = absolute + relative * score; iou: their least overlap. suppressed: the overlap above
    which the better one of two may be the only one. min_score: the score from which each one must
    be found again.
    """

    absolute: float
    relative: float = 0.0
    iou: float = 0.5
    suppressed: float = 0.5
    min_score: float = 0.0

    def score(self, scores: Any) -> Any:
        """The tolerance of a score, or of each in an array."""
        return self.absolute + self.relative * scores


def answered(
    boxes: Boxes, classes: NDArray[np.float32], scores: NDArray[np.float32], count: float
) -> Detections:
    """The detections of one image: boxes (places, 4) as y0, x0, y1, x1, classes and scores
    (places,); the first `count` places count.
    """
    places = len(scores)
    n = int(np.clip(np.nan_to_num(count), 0, places))
    known = np.nan_to_num(boxes[:n], nan=0.0, posinf=_FARTHEST, neginf=-_FARTHEST)
    numbers = np.nan_to_num(classes[:n], nan=-1.0, posinf=_FARTHEST, neginf=-_FARTHEST)
    return Detections(
        known[:, [1, 0, 3, 2]].astype(np.float64),
        numbers.astype(np.int64),
        scores[:n].astype(np.float64),
        n == places,
    )


def decoded(outputs: Sequence[OutputEntry], values: Outputs) -> list[Detections]:
    """The detections of a built-in post-process in each sample."""
    real = {
        output.role: dequantize(stored, output.tensor.spec).reshape(len(stored), -1)
        for output, stored in zip(outputs, values, strict=True)
    }
    boxes = real["boxes"].reshape(len(real["boxes"]), -1, 4)
    rows = zip(boxes, real["classes"], real["scores"], real["count"][:, 0], strict=True)
    return [answered(*row) for row in rows]


def compare_detections(
    wanted: Sequence[Detections], found: Sequence[Detections], bounds: Bounds
) -> tuple[float, str]:
    """The largest difference between the scores of two that are one, and why the answers are not
    the same, or "".

    Asked are those that are clear of the cut: where all places are taken that is the lowest score,
    else the lowest one that was ever answered, and no more than bounds.min_score. Twice the bound
    above it, a detection cannot have been lost there, or come from there. From bounds.min_score on
    every one must have its like; of the others, where suppression may turn out otherwise, one in
    TOLERATED need not, and one in any case.
    """
    lowest = min((float(one.scores.min()) for one in wanted if one.scores.size), default=0.0)
    largest, asked, alone = 0.0, 0, []
    for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
        if not np.isfinite([*one.scores, *other.scores]).all():
            return np.inf, f"sample {number}: a score is not a number"
        cut = float(one.scores.min()) if one.full else min(lowest, bounds.min_score)
        pairs = _pairs(one, other, bounds)
        largest = max([largest, *(abs(one.scores[i] - other.scores[j]) for i, j in pairs.items())])
        back = {j: i for i, j in pairs.items()}
        for these, those, known, verdict in (
            (one, other, pairs, "is missing"),
            (other, one, back, "is new"),
        ):
            clear = np.flatnonzero(these.scores > cut + 2 * bounds.score(these.scores))
            asked += len(clear)
            for i in clear:
                if not _has_its_like(int(i), these, those, known, bounds):
                    because = f"sample {number}: {_described(int(i), these, those, verdict)}"
                    alone.append((float(these.scores[i]), because))
    score, because = max(alone, default=(0.0, ""))
    enough = len(alone) <= max(1, asked // TOLERATED)
    return float(largest), "" if score < bounds.min_score and enough else because


def _pairs(one: Detections, other: Detections, bounds: Bounds) -> dict[int, int]:
    """Numbers in `one` and in `other` of what is the same, the best overlap first."""
    gap = np.abs(one.scores[:, None] - other.scores)
    same = (one.classes[:, None] == other.classes) & (gap <= bounds.score(one.scores)[:, None])
    shares = overlap(one.boxes[:, None], other.boxes)
    shares = np.where(same & (shares >= bounds.iou), shares, 0.0)
    pairs = {}
    while shares.size and shares.max() > 0:
        i, j = map(int, np.unravel_index(shares.argmax(), shares.shape))
        pairs[i] = j
        shares[i], shares[:, j] = 0.0, 0.0
    return pairs


def _has_its_like(
    number: int, one: Detections, other: Detections, pairs: dict[int, int], bounds: Bounds
) -> bool:
    """True where a detection of `one` is in `other`, or a better one that both found lies over it:
    near the overlap where suppression begins, a little less of it is one detection more.
    """
    if number in pairs:
        return True
    common = list(pairs.values())
    over = overlap(one.boxes[number], other.boxes[common]) > bounds.suppressed
    score = one.scores[number]
    return bool(np.any(over & (other.scores[common] >= score - bounds.score(score))))


def _described(number: int, one: Detections, other: Detections, verdict: str) -> str:
    """ "class 17 with score … is missing", and what the other answer has in its place."""
    shares = overlap(one.boxes[number], other.boxes)
    there = "nothing else is there"
    if shares.size and shares.max() > 0:
        best = int(shares.argmax())
        there = f"there is {other.describe(best)}, which overlaps it by {shares[best]:.2f}"
    return f"{one.describe(number)} {verdict}: {there}"
