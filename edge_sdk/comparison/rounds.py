"""Calls of very different length timed against each other: interleaved rounds of equal length."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_sdk.comparison.timing import Timing, interleaved
from edge_sdk.events import Event, Listener

ROUNDS = 30
ROUND_MS = 20.0

Call = Callable[[], object]


def timed(calls: Mapping[str, Call], rounds: int, listen: Listener) -> dict[str, Timing]:
    """The rounds of each call, in ns a call. A round of any of them lasts about ROUND_MS, so that
    short ones last many ticks of the clock. listen: is told between rounds, never while
    something is timed.
    """
    if not calls:
        return {}
    first = interleaved(calls, rounds=3, warmup=3)
    counts = {name: max(1, int(ROUND_MS / max(first[name].median_ms, 1e-3))) for name in calls}
    repeated = {name: _repeat(call, counts[name]) for name, call in calls.items()}
    return {
        name: Timing(tuple(time / counts[name] for time in times))
        for name, times in _in_turns(repeated, rounds, listen).items()
    }


def _in_turns(
    calls: Mapping[str, Call], rounds: int, listen: Listener
) -> dict[str, tuple[float, ...]]:
    """`interleaved`, two rounds (there and back) at a time: progress is shown between them."""
    times: dict[str, tuple[float, ...]] = dict.fromkeys(calls, ())
    for done in range(0, rounds, 2):
        listen(Event("progress", "measure", done=done, total=rounds, unit="rounds"))
        found = interleaved(calls, rounds=min(2, rounds - done), warmup=int(done == 0))
        times = {name: times[name] + timing.rounds_ns for name, timing in found.items()}
    return times


def _repeat(call: Call, times: int) -> Call:
    def repeated() -> None:
        for _ in range(times):
            call()

    return repeated
