"""Loads on a recognizer: iterators of results, one for each scenario.

Time is a parameter. A frame that was scheduled has that instant as its sensor_ns, and so its result
has.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, cycle
from random import Random

from edge_device.cameras.synthetic import Pattern
from edge_device.metrics.recorder import Latency
from edge_sdk.frames import Frame
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Result

FRAME_SIZE = (1280, 720)
FRAMES = 8
"""Different frames in memory, taken in turn: 22 MB, more than a small processor's cache."""

_LOOK_S = 0.1
"""A load that waits for its next frame checks so often whether to stop."""

_HAND_OVER_NS = 20_000_000
"""An offline worker hands results over in batches of so many ns: one by one would cost time."""

Now = Callable[[], int]
Stop = Callable[[], bool]


def made_up_frames() -> list[Frame]:
    """FRAMES frames of FRAME_SIZE, RGB; the same every time."""
    pattern = Pattern(*FRAME_SIZE)
    return [Frame(pattern(index * 40), "rgb", index=index) for index in range(FRAMES)]


def single_stream(recognizer: Recognizer, frames: Sequence[Frame]) -> Iterator[Result]:
    """LoadGen's SingleStream: one sample after another, each begun when the last is answered."""
    return map(recognizer, cycle(frames))


def multi_stream(
    recognizer: Recognizer,
    frames: Sequence[Frame],
    streams: int,
    *,
    now_ns: Now = time.monotonic_ns,
) -> Iterator[Result]:
    """LoadGen's MultiStream: queries of `streams` samples, each asked when the last is answered.

    So since round 2.0; before, queries came at a fixed rate. Results come with their whole query,
    so that what their consumer does is between two queries.
    """
    for first in count(step=streams):
        asked_ns = now_ns()
        query = range(first, first + streams)
        yield from [recognizer(_scheduled(frames, index, asked_ns)) for index in query]


def of_query(streams: int) -> Latency:
    """The latency of multi-stream: a query's, from when it was asked to its last answer; None for
    the samples before that.

    LoadGen (test_settings.h): the latency of a query is the largest of its samples'.
    """
    return lambda result: None if (result.index + 1) % streams else from_scheduled(result)


def from_scheduled(result: Result) -> int:
    """The latency of server: from the instant a frame was scheduled for to its answer."""
    return result.result_ns - result.sensor_ns


def poisson(rate: float, start_ns: int, seed: int = 0) -> Iterator[int]:
    """Instants in ns at which frames arrive, `rate` a second on average: gaps are exponential.

    The same seed gives the same gaps, stretched by 1 / rate: what holds at a rate and fails at
    another differs by the rate, not by luck.
    """
    random, due_s = Random(seed), 0.0
    while True:
        due_s += random.expovariate(rate)
        yield start_ns + round(due_s * 1e9)


def server(
    recognizer: Recognizer,
    frames: Sequence[Frame],
    arrivals: Iterator[int],
    *,
    stop: Stop = lambda: False,
    now_ns: Now = time.monotonic_ns,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Result]:
    """LoadGen's Server: samples come when they come (`arrivals`, in ns), whatever is still waiting.

    One recognizer answers them in that order, so that the queue needs no thread: what is due and
    not yet begun, waits. A latency that counts from the scheduled instant holds all of the wait
    (no coordinated omission). Ends soon after `stop` says True.
    """
    for index, due_ns in enumerate(arrivals):
        while (left_ns := due_ns - now_ns()) > 0 and not stop():
            sleep(min(left_ns / 1e9, _LOOK_S))
        if stop():
            return
        yield recognizer(_scheduled(frames, index, due_ns))


def _scheduled(frames: Sequence[Frame], index: int, due_ns: int) -> Frame:
    """The frame whose turn it is, as one that was due at that instant."""
    frame = frames[index % len(frames)]
    return Frame(frame.pixels, frame.color, due_ns, index)


class Workers(Iterator[Result]):
    """LoadGen's Offline: iterate over it for the results of several recognizers, each in a thread
    of its own.

    What a recognizer raises ends the iteration and is raised there. Leaving the `with` ends the
    threads.
    """

    def __init__(self, recognizers: Sequence[Recognizer], frames: Sequence[Frame]) -> None:
        self._frames = frames
        self._ready: queue.Queue[list[Result] | BaseException] = queue.Queue(2 * len(recognizers))
        self._over = threading.Event()
        self._results = self._given()
        self._threads = [
            threading.Thread(target=self._work, args=(r,), name="edge-offline", daemon=True)
            for r in recognizers
        ]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        while any(thread.is_alive() for thread in self._threads):
            # A worker may wait for room: make some until all have seen that it is over.
            while not self._ready.empty():
                self._ready.get_nowait()
            for thread in self._threads:
                thread.join(0.01)

    def __next__(self) -> Result:
        return next(self._results)

    def _given(self) -> Iterator[Result]:
        while True:
            ready = self._ready.get()
            if isinstance(ready, BaseException):
                raise ready
            yield from ready

    def _work(self, recognizer: Recognizer) -> None:
        frames = cycle(self._frames)
        try:
            while not self._over.is_set():
                results = [recognizer(next(frames))]
                while results[-1].result_ns - results[0].result_ns < _HAND_OVER_NS:
                    results.append(recognizer(next(frames)))
                self._ready.put(results)
        except BaseException as error:
            self._ready.put(error)
