"""What a benchmark's page says of its load: queries, rates tried, temperature, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[..., Any]

TRIAL = {"rate": 50.0, "queries": 662, "late": 0, "p99_ms": 31.5, "held": True}
SERVER = {
    "latency_bound_ms": 40.0,
    "rate": 62.5,
    "held": True,
    "alone": {**TRIAL, "rate": 101.25},
    "trials": [
        TRIAL,
        {**TRIAL, "rate": 100.0, "queries": 31, "late": 7, "p99_ms": None, "held": False},
    ],
}
SAMPLES = [{"t_s": float(t), "celsius": 50.0 + t, "mhz": 1500.0} for t in range(5)]


def test_a_query_of_multi_stream_is_not_a_frame(run_page: Make) -> None:
    page = run_page(
        multi_stream={"samples_per_query": 8, "queries": 112},
        latency={"p50": 4.0, "p90": 5.0, "p99": None},
    )
    section = page.section("latency")
    assert "Latency of a query of 8 frames, from its asking to its last answer" in section
    assert "too few samples (112 &lt; 662)" in section
    assert "number of queries" in section
    assert "Latency of one frame" not in section
    top = page.text[: page.text.index("Latency of a query")]
    assert "half of the queries are faster" in top and "frames are faster" not in top
    assert "too few samples (112 < 662)" in top


def test_the_rates_that_were_tried(run_page: Make) -> None:
    section = run_page(server=SERVER).section("latency")
    assert "The highest rate within 40.00 ms" in section
    assert "62.50 a second, found in 2 trials. It held in the measurement above." in section
    for cells in (
        "<td>101.2</td><td>662</td><td>0</td><td>31.50 ms</td><td>yes</td>",
        "<td>100.0</td><td>31</td><td>7</td><td>too few samples (31 < 662)</td><td>no</td>",
    ):
        assert cells in section
    assert "from the instant it was scheduled for to its answer" in section


def test_a_rate_that_did_not_hold_or_was_not_found_is_said(run_page: Make) -> None:
    page = run_page(server={**SERVER, "held": False})
    assert "It did not hold in the measurement above." in page.text
    assert "too few answers to tell" in run_page(server={**SERVER, "held": None}).text
    stopped = {**SERVER, "rate": None, "trials": [TRIAL]}
    assert "It was stopped after 1 trial, before a rate was found." in run_page(server=stopped).text
    assert "Rates tried" not in run_page().text


def test_temperature_and_clock_over_time(run_page: Make) -> None:
    thermal = {
        **{"start_c": 50.0, "end_c": 54.0, "max_c": 54.0, "throttled": True},
        "causes": ["under-voltage"],
        "clocks": {"min_mhz": 600.0, "max_mhz": 1500.0},
        "samples": SAMPLES,
    }
    section = run_page(thermal=thermal).section("conditions")
    for words in ("54.0 °C", "600 to 1,500 MHz", "under-voltage"):
        assert words in section
    assert section.count("<polyline") == 2
    dark = {**thermal, "clocks": {"min_mhz": None, "max_mhz": None}}
    dark["samples"] = [{**sample, "mhz": None} for sample in SAMPLES]
    section = run_page(thermal=dark).section("conditions")
    assert section.count("<polyline") == 1 and "fastest core" not in section


def test_a_soak(run_page: Make) -> None:
    soak = {
        **{"frames": 1_000_000, "rss_slope_bytes_per_s": -12.4, "interval": [-40.0, 3.0]},
        **{"fds_start": 5, "fds_end": 6, "constant": False},
        "because": "1 more files are open at the end",
        "samples": [{"t_s": float(t), "rss_bytes": 70_000_000 + t, "fds": 5} for t in range(4)],
    }
    section = run_page(soak=soak).section("conditions")
    for words in ("1,000,000", "\N{MINUS SIGN}12 (\N{MINUS SIGN}40 to 3)", "5, 6", "1 more files"):
        assert words in section
    assert section.count("<polyline") == 1


def test_values_of_the_wrong_kind_are_absent(run_page: Make) -> None:
    strange = {"samples": ["x", {"t_s": "now"}], "clocks": 7, "causes": "hot"}
    page = run_page(
        thermal={**strange, "start_c": "warm"},
        soak={"samples": [None], "interval": ["a"]},
        server={"trials": ["x", {"rate": "fast"}], "rate": 1.0, "held": "perhaps"},
    )
    assert "not measured" in page.section("conditions")
    assert "too few answers to tell" in page.text
