"""Tracking: each detected object gets an ID that persists across frames.

After SORT (Bewley et al., arXiv:1602.00763): constant velocity, and boxes go to the tracks whose
expected places they overlap most. docs/adr/0005-tracking.md says why it is not a library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_sdk.results import Detection
from edge_sdk.tasks.overlap import overlap

MAX_AGE = 30
"""Frames of the camera after which a thing that is not found again is gone; ByteTrack's."""

MIN_HITS = 2
"""Answers in a row from which on a thing has a number: what shows up once may be a mistake."""

MIN_OVERLAP = 0.3
"""Intersection over union below which a box is something else; SORT's."""

_NEWEST = 0.5
"""Weight of the newest step in a velocity."""


@dataclass
class _Track:
    """box: x0, y0, x1, y1 where it was last, in frame `seen`; velocity: pixels a frame of its
    centre, (2,); number: None until it was found MIN_HITS times.
    """

    index: int
    box: NDArray[np.float64]
    seen: int
    velocity: NDArray[np.float64]
    hits: int = 1
    number: int | None = None

    def expected(self, frame: int) -> NDArray[np.float64]:
        """Its expected box in a later frame."""
        return self.box + np.tile(self.velocity, 2) * (frame - self.seen)

    def move(self, box: NDArray[np.float64], frame: int) -> None:
        """It was found again."""
        step = (_center(box) - _center(self.box)) / (frame - self.seen)
        known = self.hits > 1
        self.velocity = (1 - _NEWEST) * self.velocity + _NEWEST * step if known else step
        self.box, self.seen, self.hits = box, frame, self.hits + 1


class Tracker:
    """Numbers detections, frame by frame; from 1, and none is ever given twice.

    max_age, min_hits, min_overlap: as MAX_AGE, MIN_HITS and MIN_OVERLAP say.
    """

    def __init__(
        self,
        *,
        max_age: int = MAX_AGE,
        min_hits: int = MIN_HITS,
        min_overlap: float = MIN_OVERLAP,
    ) -> None:
        self._max_age = max_age
        self._min_hits = min_hits
        self._least = min_overlap
        self._tracks: list[_Track] = []
        self._given = 0
        self._frame = -1

    def update(self, found: Sequence[Detection], frame: int) -> tuple[Detection, ...]:
        """The detections of frame number `frame` (Result.index: those that were dropped count), in
        the same order, each with its `track`; None for what is new.
        """
        before, self._frame = self._frame, max(frame, self._frame + 1)
        frame = self._frame
        self._tracks = [t for t in self._tracks if self._may_return(t, frame, before)]
        boxes = np.array([detection.box for detection in found], np.float64).reshape(-1, 4)
        pairs = self._pairs(found, boxes, frame)
        owners: dict[int, _Track] = {}
        for track, place in pairs:
            track.move(boxes[place], frame)
            owners[place] = track
        # A track without a number is dropped where it is not found again at once.
        self._tracks = [t for t in self._tracks if t.seen == frame or t.number is not None]
        for place, detection in enumerate(found):
            if place not in owners:
                owners[place] = _Track(detection.index, boxes[place], frame, np.zeros(2))
                self._tracks.append(owners[place])
        for place in range(len(found)):
            self._number(owners[place])
        return tuple(
            replace(detection, track=owners[place].number) for place, detection in enumerate(found)
        )

    def _pairs(
        self, found: Sequence[Detection], boxes: NDArray[np.float64], frame: int
    ) -> list[tuple[_Track, int]]:
        """Tracks with the boxes that are theirs: of all pairs of one class the best first."""
        if not found or not self._tracks:
            return []
        expected = np.array([track.expected(frame) for track in self._tracks])
        shares = overlap(expected[:, None], boxes)
        kinds = np.array([track.index for track in self._tracks])
        shares[kinds[:, None] != np.array([detection.index for detection in found])] = -1.0
        pairs = []
        while (best := shares.max()) >= self._least:
            row, column = np.argwhere(shares == best)[0]
            pairs.append((self._tracks[row], int(column)))
            shares[row], shares[:, column] = -1.0, -1.0
        return pairs

    def _may_return(self, track: _Track, frame: int, before: int) -> bool:
        """True where it may be in this frame: what was in the answer before may, however slow the
        model is.
        """
        return track.seen == before or frame - track.seen <= self._max_age

    def _number(self, track: _Track) -> None:
        if track.number is None and track.hits >= self._min_hits:
            self._given += 1
            track.number = self._given


def _center(box: NDArray[np.float64]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = (box[:2] + box[2:]) / 2
    return middle
