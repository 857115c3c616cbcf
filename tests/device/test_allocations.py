"""A frame in steady state allocates nothing but its small answer: no image-sized buffer, and
nothing that stays; answered at once, or streamed.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from edge_device.cameras.fake import FakeCamera
from edge_device.run.pipeline import Pipeline
from edge_sdk import Bundle, Frame, Recognizer
from edge_sdk.inference.prefetch import Prepared, Preparer
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.preprocess import PreprocessSpec
from waiting import wait_until

WIDTH, HEIGHT, SIDE = 320, 240, 96
FRAMES = 300


def frame(color: str) -> Frame:
    random = np.random.default_rng(0)
    size = (HEIGHT, WIDTH)
    shapes = {"rgb": (*size, 3), "gray": size, "yuv420p": (HEIGHT * 3 // 2, WIDTH)}
    return Frame(random.integers(0, 256, shapes[color], np.uint8), color)  # type: ignore[arg-type]


@pytest.fixture
def quick_collection() -> Iterator[None]:
    """What earlier tests of this process left (TensorFlow, a million objects) is not looked at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quick_collection")
@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("color", ["rgb", "gray", "yuv420p"])
def test_nothing_is_allocated_for_a_frame(
    fit: str, color: str, tiny_bundle: Callable[..., Path]
) -> None:
    """What is allocated at any instant for a frame is less than the smallest buffer there is, the
    model's input; and after many frames no more is held than before.
    """
    preprocess = PreprocessSpec("bgr", fit, mean=(0.0,), std=(255.0,))  # type: ignore[arg-type]
    path = tiny_bundle(shape=(SIDE, SIDE, 3), preprocess=preprocess)
    image = frame(color)
    with Bundle.open(path) as bundle, Recognizer.open(bundle) as recognizer:
        for _ in range(20):
            recognizer(image)
        gc.collect()
        tracemalloc.start()
        try:
            recognizer(image)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            most = 0
            for _ in range(FRAMES):
                tracemalloc.reset_peak()
                now, _ = tracemalloc.get_traced_memory()
                recognizer(image)
                most = max(most, tracemalloc.get_traced_memory()[1] - now)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < SIDE * SIDE * 3 // 2
    # What stays takes 16 bytes or more, each frame; other threads make a few objects of their own.
    assert after - before < 16 * FRAMES / 2


class CountingPreparer:
    """Counts the frames that another prepared."""

    def __init__(self, preparer: Preparer) -> None:
        self.prepared = 0
        self.release = preparer.release
        self._preparer = preparer

    def __call__(self, frame: Frame) -> Prepared | None:
        found = self._preparer(frame)
        self.prepared += 1
        return found


@pytest.mark.usefixtures("quick_collection")
def test_nothing_is_allocated_for_a_frame_of_a_stream(tiny_bundle: Callable[..., Path]) -> None:
    """Nor by the capture thread, which prepares the next frame meanwhile. Tensors are allocated
    until there is one in each place where a frame may be.
    """
    preprocess = PreprocessSpec("bgr", "letterbox", mean=(0.0,), std=(255.0,))
    path = tiny_bundle(shape=(SIDE, SIDE, 3), preprocess=preprocess)
    with open_recognizer(path) as recognizer, ExitStack() as stack:
        preparer = CountingPreparer(recognizer.preparer())
        camera = stack.enter_context(FakeCamera(script=repeat(frame("rgb"))))
        pipeline = stack.enter_context(Pipeline(camera, "block", preparer=preparer))
        answers = (recognizer(shown, prepared=prepared) for shown, _, prepared in pipeline)
        for answered in range(1, 21):
            next(answers)
            # One is held here, one waits, and capture waits with a third in its hand.
            wait_until(lambda so_many=answered + 2: preparer.prepared == so_many)
        gc.collect()
        tracemalloc.start()
        try:
            next(answers)
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(FRAMES):
                next(answers)
            gc.collect()
            after, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most - before < SIDE * SIDE * 3 // 2
    # The fake camera's record of what was asked of it takes 8 bytes a frame, in growing steps.
    assert after - before < 16 * FRAMES
