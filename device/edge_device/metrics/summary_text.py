"""A run or bench document as text, for the person who waited for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sdk.formatting import ms, table
from edge_sdk.report.markup import amount, joules

_SHOWN = ("p50", "p90", "p99", "max")
_NO_SAMPLES = "too few samples"


def summary(document: Mapping[str, Any]) -> str:
    """The closing table: rate, latency, stages, frame age, drops, energy, and whether it counts."""
    lines = [[name, value] for name, value in _facts(document)]
    rows = _durations(document)
    return f"{table(lines)}\n\n{table(rows, head=('', *_SHOWN))}"


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    bundle, engine = document["bundle"], document["engine"]
    facts = [
        ("bundle", f"{bundle['name']} {bundle['version']}"),
        ("engine", _engine(engine, document["golden"])),
        _load(document),
        ("answers", _answers(document)),
    ]
    if document["drops"] is not None:
        facts.append(("drops", f"{document['drops']:,}"))
    if document.get("unreadable"):
        facts.append(("unreadable", f"{amount(document['unreadable'], 'image')} skipped"))
    if document.get("reopened"):
        facts.append(("reopened", f"the camera, {amount(document['reopened'], 'time')}"))
    if document["deadline_misses"] is not None:
        late = f"{document['deadline_misses']:,} results later than {document['deadline_ms']:g} ms"
        facts.append(("deadline", late))
    facts += _found(document)
    facts.append(("energy", _energy(document)))
    facts += _thermal(document["thermal"])
    facts.append(("valid", _valid(document)))
    return facts


def _found(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The results of a scenario, and of a soak."""
    facts = []
    if server := document.get("server"):
        facts.append(("rate", _rate(server)))
    if soak := document.get("soak"):
        facts.append(("soak", _soak(soak)))
    if document["mlperf"].get("metric"):
        facts.append(("mlperf", _mlperf(document["mlperf"])))
    return facts


def _rate(server: Mapping[str, Any]) -> str:
    bound, tried = f"{server['latency_bound_ms']:g} ms", amount(len(server["trials"]), "trial")
    if server["rate"] is None:
        return f"not found within {bound} before it was stopped; {tried}"
    verdicts = {True: "confirmed", False: "not confirmed", None: "measured too briefly to confirm"}
    held = verdicts[server["held"]]
    return f"{server['rate']:.4g} per second within {bound} at p99, found in {tried}, {held}"


def _soak(soak: Mapping[str, Any]) -> str:
    if soak["constant"] is None:
        return f"unknown: {soak['because']}"
    low, high = soak["interval"]
    slope = f"memory {soak['rss_slope_bytes_per_s']:+,.0f} ({low:+,.0f} to {high:+,.0f}) bytes/s"
    files = f"open files {soak['fds_start']} to {soak['fds_end']}"
    return f"{soak['because'] or 'constant'}; {slope}, {files}"


def _mlperf(mlperf: Mapping[str, Any]) -> str:
    value = mlperf["value"]
    result = f"{mlperf['metric']}: " + (_NO_SAMPLES if value is None else f"{value:.4g}")
    return result + ("" if mlperf["met"] else f"; rules not met: {mlperf['because']}")


def _thermal(thermal: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Temperature, clocks and throttling, as far as they can be read here."""
    words = []
    start, end = thermal["start_c"], thermal["end_c"]
    if start is not None and end is not None:
        words.append(f"{start:.1f} to {end:.1f} °C, peak {thermal['max_c']:.1f}")
    if thermal["clocks"]["max_mhz"] is not None:
        low, high = thermal["clocks"]["min_mhz"], thermal["clocks"]["max_mhz"]
        words.append(f"{low:,.0f} to {high:,.0f} MHz")
    words += thermal["causes"]
    return [("thermal", ", ".join(words))] if words else []


def _valid(document: Mapping[str, Any]) -> str:
    because = document["invalid_because"]
    if document["invalid_codes"] == ["throttling-unknown"]:
        return f"not marked valid: {because}; all other rules are met"
    return "yes" if document["valid"] else f"no: {because}"


def _engine(engine: Mapping[str, Any], golden: Mapping[str, Any]) -> str:
    proven = {True: f"golden {golden['rule']}", None: "unproven"}.get(golden["passed"], "failed")
    threads = f"{engine['threads']} thread{'' if engine['threads'] == 1 else 's'}"
    return f"{engine['name']} {engine['version']}, {engine['delegate']}, {threads}, {proven}"


def _load(document: Mapping[str, Any]) -> tuple[str, str]:
    if "input" in document:
        size = document["input"]
        made_up = f"{size['kind']} {size['width']} x {size['height']} frames"
        workers = document["workers"]
        shared = f", {workers} workers" if workers > 1 else ""
        if queries := document.get("multi_stream"):
            shared = f", queries of {amount(queries['samples_per_query'], 'frame')}"
        return "scenario", f"{document['scenario']}{shared}, {made_up}"
    replayed = " (replayed)" if document["replayed"] else ""
    return "camera", f"{document['camera']}{replayed}, policy {document['policy']}"


def _answers(document: Mapping[str, Any]) -> str:
    fps = "" if document["fps"] is None else f", {document['fps']:.2f} per second"
    excluded = document["warmup"]["results"]
    warmup = f"; {excluded:,} more in the warm-up" if excluded else ""
    return f"{document['n']:,} in {document['seconds']:.1f} s{fps}{warmup}"


def _energy(document: Mapping[str, Any]) -> str:
    measured, model = _measured(document["energy_measured"]), document["energy_model"]
    if model is None:
        because = document["energy_model_because"]
        return f"{measured}; no MODEL: {because}" if because else measured
    value, spread = joules(model["joules_per_inference"]), joules(model["uncertainty"])
    return f"{measured}; MODEL for {model['board']}: {value} ± {spread} per inference"


def _measured(energy: Mapping[str, Any] | None) -> str:
    """What a power meter measured, with its class; why it does not count where it does not."""
    if energy is None:
        return "not measured"
    spread = "" if energy["uncertainty"] is None else f" ± {joules(energy['uncertainty'])}"
    value = f"{joules(energy['joules_per_inference'])}{spread} per inference"
    meter = f"{energy['meter']}, class {energy['class']}" + (
        ", replayed" if energy["replayed"] else ""
    )
    valid = "" if energy["valid"] else f"; not valid: {energy['invalid_because']}"
    return f"{value} ({meter}){valid}"


def _durations(document: Mapping[str, Any]) -> list[list[str]]:
    name = "latency of a query" if document.get("multi_stream") else "latency"
    rows = [[name, *_cells(document["latency"])]]
    for name, values in document["stages"].items():
        if values["p50"] is not None:
            rows.append([f"  {name}", *_cells(values)])
    if document["frame_age"]["max"] is not None:
        rows.append(["frame age", *_cells(document["frame_age"])])
    return rows


def _cells(values: Mapping[str, float | None]) -> list[str]:
    return [ms(values[name], _NO_SAMPLES) if name in values else "" for name in _SHOWN]
