"""The top of a report: the main figures, and their validity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sdk.report.markup import (
    ABSENT,
    amount,
    escape,
    listed,
    mapping,
    number,
    percent,
    percent_range,
    percentile,
    points,
    short_size,
    significant,
)
from edge_sdk.report.page import Tile, banner, note

_LATENCIES = {
    "p50": "half of the {} are faster",
    "p90": "nine of ten {} are faster",
    "p99": "99 of 100 {} are faster",
}


def run_tiles(run: Mapping[str, Any], build: Mapping[str, Any]) -> list[Tile]:
    """The summary: rate and latency, then accuracy and size where there is a build record.

    The latencies of multi-stream are those of queries, of several frames each.
    """
    latency, n, one = mapping(run.get("latency")), run.get("n"), "frames"
    if query := mapping(run.get("multi_stream")):
        n, one = query.get("queries"), "queries"
    rate = number(run.get("fps"))
    return [
        Tile("Frames per second", ABSENT if rate is None else significant(rate), _frames(run)),
        *(
            Tile(
                f"Latency {name}",
                percentile(latency.get(name), name, n),
                "" if latency.get(name) is None else words.format(one),
            )
            for name, words in _LATENCIES.items()
        ),
        *build_tiles(build),
    ]


def build_tiles(build: Mapping[str, Any]) -> list[Tile]:
    """Accuracy float and converted, the loss, and the size; what is not known is left out."""
    before, after = mapping(build.get("float")), mapping(build.get("converted"))
    name = str(after.get("quantization") or "converted")
    tiles = (
        (before.get("accuracy"), "Accuracy, float", percent, _within(before)),
        (after.get("accuracy"), f"Accuracy, {name}", percent, _within(after)),
        (build.get("accuracy_loss"), "Accuracy loss", points, _loss_within(build)),
        (after.get("bytes"), "Model size", short_size, _smaller(before, after)),
    )
    return [
        Tile(title, show(value), words)
        for value, title, show, words in tiles
        if number(value) is not None
    ]


def engine_words(run: Mapping[str, Any]) -> str:
    """ "litert 2.3.0, delegate xnnpack, 2 threads": as found running."""
    engine = mapping(run.get("engine"))
    if not engine:
        return "engine not recorded"
    threads = number(engine.get("threads"))
    words = [f"{engine.get('name', '')} {engine.get('version', '')}".strip()]
    words.append(f"delegate {engine.get('delegate') or 'not recorded'}")
    if threads is not None:
        words.append(amount(threads, "thread"))
    return ", ".join(words)


def run_banners(run: Mapping[str, Any]) -> str:
    """Validity of the run with the reasons, and a golden check that did not pass."""
    if run.get("valid") is True:
        shown = banner("good", "Valid.", "Steady, not throttled, long enough, enough samples.")
    elif run.get("invalid_codes") == ["throttling-unknown"]:
        because = escape(run.get("invalid_because"))
        shown = note(f"Not marked valid: {because}; all other rules are met.")
    else:
        shown = banner("warn", "Not valid as a measurement:", _because(run.get("invalid_because")))
    golden = mapping(run.get("golden"))
    if golden and golden.get("passed") is not True:
        outcome = golden_outcome(golden)
        kind = "bad" if outcome == "failed" else "warn"
        shown += banner(kind, f"Golden check {outcome}:", _because(golden.get("because")))
    return shown


def golden_outcome(golden: Mapping[str, Any]) -> str:
    """ "passed", "failed" or "unproven"."""
    if golden.get("passed") is True:
        return "passed"
    return "failed" if golden.get("passed") is False else "unproven"


def build_banner(build: Mapping[str, Any]) -> str:
    """Outcome of the limits, where that is recorded, and the warnings."""
    shown = ""
    if build.get("passed") is True and build.get("budget"):
        shown = banner("good", "Passed.", "Every limit that a build can check was kept.")
    elif build.get("passed") is False:
        shown = banner("bad", "Failed:", "a limit was exceeded, no bundle was written.")
    return shown + build_warnings(build)


def build_warnings(build: Mapping[str, Any]) -> str:
    """Warnings of the build: they hold wherever the bundle is used."""
    return "".join(banner("warn", "Warning:", str(line)) for line in listed(build.get("warnings")))


def _because(reason: Any) -> str:
    return f"{str(reason or 'no reason was recorded').rstrip('.')}."


def _frames(run: Mapping[str, Any]) -> str:
    n, drops = number(run.get("n")), number(run.get("drops"))
    words = [amount(n, "frame")] if n is not None else []
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
