"""Sections about a run or a benchmark: latency, frame age, conditions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from edge_sdk.formatting import bare_ms
from edge_sdk.report import charts
from edge_sdk.report.load_sections import memory, thermal, trials
from edge_sdk.report.markup import (
    ABSENT,
    amount,
    count,
    escape,
    facts,
    listed,
    mapping,
    mappings,
    ms,
    number,
    numbers,
    percentile,
    plain,
    seconds,
    significant,
    table,
)
from edge_sdk.report.page import Section, command, figure, note, side_by_side
from edge_sdk.report.summary import golden_outcome

_NAMES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p999": "p99.9", "max": "max"}
_MARKED = ("p50", "p90", "p99")
_STAGE = ("p50", "p90", "p95", "p99")
_CAPTURE = "capture"


def latency_section(run: Mapping[str, Any]) -> Section:
    """Percentiles, histogram and the time of each stage."""
    latency, n = mapping(run.get("latency")), run.get("n")
    caption, counted = "Latency of one frame: preprocess, invoke, postprocess", "frames"
    if query := mapping(run.get("multi_stream")):
        n, counted = query.get("queries"), "queries"
        samples = amount(query.get("samples_per_query"), "frame")
        caption = f"Latency of a query of {samples}, from its asking to its last answer"
    elif run.get("server"):
        caption = "Latency of one frame, from the instant it was scheduled for to its answer"
    body = side_by_side(
        _percentile_table(caption, latency, n),
        _histogram(run, "latency", f"Latency in ms, number of {counted}"),
    )
    return Section("latency", "Latency", body + trials(run) + _stages(run))


def frame_age_section(run: Mapping[str, Any]) -> Section:
    """Age of the frames when they were answered, and dropped frames, over time."""
    age, timeline = mapping(run.get("frame_age")), mappings(run.get("timeline"))
    title = "Frame age and drops"
    if run.get("drops") is None and not any(number(value) for value in age.values()):
        return Section("age", title, note("Not measured: the frames did not come from a camera."))
    body = side_by_side(
        _percentile_table("Frame age: from the sensor to the answer", age, run.get("n")),
        _histogram(run, "frame_age", "Frame age in ms, number of frames"),
        *_over_time(timeline),
    )
    return Section("age", title, body + _dropped(run))


def _dropped(run: Mapping[str, Any]) -> str:
    """Dropped frames, and those of the warm-up."""
    dropped = number(run.get("drops"))
    if dropped is None:
        return ""
    before = number(mapping(run.get("warmup")).get("drops"))
    words = "No frame was dropped."
    if dropped:
        words = f"{amount(dropped, 'frame')} {'was' if dropped == 1 else 'were'} dropped."
    return note(words + (f" In the warm-up: {amount(before, 'frame')}." if before else ""))


def conditions_section(run: Mapping[str, Any]) -> Section:
    """Conditions of the run: load, temperature, golden check, machine."""
    body = side_by_side(
        table("The run", (), _circumstances(run)),
        facts("Engine", _known(run.get("engine"))),
        _golden(mapping(run.get("golden"))),
        *thermal(mapping(run.get("thermal"))),
        *memory(mapping(run.get("soak"))),
        facts("Machine", _known(run.get("machine"))),
        facts("MLPerf", _known(run.get("mlperf"))),
    )
    return Section("conditions", "Machine and conditions", body)


def run_again(run: Mapping[str, Any], name: str) -> Section:
    """The command that makes such a report, and the file with the unrounded values."""
    bundle = mapping(run.get("bundle"))
    words = [str(word) for word in listed(run.get("command"))]
    body = command(shlex.join([*(words or _nearest_command(run, name)), "--report", "DIR"]))
    if not words:
        body += note("It was not run as a command: this is the nearest one.")
    if bundle.get("sha256"):
        body += f"<p>Bundle SHA-256: <code>{escape(bundle['sha256'])}</code></p>"
    return Section("again", "Reproduce", body + note(f"Unrounded values: {name}.json."))


def _nearest_command(run: Mapping[str, Any], name: str) -> list[str]:
    """The command line, as far as the document tells it."""
    words = ["edge-sdk", name, str(mapping(run.get("bundle")).get("path") or "FILE.edge")]
    if run.get("camera"):
        words += ["--camera", str(run["camera"])]
    elif name == "bench" and run.get("scenario"):
        words += ["--scenario", str(run["scenario"])]
        if bound := mapping(run.get("server")).get("latency_bound_ms"):
            words += ["--latency-bound", str(bound)]
        if streams := mapping(run.get("multi_stream")).get("samples_per_query"):
            words += ["--streams", str(streams)]
    if board := mapping(run.get("energy_model")).get("board"):
        words += ["--board", str(board)]
    return words


def _over_time(timeline: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Charts of frame age and drops; the second is "" where nothing was dropped."""
    rows = [(t, one) for one in timeline if (t := number(one.get("t_s"))) is not None]
    ages = {
        name: [(t, number(one.get(key))) for t, one in rows]
        for name, key in (("p50", "frame_age_p50_ms"), ("max", "frame_age_max_ms"))
    }
    drops = [(t, number(one.get("drops")) or 0.0) for t, one in rows]
    lost = any(value for _, value in drops)
    return (
        figure(
            "Frame age in ms over time in s", charts.lines("Frame age over time", ages), list(ages)
        ),
        figure(
            "Dropped frames over time in s",
            charts.bars("Dropped frames over time", drops) if lost else "",
        ),
    )


def _percentile_table(caption: str, values: Mapping[str, Any], n: Any) -> str:
    rows = [
        (shown, escape(percentile(values[name], name, n)))
        for name, shown in _NAMES.items()
        if name in values
    ]
    return table(caption, (), rows, kind="figures") if rows else note(f"{caption}: {ABSENT}.")


def _histogram(run: Mapping[str, Any], name: str, caption: str) -> str:
    rows = [numbers(row) for row in listed(mapping(run.get("histogram")).get(name))]
    bins = [
        (low, high, counted)
        for low, high, counted in (row for row in rows if len(row) == 3)
        if low is not None and high is not None and counted is not None
    ]
    values = mapping(run.get(name))
    marks = {key: mark for key in _MARKED if (mark := number(values.get(key))) is not None}
    chart = charts.histogram(caption, bins, marks)
    outside = charts.beyond(bins, marks)
    if outside:
        chart += note(f"{outside:,.0f} more to the right, up to {ms(values.get('max'))}")
    return figure(caption, chart)


def _stages(run: Mapping[str, Any]) -> str:
    stages = {name: mapping(values) for name, values in mapping(run.get("stages")).items()}
    if not stages:
        return ""
    medians = {
        name: median
        for name, values in stages.items()
        if name != _CAPTURE and (median := number(values.get("p50"))) is not None
    }
    colours = {name: f'<i class="s{i}"></i>' for i, name in enumerate(medians, start=1)}
    rows = [
        (
            colours.get(name, "") + escape(name),
            *(_bare(values.get(rank), rank, run.get("n")) for rank in _STAGE),
        )
        for name, values in stages.items()
    ]
    caption = "Time of each stage in ms; the bar shows the medians"
    bar = charts.stacked("Share of each stage in the median latency", medians)
    times = table(caption, ("Stage", *_STAGE), rows, kind="figures")
    remark = "Capture, reading the camera, is not part of the latency."
    return f"<h3>Stages</h3>{bar}{times}" + (note(remark) if _CAPTURE in stages else "")


def _bare(value: Any, name: str, n: Any) -> str:
    real = number(value)
    if real is not None:
        return bare_ms(real)
    return f'<span class="few">{escape(percentile(value, name, n))}</span>'


def _circumstances(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (name, plain(run[key]))
        for name, key in (("camera", "camera"), ("scenario", "scenario"))
        if run.get(key)
    ]
    rows += _load(run)
    rows += [("frames counted", count(run.get("n"))), ("duration", seconds(run.get("seconds")))]
    if number(run.get("drops")) is not None:
        rows.append(("frames dropped", count(run["drops"])))
    if rule := mapping(run.get("warmup")).get("rule"):
        rows.append(("warm-up", plain(rule)))
    if number(run.get("deadline_ms")):
        missed = amount(run.get("deadline_misses"), "time")
        rows.append(("deadline", f"{ms(run['deadline_ms'])}, missed {missed}"))
    if resized := mapping(run.get("preprocess")).get("resized_by"):
        rows.append(("resized by", plain(resized)))
    if number(run.get("unreadable")):
        rows.append(("unreadable images, skipped", count(run["unreadable"])))
    if number(run.get("reopened")):
        rows.append(("times the camera was reopened", count(run["reopened"])))
    if notes := listed(run.get("notes")):
        rows.append(("notes", "<br>".join(plain(one) for one in notes)))
    return rows


def _load(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Input, workers and repeats of a benchmark."""
    made_up, repeats = mapping(run.get("input")), mapping(run.get("repeats"))
    rows = []
    if made_up:
        size = f"{plain(made_up.get('width'))} × {plain(made_up.get('height'))}"
        of_kind = f"{plain(made_up.get('kind'))}, {size}, {plain(made_up.get('color'))}"
        rows.append(("input", f"{of_kind}, {amount(made_up.get('frames'), 'frame')} in turn"))
    if number(run.get("workers")):
        rows.append(("workers", count(run["workers"])))
    if number(repeats.get("count")):
        rows.append(("repeats", count(repeats["count"]) + _spread(mapping(repeats.get("fps")))))
    return rows


def _spread(fps: Mapping[str, Any]) -> str:
    """ "; median 29.9 frames per second (28.7 to 30.1)"; "" where there is no range."""
    low, middle, high = (number(fps.get(name)) for name in ("low", "median", "high"))
    if low is None or middle is None or high is None or low == high:
        return ""
    between = f"{significant(low)} to {significant(high)}"
    return f"; median {significant(middle)} frames per second ({between})"


def _known(values: Any) -> dict[str, Any]:
    return {key: value for key, value in mapping(values).items() if value is not None}


def _golden(golden: Mapping[str, Any]) -> str:
    if not golden:
        return ""
    rows = [
        ("outcome", golden_outcome(golden)),
        ("rule", plain(golden.get("rule"))),
        ("samples", plain(golden.get("samples"))),
        ("largest difference", plain(golden.get("largest"))),
    ]
    if golden.get("because"):
        rows.append(("because", plain(golden["because"])))
    return table("Golden check", (), rows)
