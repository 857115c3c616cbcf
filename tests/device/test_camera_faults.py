"""Faults of network cameras, one after another on the same open camera: in use again within 5 s of
the source being back, every time, and counted.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from edge_device import Camera, open_camera
from waiting import PATIENCE_S, wait_until

BAR_S = 5.0

Act = Callable[[Any], None]


def say(*lines: str) -> Act:
    def act(server: Any) -> None:
        for line in lines:
            server.say(line)

    return act


class Fault(NamedTuple):
    """What happens to the server, and how it ends; None: new connections work all the time.

    least_s, max_s: how long it lasts. lost: the connection does not outlive it.
    """

    begin: Act
    end: Act | None
    least_s: float = 0.5
    max_s: float = 6.0
    lost: bool = True


FAULTS = {
    "killed": Fault(lambda server: server.kill(), lambda server: server.start()),
    "connections closed": Fault(say("hang-up"), None),
    "connections forgotten": Fault(say("silence"), None),
    "frozen": Fault(
        lambda server: server.signal(signal.SIGSTOP),
        lambda server: server.signal(signal.SIGCONT),
        least_s=3.0,
    ),
    "stall": Fault(say("stall"), say("go"), least_s=3.0),
    "short stall": Fault(say("stall"), say("go"), 0.2, 1.0, lost=False),
    "wrong format": Fault(say("wrong", "hang-up"), say("go")),
    "damaged images": Fault(say("corrupt"), say("after 3", "go"), 0.3, 1.0, lost=False),
    "half images": Fault(say("truncated"), say("after 3", "go"), 0.3, 1.0, lost=False),
    "only damaged images": Fault(say("corrupt"), say("go"), least_s=3.0),
}

ORDER = {
    "http": [
        *("damaged images", "wrong format", "killed", "connections forgotten", "half images"),
        *("frozen", "only damaged images", "stall", "short stall", "connections closed"),
    ],
    "rtsp": [
        *("killed", "stall", "connections forgotten", "damaged images", "wrong format"),
        *("frozen", "connections closed", "short stall", "only damaged images", "killed"),
    ],
}


class Reader(threading.Thread):
    """Takes every frame of a camera, as a pipeline does. last_ns: when the newest arrived."""

    def __init__(self, camera: Camera) -> None:
        super().__init__(daemon=True)
        self.last_ns = 0
        self._camera = camera

    def run(self) -> None:
        for frame in self._camera:
            self.last_ns = frame.sensor_ns


def seconds_until(there: Callable[[], bool], since_ns: int) -> float:
    wait_until(there, "a camera in use again")
    return (time.monotonic_ns() - since_ns) / 1e9


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_every_fault_is_over_soon_after_its_cause(
    kind: str,
    camera_server: Callable[[str], Any],
    campaign: Callable[[str, int, int], int],
    record_property: Callable[[str, object], None],
) -> None:
    server, chance = camera_server(kind), random.Random(kind)
    names = ORDER[kind][: campaign("camera faults", 2, len(ORDER[kind]))]
    lost, took = 0, {}
    with open_camera(server.url) as camera:
        reader = Reader(camera)
        reader.start()
        for name in names:
            fault = FAULTS[name]
            unreadable, lost = camera.unreadable, lost + fault.lost
            took[name] = back_after(fault, server, camera, reader, lost, chance)
            assert camera.reopened == lost, name
            assert ("images" in name) == (camera.unreadable > unreadable), name
        assert (f"lost {lost} times" in camera.notes[0]) if lost > 1 else lost == len(camera.notes)
    record_property("slowest, ms", round(1000 * max(took.values())))
    assert {name: seconds for name, seconds in took.items() if seconds > BAR_S} == {}


def back_after(
    fault: Fault, server: Any, camera: Camera, reader: Reader, lost: int, chance: random.Random
) -> float:
    """Seconds from the source being back until a new frame is there, and the loss counted."""
    began_ns = time.monotonic_ns()
    seconds_until(lambda: reader.last_ns > began_ns, began_ns)
    back_ns = time.monotonic_ns()
    fault.begin(server)
    if fault.end is not None:
        time.sleep(chance.uniform(fault.least_s, fault.max_s))
        fault.end(server)
        back_ns = time.monotonic_ns()
    return seconds_until(lambda: reader.last_ns > back_ns and camera.reopened >= lost, back_ns)


def test_a_camera_that_never_comes_back_hangs_nothing(camera_server: Callable[[str], Any]) -> None:
    server = camera_server("http")
    camera = open_camera(server.url)
    for _ in range(3):  # so that its rate is known, and how long to wait for more
        camera.read()
    reader = Reader(camera)
    reader.start()
    server.signal(signal.SIGSTOP)
    wait_until(lambda: camera.notes, "the loss")
    camera.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    server.signal(signal.SIGCONT)
