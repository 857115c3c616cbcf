"""Interleaved rounds: candidates timed against each other, medians with their spread.

On a shared machine, candidates measured one after another would see different load. In interleaved
rounds every candidate sees the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Timing:
    """Rounds of one candidate, in ns a call."""

    rounds_ns: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Median over the rounds, ms a call."""
        return median(self.rounds_ns) / 1e6

    @property
    def low_ms(self) -> float:
        """Fastest round, ms a call."""
        return min(self.rounds_ns) / 1e6

    @property
    def high_ms(self) -> float:
        """Slowest round, ms a call."""
        return max(self.rounds_ns) / 1e6


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int = 1,
    warmup: int = 1,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Time every candidate `rounds` times, `calls` calls a round, taking turns; the order turns
    round every other time. `clock_ns` may be time.process_time_ns for CPU time.
    """
    for candidate in candidates.values():
        for _ in range(warmup):
            candidate()
    found: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            call = candidates[name]
            started = clock_ns()
            for _ in range(calls):
                call()
            found[name].append((clock_ns() - started) / calls)
    return {name: Timing(tuple(times)) for name, times in found.items()}
