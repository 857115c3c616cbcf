"""What a run or a benchmark measured: summary, latency, frame age, energy, conditions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from edge_sdk.report import charts
from edge_sdk.report.page import Section, Tile, banner, command, figure, note, side_by_side
from edge_sdk.report.text import (
    ABSENT,
    bare_ms,
    count,
    escape,
    facts,
    joules,
    listed,
    mapping,
    mappings,
    ms,
    number,
    numbers,
    percent,
    percent_range,
    percentile,
    plain,
    points,
    seconds,
    short_size,
    significant,
    table,
)

_NAMES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p999": "p99.9", "max": "max"}
_MARKED = {
    "p50": "half of the frames are faster",
    "p90": "nine of ten are faster",
    "p99": "99 of 100 are faster",
}
_STAGE = ("p50", "p90", "p95", "p99")
_CAPTURE = "capture"


def run_tiles(run: Mapping[str, Any], build: Mapping[str, Any]) -> list[Tile]:
    """The summary: rate and latency, then accuracy and size where there is a build record."""
    latency, n = mapping(run.get("latency")), run.get("n")
    rate = number(run.get("fps"))
    return [
        Tile("Frames per second", ABSENT if rate is None else significant(rate), _frames(run)),
        *(
            Tile(
                f"Latency {_NAMES[name]}",
                percentile(latency.get(name), name, n),
                "" if latency.get(name) is None else words,
            )
            for name, words in _MARKED.items()
        ),
        *build_tiles(build),
    ]


def build_tiles(build: Mapping[str, Any]) -> list[Tile]:
    """Accuracy float and converted, the loss, and the size. [] without accuracies."""
    before, after = mapping(build.get("float")), mapping(build.get("converted"))
    if number(after.get("accuracy")) is None:
        return []
    name = str(after.get("quantization") or "converted")
    return [
        Tile("Accuracy, float", percent(before.get("accuracy")), _within(before)),
        Tile(f"Accuracy, {name}", percent(after.get("accuracy")), _within(after)),
        Tile("Accuracy loss", points(build.get("accuracy_loss")), _loss_within(build)),
        Tile("Model size", short_size(after.get("bytes")), _smaller(before, after)),
    ]


def engine_words(run: Mapping[str, Any]) -> str:
    """ "litert 2.3.0, delegate xnnpack, 2 threads": what was really in use."""
    engine = mapping(run.get("engine"))
    if not engine:
        return "engine not recorded"
    threads = number(engine.get("threads"))
    words = [f"{engine.get('name', '')} {engine.get('version', '')}".strip()]
    words.append(f"delegate {engine.get('delegate') or 'not recorded'}")
    if threads is not None:
        words.append(f"{threads:.0f} thread{'' if threads == 1 else 's'}")
    return ", ".join(words)


def run_banners(run: Mapping[str, Any]) -> str:
    """Whether the run is valid and why not, and a golden check that did not pass."""
    if run.get("valid") is True:
        shown = banner("good", "Valid.", "Steady, not throttled, long enough, enough samples.")
    else:
        because = str(run.get("invalid_because") or "no reason was recorded").rstrip(".")
        shown = banner("warn", "Not valid as a measurement:", f"{because}. Values are kept.")
    golden = mapping(run.get("golden"))
    if golden and golden.get("passed") is not True:
        kind = "bad" if golden.get("passed") is False else "warn"
        because = str(golden.get("because") or "no reason was recorded").rstrip(".")
        shown += banner(kind, f"Golden check {_outcome(golden)}:", f"{because}.")
    return shown


def latency_section(run: Mapping[str, Any]) -> Section:
    """Percentiles, histogram and the time of each stage."""
    latency, n = mapping(run.get("latency")), run.get("n")
    body = side_by_side(
        _percentile_table("Latency of one frame: preprocess, invoke, postprocess", latency, n),
        _histogram(run, "latency", "Latency in ms, number of frames"),
    )
    return Section("latency", "Latency", body + _stages(run))


def frame_age_section(run: Mapping[str, Any]) -> Section:
    """How old a frame was when it was answered, and which frames were dropped, over time."""
    age, timeline = mapping(run.get("frame_age")), mappings(run.get("timeline"))
    if not age and not timeline:
        return Section("age", "Frame age and drops", "")
    over_time = {
        name: [
            (t, number(one.get(key)))
            for one in timeline
            if (t := number(one.get("t_s"))) is not None
        ]
        for name, key in (("p50", "frame_age_p50_ms"), ("max", "frame_age_max_ms"))
    }
    drops = [
        (t, number(one.get("drops")) or 0.0)
        for one in timeline
        if (t := number(one.get("t_s"))) is not None
    ]
    dropped = number(run.get("drops")) or sum(value for _, value in drops)
    lost = charts.bars("Dropped frames over time", drops) if dropped else ""
    body = side_by_side(
        _percentile_table("Frame age: from the sensor to the answer", age, run.get("n")),
        _histogram(run, "frame_age", "Frame age in ms, number of frames"),
        figure(
            "Frame age in ms over time in s",
            charts.lines("Frame age over time", over_time),
            list(over_time),
        ),
        figure("Dropped frames over time in s", lost),
    )
    words = "No frame was dropped." if not dropped else f"{dropped:,.0f} frames were dropped."
    return Section("age", "Frame age and drops", body + note(words))


def energy_section(run: Mapping[str, Any]) -> Section:
    """What a meter measured, and apart from it what a MODEL says."""
    measured, model = mapping(run.get("energy_measured")), mapping(run.get("energy_model"))
    body = _measured(measured) if measured else note("Not measured: no power meter was attached.")
    if model:
        body += _model(model)
    elif because := run.get("energy_model_because"):
        body += note(f"No MODEL estimate: {because}.")
    return Section("energy", "Energy", body)


def conditions_section(run: Mapping[str, Any]) -> Section:
    """How the run was made: load, temperature, golden check, machine."""
    engine = {k: v for k, v in mapping(run.get("engine")).items() if v is not None}
    body = side_by_side(
        table("The run", (), _circumstances(run)),
        facts("Engine", engine),
        _golden(mapping(run.get("golden"))),
        _thermal(mapping(run.get("thermal"))),
        facts("Machine", mapping(run.get("machine"))),
        facts("MLPerf", mapping(run.get("mlperf"))),
    )
    return Section("conditions", "Machine and conditions", body)


def again_section(run: Mapping[str, Any], name: str) -> Section:
    """The command that makes such a report, and the file that this page shows."""
    bundle = mapping(run.get("bundle"))
    words = ["edge-sdk", name, str(bundle.get("path") or "FILE.edge")]
    if run.get("camera"):
        words += ["--camera", str(run["camera"])]
    elif name == "bench" and run.get("scenario"):
        words += ["--scenario", str(run["scenario"])]
    if board := mapping(run.get("energy_model")).get("board"):
        words += ["--board", str(board)]
    words += ["--report", "DIR"]
    body = command(shlex.join(words))
    if bundle.get("sha256"):
        body += f"<p>Bundle SHA-256: <code>{escape(bundle['sha256'])}</code></p>"
    return Section("again", "Reproduce", body + note(f"Unrounded values: {name}.json."))


def _frames(run: Mapping[str, Any]) -> str:
    n, drops = number(run.get("n")), number(run.get("drops"))
    words = [f"{n:,.0f} frames"] if n is not None else []
    return ", ".join([*words, f"{drops:,.0f} dropped"] if drops else words)


def _within(part: Mapping[str, Any]) -> str:
    between = percent_range(part.get("interval"))
    return f"95 %: {between} %" if between else ""


def _loss_within(build: Mapping[str, Any]) -> str:
    between = percent_range(build.get("accuracy_loss_interval"), 2)
    return f"95 %: {between}" if between else "float minus converted"


def _smaller(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    was, now = number(before.get("bytes")), number(after.get("bytes"))
    if not was or not now:
        return ""
    return f"float {short_size(was)}, {was / now:.1f} times as large"


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
    marks = {key: number(values.get(key)) for key in _MARKED}
    marks = {key: value for key, value in marks.items() if value is not None}
    chart = charts.histogram(caption, bins, marks)
    outside = charts.beyond(bins, marks)
    tail = f"{outside:,.0f} more to the right, up to {ms(values.get('max'))}" if outside else ""
    return figure(caption, chart + (note(tail) if tail else "")) if chart else ""


def _stages(run: Mapping[str, Any]) -> str:
    stages = {
        str(name): mapping(values) for name, values in mapping(run.get("stages")).items() if values
    }
    if not stages:
        return ""
    inner = {
        name: value
        for name, values in stages.items()
        if name != _CAPTURE and (value := number(values.get("p50"))) is not None
    }
    colours = {name: f'<i class="s{i}"></i>' for i, name in enumerate(inner, start=1)}
    rows = [
        (
            colours.get(name, "") + escape(name),
            *(_bare(values.get(p), p, run.get("n")) for p in _STAGE),
        )
        for name, values in stages.items()
    ]
    bar = charts.stacked("Share of each stage in the median latency", inner)
    remark = "Capture is the wait for the camera; it is not part of the latency."
    return (
        f"<h3>Stages</h3>{bar}"
        + table(
            "Time of each stage in ms; the bar shows the medians",
            ("Stage", *_STAGE),
            rows,
            kind="figures",
        )
        + (note(remark) if _CAPTURE in stages else "")
    )


def _bare(value: Any, name: str, n: Any) -> str:
    real = number(value)
    if real is not None:
        return bare_ms(real)
    return f'<span class="few">{escape(percentile(value, name, n))}</span>'


def _measured(energy: Mapping[str, Any]) -> str:
    replayed = bool(energy.get("replayed"))
    tag = '<span class="tag replayed">REPLAYED</span> ' if replayed else ""
    rows = [
        ("energy of one inference", _with_interval(energy, "joules_per_inference", "uncertainty")),
        (
            "net of idle",
            _with_interval(energy, "net_joules_per_inference", "net_uncertainty"),
        ),
        ("mean power", f"{plain(energy.get('mean_watts'))} W"),
    ]
    rows = [(name, tag + value) for name, value in rows]
    rows += [
        (escape(name), plain(energy[key]))
        for name, key in (
            ("meter", "meter"),
            ("class", "class"),
            ("boundary", "boundary"),
            ("samples", "samples"),
        )
        if key in energy
    ]
    rows.append(("valid", _validity(energy)))
    return table("Replayed from a recording" if replayed else "Measured", (), rows)


def _with_interval(energy: Mapping[str, Any], value: str, spread: str) -> str:
    if number(energy.get(value)) is None:
        return ABSENT
    return f"{joules(energy[value])} ± {joules(energy.get(spread))} (95 %)"


def _validity(part: Mapping[str, Any]) -> str:
    if part.get("valid") is True:
        return "yes"
    return f"no: {escape(part.get('invalid_because') or 'no reason was recorded')}"


def _model(model: Mapping[str, Any]) -> str:
    """The block of a MODEL: the word stands before every figure."""
    tag = '<span class="tag">MODEL</span>'
    words = "Computed from published figures; nothing was measured on this board."
    return (
        '<aside class="model" aria-label="MODEL estimate">'
        f"<h3>MODEL estimate for {escape(model.get('board'))}</h3>"
        f'<p class="value">{tag} {joules(model.get("joules_per_inference"))} per inference</p>'
        f'<p class="value">{tag} ± {joules(model.get("uncertainty"))} (95 %)</p>'
        f"<p>{tag} formula: {escape(model.get('formula'))}</p>"
        f"<p>{tag} source: {escape(model.get('source'))}</p>{note(words)}</aside>"
    )


def _circumstances(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (name, plain(run[key]))
        for name, key in (("camera", "camera"), ("scenario", "scenario"))
        if run.get(key)
    ]
    rows += [("frames answered", count(run.get("n"))), ("duration", seconds(run.get("seconds")))]
    if "drops" in run:
        rows.append(("frames dropped", count(run["drops"])))
    if number(run.get("deadline_ms")):
        missed = count(run.get("deadline_misses"))
        rows.append(("deadline", f"{ms(run['deadline_ms'])}, missed {missed} times"))
    if resized := mapping(run.get("preprocess")).get("resized_by"):
        rows.append(("resized by", plain(resized)))
    return rows


def _thermal(thermal: Mapping[str, Any]) -> str:
    rows = [
        (name, ABSENT if (value := number(thermal.get(key))) is None else f"{value:.1f} °C")
        for name, key in (("start", "start_c"), ("end", "end_c"), ("highest", "max_c"))
    ]
    throttled = {True: "yes", False: "no"}.get(thermal.get("throttled"), ABSENT)  # type: ignore[arg-type]
    return table("Temperature", (), [*rows, ("throttled", throttled)]) if thermal else ""


def _golden(golden: Mapping[str, Any]) -> str:
    if not golden:
        return ""
    rows = [
        ("outcome", escape(_outcome(golden))),
        ("rule", plain(golden.get("rule"))),
        ("samples", plain(golden.get("samples"))),
        ("largest difference", plain(golden.get("largest"))),
    ]
    if golden.get("because"):
        rows.append(("because", plain(golden["because"])))
    return table("Golden check", (), rows)


def _outcome(golden: Mapping[str, Any]) -> str:
    return {True: "passed", False: "failed"}.get(golden.get("passed"), "unproven")  # type: ignore[arg-type]
