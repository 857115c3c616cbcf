"""Sequences on the device: every frame goes into the window, the answers are about the newest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device import Runtime, SequenceRecognizer, open_camera
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk import Bundle, Frame, Recognizer
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.cli.table import main
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.images.image_files import write_image
from edge_sdk.model.interface import SequenceEntry

CLIP = (3, 8, 6, 3)
FEATURES = (4, 2)


def frames_of(count: int) -> list[Frame]:
    random = np.random.default_rng(0)
    return [
        Frame(random.integers(0, 256, (9, 12, 3), np.uint8), "rgb", index=number, sensor_ns=number)
        for number in range(count)
    ]


@pytest.fixture
def strided(
    tiny_parts: Callable[..., Any], tmp_path: Path
) -> Callable[[tuple[int, ...], int], Path]:
    """A bundle of task "sequence" with the stride that is asked for."""

    def make(shape: tuple[int, ...], stride: int) -> Path:
        manifest, members = tiny_parts(shape=shape)
        manifest = replace(manifest, sequence=SequenceEntry(shape[0], stride))
        write_bundle(tmp_path / "strided.edge", manifest, members)
        return tmp_path / "strided.edge"

    return make


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_window_is_answered_as_its_frames_together(
    stride: int, strided: Callable[..., Path]
) -> None:
    frames = frames_of(12)
    with (
        Bundle.open(strided(CLIP, stride)) as bundle,
        Recognizer.open(bundle) as streamed,
        Recognizer.open(bundle) as whole,
    ):
        sequence = SequenceRecognizer(streamed)
        answered = []
        for frame in frames:
            result = sequence.push(frame)
            if result is None:
                continue
            answered.append(frame.index)
            assert (result.index, result.sensor_ns) == (frame.index, frame.sensor_ns)
            last = tuple(frames[frame.index - 2 : frame.index + 1])
            assert result.classes == whole(last).classes
            assert np.array_equal(streamed.scores(), whole.scores())
        assert answered == list(range(2, 12, stride))
        assert sequence.skipped == 0


def test_rows_of_features_likewise(strided: Callable[..., Path]) -> None:
    rows = np.random.default_rng(3).random((9, 2), np.float32)
    with (
        Bundle.open(strided(FEATURES, 2)) as bundle,
        Recognizer.open(bundle) as streamed,
        Recognizer.open(bundle) as whole,
    ):
        sequence = SequenceRecognizer(streamed)
        found = [(step, sequence.push(row)) for step, row in enumerate(rows)]
        answered = [(step, result) for step, result in found if result is not None]
        assert [step for step, _ in answered] == [3, 5, 7]
        for step, result in answered:
            assert result.classes == whole(rows[step - 3 : step + 1]).classes
        with pytest.raises(ModelError, match="3 features a step do not fit"):
            sequence.push(np.zeros(3, np.float32))


def test_who_is_behind_answers_about_the_newest_window(strided: Callable[..., Path]) -> None:
    """Due at frames 2, 4 and 6; frames 3 to 7 wait while 2 is answered."""
    frames = frames_of(10)
    with (
        Bundle.open(strided(CLIP, 2)) as bundle,
        Recognizer.open(bundle) as streamed,
        Recognizer.open(bundle) as whole,
    ):
        sequence = SequenceRecognizer(streamed)
        results = [sequence.push(frame, behind=3 <= frame.index <= 6) for frame in frames]
        assert [r.index for r in results if r is not None] == [2, 7, 9]
        assert sequence.skipped == 1  # that of frame 4; that of frame 6 became frame 7's
        assert results[7] is not None
        assert results[7].classes == whole(tuple(frames[5:8])).classes


def test_overload_skips_windows_but_no_frame(
    strided: Callable[..., Path], shared_clock: Any
) -> None:
    """10 frames a second, a window due every 2 of them; answers are given every 0.5 s."""
    spec = CameraSpec("fake?fps=10", "fake", fps=10)
    camera = FakeCamera(spec, now_ns=shared_clock.now_ns, sleep=shared_clock.sleep)
    third_ns = shared_clock.now_ns() + 200_000_000

    def until_the_first_window() -> bool:
        if shared_clock.now_ns() < third_ns:
            shared_clock.advance(0.1)
        return False

    with Runtime(strided(CLIP, 2), now_ns=shared_clock.now_ns) as runtime:
        indices = []
        for result in runtime.run(camera, stop=until_the_first_window):
            indices.append(result.index)
            if len(indices) == 5:
                shared_clock.stop()
                break
            shared_clock.advance(0.5)
        document = runtime.report().as_dict()
    camera.close()
    assert indices == [2, 7, 12, 17, 22]
    assert document["policy"] == "latest"
    # In each of the four half seconds one of two windows was overtaken.
    assert document["drops"] + document["warmup"]["drops"] == 4


def test_a_run_over_images(
    tiny_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for frame in frames_of(6):
        write_image(tmp_path / "images" / f"{frame.index}.png", frame)
    bundle, lines = tiny_bundle(shape=CLIP), tmp_path / "results.jsonl"
    camera = f"folder:{tmp_path / 'images'}?fps=max"
    assert main(["run", str(bundle), "--camera", camera, "--jsonl", str(lines), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["results"], document["drops"], document["policy"]) == (4, 0, "block")
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line["index"] for line in written] == [2, 3, 4, 5]


def test_a_camera_that_ends_before_the_first_window(
    tiny_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    camera = f"synthetic?frames={CLIP[0] - 1}&fps=max"
    assert main(["run", str(tiny_bundle(shape=CLIP)), "--camera", camera, "--json"]) == 0
    printed = capsys.readouterr()
    (note,) = json.loads(printed.out)["notes"]
    assert note == "no answer: the bundle needs 3 frames for the first, but the camera delivered 2"
    assert f"warning: {note}" in printed.err


def test_windows_that_were_all_overtaken_are_no_lack_of_frames(
    strided: Callable[..., Path], shared_clock: Any
) -> None:
    """Five frames come for each that is looked at."""
    spec = CameraSpec("fake?fps=10", "fake", fps=10)
    camera = FakeCamera(spec, now_ns=shared_clock.now_ns, sleep=shared_clock.sleep)
    looks = iter(range(2 * CLIP[0]))

    def after_some() -> bool:
        shared_clock.advance(0.5)
        return next(looks, None) is None

    with Runtime(strided(CLIP, 1), now_ns=shared_clock.now_ns) as runtime:
        assert list(runtime.run(camera, stop=after_some)) == []
        shared_clock.stop()
        document = runtime.report().as_dict()
    camera.close()
    assert document["notes"] == [] and document["drops"] > 0


def test_no_camera_gives_features(tiny_bundle: Callable[..., Path]) -> None:
    with (
        Runtime(tiny_bundle(shape=FEATURES)) as runtime,
        open_camera("synthetic?frames=3&fps=max") as camera,
        pytest.raises(ConfigError, match="rows of features, not camera frames"),
    ):
        next(runtime.run(camera))


def test_a_image_bundle_has_no_windows(tiny_bundle: Callable[..., Path]) -> None:
    with (
        Bundle.open(tiny_bundle()) as bundle,
        Recognizer.open(bundle) as recognizer,
        pytest.raises(ConfigError, match="classifies single images"),
    ):
        SequenceRecognizer(recognizer)
