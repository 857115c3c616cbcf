"""Numbers that stay: made-up paths of boxes, and `run --track` on a real model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_device import Runtime
from edge_device.run.tracking import Tracker
from edge_sdk import BBox, Detection, Frame
from edge_sdk.errors import ConfigError
from edge_sdk.images.image_files import write_image

Make = Callable[..., Any]


def at(x: float, y: float = 100, *, index: int = 0, size: float = 40) -> Detection:
    """A thing with its left upper corner there."""
    return Detection(f"class{index}", index, 0.9, BBox(x, y, x + size, y + size))


def tracks(tracker: Tracker, found: list[Detection], frame: int) -> list[int | None]:
    return [one.track for one in tracker.update(found, frame)]


def test_a_thing_keeps_its_number() -> None:
    tracker = Tracker()
    seen = [tracks(tracker, [at(10 + 8 * frame)], frame) for frame in range(20)]
    assert seen == [[None]] + [[1]] * 19


def test_a_jump_moves_half_of_the_velocity() -> None:
    """4 pixels, then 8: 18 is expected next, not 20; 13 overlaps enough of the one alone."""
    tracker = Tracker()
    seen = [tracks(tracker, [at(x, size=10)], frame) for frame, x in enumerate((0, 4, 12, 13))]
    assert seen == [[None], [1], [1], [1]]


def test_what_is_answered_is_otherwise_untouched() -> None:
    tracker = Tracker()
    found = [at(10), at(200, index=1)]
    for frame in range(3):
        answered = tracker.update(found, frame)
        assert [(d.label, d.score, d.box) for d in answered] == [
            (d.label, d.score, d.box) for d in found
        ]
    assert [d.track for d in answered] == [1, 2]
    assert [d.track for d in found] == [None, None]


def test_things_that_cross_keep_theirs() -> None:
    """Head on, through each other: for some frames the nearest box is the other thing's."""
    tracker = Tracker()
    seen = []
    for frame in range(41):
        left, right = at(10 * frame), at(400 - 10 * frame, 106)
        seen.append(tracks(tracker, [left, right] if frame % 2 else [right, left], frame))
    first = [numbers if frame % 2 else numbers[::-1] for frame, numbers in enumerate(seen)][1:]
    assert all(numbers == first[0] for numbers in first)
    assert sorted(first[0]) == [1, 2]


def test_missed_frames_are_bridged() -> None:
    """Ten frames behind a pillar, at 12 pixels a frame: it comes out three widths further on."""
    tracker = Tracker()
    for frame in range(6):
        tracks(tracker, [at(12 * frame)], frame)
    for frame in range(6, 16):
        assert tracks(tracker, [], frame) == []
    assert tracks(tracker, [at(12 * 16)], 16) == [1]


def test_dropped_frames_count_as_time() -> None:
    """The newest frame wins: answers about frames 0, 3, 6, …, in which a thing goes 36 pixels."""
    tracker = Tracker()
    assert tracks(tracker, [at(0)], 0) == [None]
    assert tracks(tracker, [at(20)], 1) == [1]
    for frame in range(4, 40, 3):
        assert tracks(tracker, [at(20 * frame)], frame) == [1]


def test_what_was_away_too_long_is_new() -> None:
    for away, wanted in ((30, 1), (31, None)):
        tracker = Tracker()
        tracks(tracker, [at(0)], 0)
        assert tracks(tracker, [at(0)], 1) == [1]
        for frame in range(2, 1 + away):
            tracks(tracker, [], frame)
        assert tracks(tracker, [at(0)], 1 + away) == [wanted]


def test_a_slow_model_still_tracks() -> None:
    """More than MAX_AGE frames of the camera from one answer to the next."""
    tracker = Tracker()
    seen = [tracks(tracker, [at(50)], frame) for frame in range(0, 400, 40)]
    assert seen == [[None]] + [[1]] * 9


def test_what_shows_up_once_gets_no_number() -> None:
    tracker = Tracker()
    assert tracks(tracker, [at(0)], 0) == [None]
    assert tracks(tracker, [], 1) == []
    assert tracks(tracker, [at(0)], 2) == [None]
    assert tracks(tracker, [at(0)], 3) == [1]


def test_things_of_two_classes_are_two_things() -> None:
    tracker = Tracker()
    tracks(tracker, [at(0, index=1)], 0)
    assert tracks(tracker, [at(0, index=1)], 1) == [1]
    assert tracks(tracker, [at(0, index=2)], 2) == [None]
    assert tracks(tracker, [at(0, index=2), at(0, index=1)], 3) == [2, 1]


def test_a_jump_is_another_thing() -> None:
    tracker = Tracker()
    for frame in range(3):
        tracks(tracker, [at(0)], frame)
    assert tracks(tracker, [at(300)], 3) == [None]


def test_settings_are_heard() -> None:
    tracker = Tracker(max_age=1, min_hits=1, min_overlap=0.9)
    assert tracks(tracker, [at(0)], 0) == [1]
    assert tracks(tracker, [at(10)], 1) == [2]
    tracks(tracker, [], 2), tracks(tracker, [], 3)
    assert tracks(tracker, [at(10)], 4) == [3]


def test_frames_that_come_again_are_later_ones() -> None:
    """A camera that was opened anew counts from 0: no time goes back, none stands still."""
    tracker = Tracker()
    for frame in (0, 1, 2, 0, 0, 1):
        last = tracks(tracker, [at(5)], frame)
    assert last == [1]


@given(st.integers(0, 2**32 - 1))
def test_numbers_are_never_given_twice(seed: int) -> None:
    """Whatever is found: in a frame no number stands twice, and one that was gone for longer than
    the tracker remembers never comes back.
    """
    random = np.random.default_rng(seed)
    tracker = Tracker(max_age=3)
    last_seen: dict[int, int] = {}
    highest = 0
    for frame in range(60):
        count = int(random.integers(0, 5)) if random.random() < 0.7 else 0
        found = [
            at(*random.uniform(0, 120, 2), index=int(random.integers(0, 2)))  # type: ignore[misc]
            for _ in range(count)
        ]
        answered = tracker.update(found, frame)
        assert [d.box for d in answered] == [d.box for d in found]
        given = [d.track for d in answered if d.track is not None]
        assert len(set(given)) == len(given)
        for number in sorted(given):
            assert number <= highest + 1
            assert number > highest or frame - last_seen[number] <= 3
            highest = max(highest, number)
            last_seen[number] = frame


def test_run_with_tracks(command: Make, detector_bundle: Make, tmp_path: Path) -> None:
    """A red and a green block go through each other, a cell an image."""
    for number in range(12):
        pixels = np.zeros((160, 160, 3), np.uint8)
        for column, channel in ((number, 0), (12 - number, 1)):
            pixels[50:60, 10 * column : 10 * column + 10, channel] = 255
        write_image(tmp_path / f"{number:02}.png", Frame(pixels, "rgb"))
    out, camera = tmp_path / "out.jsonl", f"folder:{tmp_path}?fps=max"
    for track in ([], ["--track"]):
        done = command(
            *("run", detector_bundle(size=16), "--camera", camera, *track, "--jsonl", out)
        )
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line)["detections"] for line in out.read_text().splitlines()]
    assert len(lines) == 24
    for plain, tracked in zip(lines[:12], lines[12:], strict=True):
        assert sorted(one["label"] for one in plain) == ["green", "red"]
        assert all("track" not in one for one in plain)
        assert [{k: v for k, v in one.items() if k != "track"} for one in tracked] == plain


def test_the_runtime_numbers_what_stays(detector_bundle: Make, tmp_path: Path) -> None:
    from edge_device import open_camera

    for number in range(6):
        pixels = np.zeros((80, 80, 3), np.uint8)
        pixels[30:40, 20:30, 0] = pixels[60:70, 50:60, 2] = 255
        write_image(tmp_path / f"{number}.png", Frame(pixels, "rgb"))
    spec = f"folder:{tmp_path}?fps=max"
    with Runtime(detector_bundle(), threads=1, track=True) as runtime:
        for _ in range(2):  # each run counts from 1
            with open_camera(spec) as camera:
                seen = [[d.track for d in r.detections or ()] for r in runtime.run(camera)]
            assert seen == [[None, None]] + [[1, 2]] * 5
        assert runtime.report().n > 0


def test_a_classifier_finds_nothing_to_track(command: Make, tiny_bundle: Make) -> None:
    with pytest.raises(ConfigError, match="is a classifier, not a detector"):
        Runtime(tiny_bundle(), track=True)
    done = command("run", tiny_bundle(), "--camera", "synthetic?fps=max", "--track")
    assert done.returncode == 1 and done.stdout == ""
    assert "fix: leave --track out" in done.stderr
