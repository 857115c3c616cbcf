"""Sections about load and machine: rates tried, temperature, clocks, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_sdk.report import charts
from edge_sdk.report.markup import (
    ABSENT,
    amount,
    count,
    ends,
    listed,
    mapping,
    mappings,
    minus,
    ms,
    number,
    percentile,
    plain,
    significant,
    table,
)
from edge_sdk.report.page import figure, note


def trials(run: Mapping[str, Any]) -> str:
    """Scenario server: the rate that was found, and each one that was tried; "" for others."""
    server = mapping(run.get("server"))
    if not server:
        return ""
    tried = mappings(server.get("trials"))
    head = ("Rate, a second", "Queries", "Late", "p99 latency", "Bound held")
    rows = [_trial(one, f"trial {place}") for place, one in enumerate(tried, start=1)]
    if alone := mapping(server.get("alone")):
        rows.insert(0, _trial(alone, "one after another"))
    return (
        f"<h3>The highest rate within {ms(server.get('latency_bound_ms'))}</h3>"
        + note(_found(server))
        + table("Rates tried", ("", *head), rows, kind="figures")
    )


def thermal(thermal: Mapping[str, Any]) -> tuple[str, ...]:
    """Temperature, clocks and throttling as a table, and over time where they were sampled."""
    if not thermal:
        return ()
    rows = [
        (name, ABSENT if (value := number(thermal.get(key))) is None else f"{value:.1f} °C")
        for name, key in (("start", "start_c"), ("end", "end_c"), ("highest", "max_c"))
    ]
    throttled = thermal.get("throttled")
    rows.append(("throttled", ABSENT if throttled is None else plain(throttled)))
    if causes := listed(thermal.get("causes")):
        rows.append(("because of", plain(causes)))
    clocks = mapping(thermal.get("clocks"))
    low, high = number(clocks.get("min_mhz")), number(clocks.get("max_mhz"))
    if low is not None and high is not None:
        rows.append(("clock of the fastest core", f"{low:,.0f} to {high:,.0f} MHz"))
    samples = mappings(thermal.get("samples"))
    return (
        table("Temperature", (), rows),
        _course("Temperature of the processor in °C over time in s", samples, "celsius"),
        _course("Clock of the fastest core in MHz over time in s", samples, "mhz"),
    )


def memory(soak: Mapping[str, Any]) -> tuple[str, ...]:
    """Memory and open files of a soak; () without one."""
    if not soak:
        return ()
    constant = soak.get("constant")
    rows = [("constant", ABSENT if constant is None else plain(constant))]
    if soak.get("because"):
        rows.append(("because", plain(soak["because"])))
    slope, interval = number(soak.get("rss_slope_bytes_per_s")), ends(soak.get("interval"))
    if slope is not None and interval is not None:
        low, high = (minus(end, 0) for end in interval)
        rows.append(("memory, bytes a second", f"{minus(slope, 0)} ({low} to {high})"))
    files = f"{count(soak.get('fds_start'))}, {count(soak.get('fds_end'))}"
    rows += [("open files, start and end", files), ("frames", count(soak.get("frames")))]
    samples = [
        {"t_s": one.get("t_s"), "mb": None if size is None else size / 1e6}
        for one in mappings(soak.get("samples"))
        for size in [number(one.get("rss_bytes"))]
    ]
    return table("Soak", (), rows), _course("Memory in MB over time in s", samples, "mb")


def _trial(trial: Mapping[str, Any], name: str) -> tuple[str, ...]:
    rate = number(trial.get("rate"))
    return (
        name,
        ABSENT if rate is None else significant(rate, 4),
        count(trial.get("queries")),
        count(trial.get("late")),
        percentile(trial.get("p99_ms"), "p99", trial.get("queries")),
        plain(trial.get("held")),
    )


def _found(server: Mapping[str, Any]) -> str:
    rate, tried = number(server.get("rate")), amount(len(listed(server.get("trials"))), "trial")
    if rate is None:
        return f"It was stopped after {tried}, before a rate was found."
    held = server.get("held")
    here = f"It {'held' if held else 'did not hold'} in the measurement above."
    if not isinstance(held, bool):
        here = "That measurement has too few answers to tell whether it held."
    return f"{significant(rate, 4)} a second, found in {tried}. {here}"


def _course(caption: str, samples: Sequence[Mapping[str, Any]], key: str) -> str:
    """A line over time; "" where nothing was sampled."""
    points = [
        (t, number(one.get(key))) for one in samples if (t := number(one.get("t_s"))) is not None
    ]
    if not any(value is not None for _, value in points):
        return ""
    return figure(caption, charts.lines(caption, {key: points}, zero=False))
