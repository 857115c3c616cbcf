"""Interleaved timing, on a clock that the candidates themselves move."""

from __future__ import annotations

from collections.abc import Callable

from edge_sdk.comparison.timing import Timing, interleaved


def test_candidates_take_turns_and_meet_the_same_weather() -> None:
    now, called = [0], []

    def candidate(name: str, cost: int) -> Callable[[], None]:
        def call() -> None:
            called.append(name)
            now[0] += cost

        return call

    candidates = {"a": candidate("a", 3_000_000), "b": candidate("b", 1_000_000)}
    found = interleaved(candidates, rounds=3, calls=2, warmup=1, clock_ns=lambda: now[0])
    assert called[:2] == ["a", "b"], "both are warmed up first"
    assert called[2:] == ["a", "a", "b", "b", "b", "b", "a", "a", "a", "a", "b", "b"]
    assert found["a"].rounds_ns == (3e6, 3e6, 3e6)
    assert found["b"].median_ms == 1.0


def test_the_figures_of_a_timing() -> None:
    timing = Timing((3e6, 1e6, 2e6, 10e6))
    assert (timing.low_ms, timing.median_ms, timing.high_ms) == (1.0, 2.5, 10.0)


def test_with_the_real_clock() -> None:
    timing = interleaved({"nothing": lambda: None}, rounds=3)["nothing"]
    assert len(timing.rounds_ns) == 3
    assert timing.low_ms >= 0
