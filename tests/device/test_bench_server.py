"""Scenario server as a whole, on a driven clock: from the first answer to the document."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from document_types import check_part
from edge_device.bench.scenarios import Options, Server
from edge_device.metrics.recorder import Recorder, RunStatistics
from edge_device.metrics.run_report import Identity, make_report
from edge_device.metrics.subject import Subject
from edge_device.metrics.warmup import UntilSteady
from edge_device.run.runtime import open_subject
from edge_sdk.documents.run import ServerRecord
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.inference.recognizer import Recognizer

FRAMES = [Frame(np.zeros((4, 4, 3), np.uint8), "rgb")]


class Served(Server):
    """On an engine that says itself how long it takes."""

    def __init__(self, options: Options, recognizer: Recognizer, subject: Subject) -> None:
        super().__init__(options)
        self.made = recognizer, subject

    def _recognizer(self, stack: ExitStack, threads: int) -> tuple[Recognizer, Subject]:
        return self.made


def server_detail(load: Served, statistics: RunStatistics) -> Any:
    document: Any = {}
    load.add_detail(document, statistics)
    check_part(document["server"], ServerRecord)
    return document["server"]


@pytest.fixture
def served(
    tiny_parts: Callable[..., Any], tiny_bundle: Callable[..., Path], driven_clock: Any
) -> Callable[..., Served]:
    """`served(takes, bound_ms)`: takes(number) is how long that inference lasts, in s."""
    recognizer, subject = open_subject(tiny_bundle(), "litert", threads=1)
    recognizer.close()
    manifest, members = tiny_parts()
    specs = (manifest.input.tensor.spec,), (manifest.outputs[0].tensor.spec,)
    labels = tuple(members["labels.txt"].decode().splitlines())

    def make(takes: Callable[[int], float], bound_ms: float | None) -> Served:
        answers = [0]

        def answer(_inputs: Any) -> Any:
            driven_clock.advance(takes(answers[0]))
            answers[0] += 1
            return (np.zeros((1, 3), np.int8),)

        engine = FakeEngine(*specs, answer=answer)
        timed = Recognizer(manifest.interface, labels, engine, now_ns=driven_clock.now_ns)
        clock = {"now_ns": driven_clock.now_ns, "sleep": driven_clock.sleep}
        return Served(Options("", "", 1, FRAMES, bound_ms, **clock), timed, subject)

    return make


def measured(load: Served, clock: Any, seconds: float) -> Recorder:
    """What `run_bench` does with it."""
    with ExitStack() as stack:
        load.open(stack)
        recorder = Recorder(
            clock.now_ns(),
            deadline_ms=load.bound_ms,
            camera=False,
            latency=load.latency,
            warmup=UntilSteady(),
        )
        for result in load.results(stack, 0):
            recorder.add(result)
            if recorder.warm and recorder.seconds >= seconds:
                break
        recorder.finish()
    return recorder


def test_the_rate_found_is_measured_and_told(
    served: Callable[..., Served], driven_clock: Any
) -> None:
    load = served(lambda _number: 0.010, 50.0)
    recorder = measured(load, driven_clock, 30.0)
    while not load.accept(recorder.statistics):
        recorder = measured(load, driven_clock, 30.0)
    statistics = recorder.statistics
    found = server_detail(load, statistics)
    assert found["latency_bound_ms"] == 50.0
    assert found["alone"]["rate"] == pytest.approx(100)
    assert (found["alone"]["late"], found["alone"]["p99_ms"]) == (0, pytest.approx(10, rel=1e-3))
    assert [trial["rate"] for trial in found["trials"][:2]] == pytest.approx([50, 100])
    assert found["rate"] == pytest.approx(56, rel=0.15)
    assert found["held"] is True
    assert load.value(statistics, None) == found["rate"]
    report = make_report(Identity("bench", "server", load.made[1]), [recorder]).as_dict()
    assert report["fps"] == pytest.approx(found["rate"], rel=0.05)
    assert report["latency"]["p99"] <= report["deadline_ms"] == 50.0
    assert report["deadline_misses"] == statistics.misses <= statistics.n // 100
    # By itself each took 10 ms; it is the waiting that counts.
    assert report["stages"]["invoke"]["p99"] == pytest.approx(10, rel=1e-3)
    assert report["latency"]["p90"] > 15


def test_a_rate_that_does_not_hold_for_long_is_lowered(
    served: Callable[..., Served], driven_clock: Any
) -> None:
    """The machine slows down from 10 to 11 ms once the search is over."""
    slow: list[bool] = []
    load = served(lambda _number: 0.011 if slow else 0.010, 50.0)
    with ExitStack() as stack:
        load.open(stack)
    slow.append(True)
    rates = []
    for _ in range(Server.MAX_TIMES):
        recorder = measured(load, driven_clock, 30.0)
        rates.append(server_detail(load, recorder.statistics)["rate"])
        if load.accept(recorder.statistics):
            break
    found = server_detail(load, recorder.statistics)
    assert len(rates) > 1
    assert rates == pytest.approx([rates[0] * 0.95**step for step in range(len(rates))])
    assert found["rate"] == rates[-1] and found["held"] is True
    failed = found["trials"][1 - len(rates) :]
    assert [trial["rate"] for trial in failed] == rates[:-1]
    assert not any(trial["held"] for trial in failed)


def test_it_gives_up_lowering_and_says_that_it_did_not_hold(
    served: Callable[..., Served], driven_clock: Any
) -> None:
    slow: list[bool] = []
    load = served(lambda _number: 0.060 if slow else 0.010, 50.0)
    with ExitStack() as stack:
        load.open(stack)
    slow.append(True)
    times = 1
    while not load.accept((recorder := measured(load, driven_clock, 60.0)).statistics):
        times += 1
    assert times == Server.MAX_TIMES
    assert server_detail(load, recorder.statistics)["held"] is False
    assert load.value(recorder.statistics, None) is None
    report = make_report(Identity("bench", "server", load.made[1]), [recorder]).as_dict()
    assert "the latency bound was not held" in report["mlperf"]["because"]


def test_too_few_answers_tell_nothing_about_the_bound(
    served: Callable[..., Served], driven_clock: Any
) -> None:
    load = served(lambda _number: 0.010, 50.0)
    recorder = measured(load, driven_clock, 1.0)
    assert 0 < recorder.statistics.n < 662
    assert load.accept(recorder.statistics)
    assert server_detail(load, recorder.statistics)["held"] is None
    assert load.value(recorder.statistics, None) is None


@pytest.mark.parametrize(
    "takes",
    [
        lambda _number: 0.051,
        lambda number: 0.200 if number % 50 == 49 else 0.010,  # 2 % are late by themselves
    ],
)
def test_a_bound_that_no_rate_holds_is_an_error(
    served: Callable[..., Served], driven_clock: Any, takes: Callable[[int], float]
) -> None:
    with pytest.raises(ConfigError, match="keeps within the latency limit of 50 ms") as caught:
        measured(served(takes, 50.0), driven_clock, 1.0)
    assert "--latency-bound" in caught.value.fix


def test_the_search_on_a_noisy_machine_ends(
    served: Callable[..., Served], driven_clock: Any
) -> None:
    """Once answers are no longer taken one after another, 1.5 % are late at any rate. Each lower
    rate takes longer to try: nearly six minutes, were there no limit.
    """

    def takes(number: int) -> float:
        return 0.060 if number > 900 and number % 67 == 0 else 0.003

    began_ns = driven_clock.now_ns()
    with pytest.raises(ConfigError, match="keeps within the latency limit of 50 ms"):
        measured(served(takes, 50.0), driven_clock, 12.0)
    assert (driven_clock.now_ns() - began_ns) / 1e9 < 150
