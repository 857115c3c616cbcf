"""What every sink must do, real and fake, with a worker of its own and without."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device import Sink, open_sink
from edge_device.sinks import BACKENDS
from edge_device.sinks.fake import FakeSink
from edge_sdk import Frame, Result
from edge_sdk.errors import ConfigError, EdgeError, FileError

Make = Callable[..., Result]
FRAME = Frame(np.full((8, 8, 3), 90, np.uint8), "bgr")

WAYS = [(capacity, required) for capacity in (0, 1, 8) for required in (0, 1)]


def spec(kind: str, folder: Path, parameters: str) -> str:
    address = {"jsonl": ":r.jsonl", "preview": ":now.png"}.get(kind, "")
    return f"{kind}{address.replace(':', f':{folder}/')}{parameters}"


@pytest.fixture(params=["", *(f"?capacity={c}&required={r}" for c, r in WAYS)])
def parameters(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(BACKENDS))
def sink(request: pytest.FixtureRequest, tmp_path: Path, parameters: str) -> Sink:
    return open_sink(spec(request.param, tmp_path, parameters))


def test_it_takes_answers_until_it_is_closed(sink: Sink, make_result: Make) -> None:
    with sink:
        for index in range(5):
            sink.write(FRAME, make_result(index, at_ms=400 * index))
            assert sink.flush()
        assert not sink.busy
    sink.close()
    assert (sink.failed, sink.dropped, sink.notes) == (0, 0, ())
    with pytest.raises(EdgeError, match="is closed") as caught:
        sink.write(FRAME, make_result(5))
    assert caught.value.fix


def test_it_can_be_closed_before_anything_was_written(sink: Sink) -> None:
    sink.close()
    assert sink.given == 0


def test_its_thread_ends_with_it(sink: Sink, make_result: Make) -> None:
    before = set(threading.enumerate())
    with sink:
        for index in range(3):
            sink.write(FRAME, make_result(index, at_ms=2000 * index))
    assert set(threading.enumerate()) <= before


def test_it_keeps_no_frame(sink: Sink, make_result: Make) -> None:
    frame = Frame(np.full((8, 8, 3), 90, np.uint8), "bgr")
    kept = weakref.ref(frame)
    with sink:
        sink.write(frame, make_result())
        sink.flush()
        if isinstance(sink, FakeSink):
            sink.answers.clear()  # it is there to remember
        del frame
        gc.collect()
        assert kept() is None


@pytest.mark.parametrize("kind", sorted(BACKENDS))
@pytest.mark.parametrize(
    "wrong", ["?capacty=1", "?capacity=-1", "?capacity=1e3", "?required=yes", "?required"]
)
def test_a_wrong_parameter_is_named(kind: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_sink(spec(kind, tmp_path, wrong))
    assert kind in str(caught.value)
    assert "capacity" in caught.value.fix or "required" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


# What follows is seen best from a sink that does as it is told.

ERRORS = [
    (OSError(28, "No space left on device"), FileError),
    (ValueError("vendor"), EdgeError),
    (KeyError("vendor"), EdgeError),
    (FileError("ours", fix="ours"), FileError),
]


@pytest.mark.parametrize("capacity", [0, 8])
@pytest.mark.parametrize(("raised", "kind"), ERRORS)
def test_what_a_required_sink_meets_is_raised_once_and_as_ours(
    raised: Exception, kind: type[EdgeError], capacity: int, make_result: Make
) -> None:
    sink = FakeSink(fail_at=1, error=raised, capacity=capacity)
    sink.write(FRAME, make_result(0))
    with pytest.raises(kind) as caught:
        sink.write(FRAME, make_result(1))
        sink.flush()
    assert caught.value.fix
    sink.write(FRAME, make_result(2))
    sink.close()
    assert [result.index for result in sink.results] == [0, 2]
    assert (sink.failed, sink.notes) == (1, ())


@pytest.mark.parametrize("capacity", [0, 8])
@pytest.mark.parametrize(("raised", "_kind"), ERRORS)
def test_what_any_other_sink_meets_is_counted_and_said_once(
    raised: Exception,
    _kind: type[EdgeError],
    capacity: int,
    make_result: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = FakeSink(fail_at=1, error=raised, capacity=capacity, required=False)
    for index in (0, 1, 1, 2, 0):
        sink.write(FRAME, make_result(index))
        sink.flush()
    sink.close()
    assert [result.index for result in sink.results] == [0, 1, 2]
    assert (sink.given, sink.failed, sink.dropped) == (5, 2, 0)
    (note,) = sink.notes
    assert note.startswith("a fake sink failed 2 times; the first time: ")
    (logged,) = caplog.messages
    assert logged.startswith("a fake sink failed: ")


class SlowSink(FakeSink):
    """Takes nothing until `go` is set."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.go = threading.Event()
        self.began = threading.Event()

    def _write(self, frame: Frame, result: Result) -> None:
        self.began.set()
        self.go.wait()
        super()._write(frame, result)


@pytest.fixture
def slow() -> Iterator[Callable[..., SlowSink]]:
    sinks = []

    def make(**options: Any) -> SlowSink:
        sinks.append(SlowSink(**options))
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.go.set()
        sink.close()


def test_the_oldest_give_way_and_are_counted(
    slow: Callable[..., SlowSink], make_result: Make
) -> None:
    sink = slow(capacity=3, required=False)
    sink.write(FRAME, make_result(0))
    assert sink.began.wait(30)
    for index in range(1, 10):
        sink.write(FRAME, make_result(index))
    assert sink.busy
    sink.go.set()
    sink.close()
    assert [result.index for result in sink.results] == [0, 7, 8, 9]
    assert (sink.given, sink.dropped) == (10, 6)
    assert sink.notes == ("a fake sink was too slow: 6 of 10 answers lost",)


def test_a_required_sink_makes_its_writer_wait(
    slow: Callable[..., SlowSink], make_result: Make
) -> None:
    sink = slow(capacity=2)
    sink.write(FRAME, make_result(0))
    assert sink.began.wait(30)
    for index in (1, 2):
        sink.write(FRAME, make_result(index))
    writer = threading.Thread(target=lambda: sink.write(FRAME, make_result(3)))
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    sink.go.set()
    writer.join(30)
    sink.close()
    assert [result.index for result in sink.results] == [0, 1, 2, 3]
    assert sink.dropped == 0


def test_what_hangs_is_left_behind(slow: Callable[..., SlowSink], make_result: Make) -> None:
    hung, required = slow(capacity=4, required=False), slow(capacity=1)
    hung.timeout_s = required.timeout_s = 0.1
    for index in range(3):
        hung.write(FRAME, make_result(index))
    assert hung.began.wait(30)
    hung.close()
    assert hung.dropped == 3
    assert "taken nothing" in hung.notes[0] and "3 of 3 answers lost" in hung.notes[1]
    required.write(FRAME, make_result(0))
    assert required.began.wait(30)
    required.write(FRAME, make_result(1))
    with pytest.raises(EdgeError, match="has taken nothing for") as caught:
        required.write(FRAME, make_result(2))
    assert caught.value.fix
    with pytest.raises(EdgeError, match="has taken nothing for"):
        required.close()


class StuckSink(FakeSink):
    """Its end hangs until `go` is set."""

    go = threading.Event()

    def _close(self) -> None:
        self.go.wait()


def test_an_end_that_hangs_is_an_error(make_result: Make) -> None:
    for required in (True, False):
        sink = StuckSink(capacity=1, required=required)
        sink.timeout_s = 0.1
        sink.write(FRAME, make_result(0))
        if required:
            with pytest.raises(EdgeError, match="has taken nothing for"):
                sink.close()
        sink.close()
        assert (sink.failed, sink.dropped, len(sink.notes)) == (1, 0, not required)
    StuckSink.go.set()


def test_one_that_hangs_delays_no_other(slow: Callable[..., SlowSink], make_result: Make) -> None:
    hung, other = slow(capacity=2, required=False), FakeSink(capacity=8)
    began = time.monotonic()
    for index in range(1000):
        hung.write(FRAME, make_result(index))
        other.write(FRAME, make_result(index))
    other.close()
    assert time.monotonic() - began < hung.timeout_s
    assert len(other.results) == 1000
    assert hung.dropped >= 997


def test_the_fake_remembers_and_is_strict(make_result: Make) -> None:
    sink = FakeSink()
    results = [make_result(index) for index in (0, 3, 4)]
    for result in results:
        sink.write(FRAME, result)
    with pytest.raises(EdgeError, match="result 4 after 4"):
        sink.write(FRAME, make_result(4))
    sink.close()
    assert sink.answers == [(FRAME, result) for result in results]
    assert sink.calls == ["write"] * 4 + ["close"]
