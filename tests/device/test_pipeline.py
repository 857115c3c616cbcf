"""Capture thread, what waits, and what is dropped: exact, whatever the machine does."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge_device import open_camera
from edge_device.cameras.fake import FakeCamera
from edge_device.cameras.spec import CameraSpec
from edge_device.run.pipeline import DEPTH, Pipeline
from edge_sdk import Frame
from edge_sdk.errors import CameraError, ConfigError
from edge_sdk.inference.prefetch import MAX_BYTES, Preparer
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tensors import QuantParams, TensorSpec
from waiting import PATIENCE_S, wait_until

IMAGE = Frame(np.zeros((4, 4, 3), np.uint8), "rgb")

FED = TensorSpec("input", (1, 4, 4, 3), "uint8", QuantParams(1.0, 0))
AS_IT_IS = PreprocessSpec("rgb", "stretch", mean=(0.0,), std=(1.0,))
"""A tensor that holds the image's own numbers."""


def test_overload_answers_about_the_newest_frame_and_counts_the_rest(shared_clock: Any) -> None:
    """A 60 fps camera and answers that take 20 ms: frame n is there at n / 60 s."""
    spec = CameraSpec("fake?fps=60", "fake", fps=60)
    camera = FakeCamera(spec, now_ns=shared_clock.now_ns, sleep=shared_clock.sleep)
    start = shared_clock.now_ns()
    seen = []
    with Pipeline(camera, "latest", now_ns=shared_clock.now_ns) as pipeline:
        for frame, capture_ns, _ in pipeline:
            seen.append((frame.index, shared_clock.now_ns() - frame.sensor_ns, pipeline.drops))
            assert capture_ns == 0
            if len(seen) == 300:
                break
            shared_clock.advance(0.020)
        shared_clock.stop()
    camera.close()
    for answered, (index, age_ns, drops) in enumerate(seen):
        now_ns = answered * 20_000_000
        newest = max(n for n in range(now_ns * 60 // 10**9 + 2) if n * 10**9 // 60 <= now_ns)
        assert index == newest
        assert age_ns == now_ns - newest * 10**9 // 60
        assert drops == newest - answered
    assert shared_clock.now_ns() - start == 299 * 20_000_000


@pytest.mark.parametrize("policy", ["all", "block"])
def test_where_capture_waits_no_frame_is_lost(policy: Any) -> None:
    camera = open_camera("fake?frames=500&fps=max")
    with camera, Pipeline(camera, policy) as pipeline:
        assert [captured.frame.index for captured in pipeline] == list(range(500))
        assert pipeline.drops == 0


@pytest.mark.parametrize("policy", ["all", "block"])
def test_capture_waits_when_as_many_frames_wait_as_may(policy: Any) -> None:
    depth = DEPTH[policy]
    enough = threading.Event()

    class Counting(FakeCamera):
        def _read(self) -> Frame | None:
            frame = super()._read()
            if len(self.calls) == depth + 1:
                enough.set()
            return frame

    with Counting() as camera, Pipeline(camera, policy) as pipeline:
        assert enough.wait(PATIENCE_S)
        # One frame is in the capture thread's hand, `depth` wait; it cannot read another.
        assert len(camera.calls) == depth + 1
        first = next(iter(pipeline))
        assert first.frame.index == 0


@pytest.mark.parametrize(
    ("spec", "policy"), [("fake?fps=max", "block"), ("fake?fps=30", "latest"), ("fake", "latest")]
)
def test_the_default_policy(spec: str, policy: str) -> None:
    with open_camera(spec) as camera, Pipeline(camera) as pipeline:
        assert pipeline.policy == policy


def test_an_unknown_policy() -> None:
    with open_camera("fake") as camera, pytest.raises(ConfigError, match="newest") as caught:
        Pipeline(camera, "newest")  # type: ignore[arg-type]
    assert "latest" in caught.value.fix


def test_what_the_camera_raises_comes_after_the_frames_before_it() -> None:
    camera = FakeCamera(script=[IMAGE, IMAGE, IMAGE, RuntimeError("unplugged")])
    seen = []
    with Pipeline(camera, "all") as pipeline, pytest.raises(CameraError, match="unplugged"):
        for captured in pipeline:
            seen.append(captured.frame.index)
    assert seen == [0, 1, 2]


def test_close_returns_though_the_camera_hangs() -> None:
    hangs, released = threading.Event(), threading.Event()

    def hang(_seconds: float) -> None:
        hangs.set()
        released.wait()

    camera = FakeCamera(script=[IMAGE, math.inf], sleep=hang)
    pipeline = Pipeline(camera)
    assert next(iter(pipeline)).frame.index == 0
    assert hangs.wait(PATIENCE_S)
    pipeline.close()
    pipeline.close()
    camera.close()
    assert camera.calls == ["read", "read"]
    released.set()


def test_a_consumer_that_waits_for_a_hanging_camera_can_be_stopped() -> None:
    released = threading.Event()
    camera = FakeCamera(script=[IMAGE, math.inf], sleep=lambda _seconds: released.wait())
    seen, asked = [], []

    def stop() -> bool:
        asked.extend(seen)
        return len(asked) > 5

    with Pipeline(camera, stop=stop) as pipeline:
        for captured in pipeline:
            seen.append(captured.frame.index)
        released.set()
    assert seen == [0]


def test_closing_from_another_thread_ends_the_consumer() -> None:
    released = threading.Event()
    camera = FakeCamera(script=[math.inf], sleep=lambda _seconds: released.wait())
    pipeline = Pipeline(camera)
    seen: list[Any] = []
    consumer = threading.Thread(target=lambda: seen.extend(pipeline))
    consumer.start()
    pipeline.close()
    consumer.join(PATIENCE_S)
    assert not consumer.is_alive()
    assert seen == []
    released.set()


@pytest.mark.parametrize("policy", ["latest", "all", "block"])
def test_what_was_prepared_stays_while_its_frame_is_answered(policy: Any) -> None:
    """Image n is of grey n; two come for each answer. Memory goes round, never too early."""
    turn = threading.Semaphore(1)
    tensors = set()

    def images() -> Iterator[Frame]:
        for index in range(400):
            if index % 2 == 0:
                turn.acquire()
            yield Frame(np.full((8, 8, 3), index % 256, np.uint8), "rgb")

    with (
        FakeCamera(script=images()) as camera,
        Pipeline(camera, policy, preparer=Preparer(AS_IT_IS, FED)) as pipeline,
    ):
        for frame, _, prepared in pipeline:
            turn.release()
            if prepared is None:  # most were dropped until then
                continue
            tensors.add(id(prepared.tensor))
            for _ in range(3):
                assert np.all(prepared.tensor == frame.index % 256)
    assert 2 <= len(tensors) <= DEPTH[pipeline.policy] + 2


def test_where_no_frame_is_dropped_each_is_prepared() -> None:
    camera = open_camera("fake?frames=300&fps=max")
    with camera, Pipeline(camera, "block", preparer=Preparer(AS_IT_IS, FED)) as pipeline:
        assert [captured.prepared is not None for captured in pipeline] == [True] * 300


def test_what_waits_prepared_takes_little_memory() -> None:
    """Of a large input only a few: the others are preprocessed when it is their turn."""
    large = TensorSpec("input", (1, 1024, 1024, 3), "uint8", QuantParams(1.0, 0))
    most = MAX_BYTES // large.nbytes
    camera = open_camera("fake?frames=40&fps=max")
    with camera, Pipeline(camera, "all", preparer=Preparer(AS_IT_IS, large)) as pipeline:
        first = next(answers := iter(pipeline))
        wait_until(lambda: pipeline.waiting == 39)
        captured = [first, *answers]
    assert sum(one.prepared is not None for one in captured[: most + 1]) == most
    assert len(captured) == 40


def test_where_most_frames_are_dropped_they_are_not_prepared(shared_clock: Any) -> None:
    """A camera of 60 fps, and answers that take a second."""
    spec = CameraSpec("fake?fps=60", "fake", fps=60)
    camera = FakeCamera(spec, now_ns=shared_clock.now_ns, sleep=shared_clock.sleep)
    preparer = Preparer(AS_IT_IS, FED, shared_clock.now_ns)
    prepared = []
    with Pipeline(camera, preparer=preparer, now_ns=shared_clock.now_ns) as pipeline:
        for captured in pipeline:
            prepared.append(captured.prepared is not None)
            if len(prepared) == 10:
                break
            shared_clock.advance(1.0)
        shared_clock.stop()
    camera.close()
    assert prepared == [True] + [False] * 9
