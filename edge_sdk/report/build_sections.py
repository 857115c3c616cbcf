"""Sections about a build: accuracy and budget, training, data, stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sdk.report import charts
from edge_sdk.report.accuracy_sections import accuracy_sections
from edge_sdk.report.markup import (
    ABSENT,
    count,
    escape,
    facts,
    listed,
    mapping,
    mappings,
    numbers,
    percent,
    plain,
    seconds,
    short_size,
    table,
)
from edge_sdk.report.page import Section, command, figure, folded, note, side_by_side

_SHOWN = 20


def build_sections(build: Mapping[str, Any]) -> list[Section]:
    """The sections of a build record (edge-sdk/build/1); those without data are empty."""
    return [
        *accuracy_sections(build),
        Section("training", "Training", _training(build)),
        Section("data", "Data", _data(build)),
        Section("stages", "Build", _stages(build)),
    ]


def build_again(build: Mapping[str, Any]) -> Section:
    """The command that makes the bundle again, and what it starts from."""
    recipe, source = build.get("recipe_sha256"), build.get("source_sha256")
    line = "convert MODEL" if source and not recipe else "build RECIPE"
    body = command(f"edge-sdk {line} --out FILE.edge")
    for name, digest in (("Recipe", recipe), ("Model", source)):
        if digest:
            body += f"<p>{name} SHA-256: <code>{escape(digest)}</code></p>"
    return Section("again", "Reproduce", body + note("Unrounded values: build.json."))


def _training(build: Mapping[str, Any]) -> str:
    history = mapping(build.get("history"))
    curves = [
        figure(
            f"{word} per epoch",
            charts.lines(f"{word} per epoch", found, zero=word == "Loss"),
            list(found),
        )
        for word, found in (
            ("Loss", _series(history, "loss")),
            ("Accuracy", _series(history, "accuracy")),
        )
    ]
    return side_by_side(*curves)


def _series(history: Mapping[str, Any], key: str) -> dict[str, list[charts.Point]]:
    return {
        name: [(float(epoch), value) for epoch, value in enumerate(values, start=1)]
        for name, full in (("training", key), ("validation", f"val_{key}"))
        if (values := numbers(history.get(full)))
    }


def _data(build: Mapping[str, Any]) -> str:
    data = mapping(build.get("dataset"))
    if not data:
        return ""
    names = {
        "n_train": "training samples",
        "n_val": "validation samples",
        "n_test": "test samples",
    }
    rows = [("source", plain(data["source"]))] if "source" in data else []
    rows += [(name, count(data[key])) for key, name in names.items() if key in data]
    more = {"duplicates": "duplicates", "across_parts": "in several splits"}
    rows += [(name, plain(data[key])) for key, name in more.items() if key in data]
    if "sha256" in data:
        rows.append(("SHA-256", f"<code>{escape(data['sha256'])}</code>"))
    return table("The data set", (), rows) + _unreadable(data) + _per_part(data)


def _unreadable(data: Mapping[str, Any]) -> str:
    broken = data.get("unreadable")
    if not isinstance(broken, list) or not broken:
        return ""
    listed = "".join(f"<li>{escape(one)}</li>" for one in broken[:_SHOWN])
    more = f"<li>and {len(broken) - _SHOWN:,} more</li>" if len(broken) > _SHOWN else ""
    return f"<p>{len(broken):,} unreadable, left out:</p><ul>{listed}{more}</ul>"


def _per_part(data: Mapping[str, Any]) -> str:
    rows = [
        (escape(label), *(count(parts.get(part)) for part in ("train", "val", "test")))
        for label, parts in mapping(data.get("per_class")).items()
        if isinstance(parts, dict)
    ]
    head = ("Class", "Training", "Validation", "Test")
    return folded("Images of each class", table("Images", head, rows, kind="figures"))


def _tries(build: Mapping[str, Any]) -> str:
    """Repair attempts in their order, with the model before any of them."""
    before = mapping(build.get("unrepaired"))
    found = (percent(before.get("accuracy")), short_size(before.get("bytes")))
    rows = [("as it was", ABSENT, *found, "", "")] if before else []
    rows += [
        (
            escape(one.get("name", "")),
            percent(one.get("accuracy")),
            percent(one.get("test_accuracy")),
            short_size(one.get("bytes")),
            "kept" if one.get("passed") else "",
            escape(one.get("note") or ", ".join(map(str, listed(one.get("float_layers"))))),
        )
        for one in mappings(build.get("tries"))
    ]
    head = ("Repair", "Validation", "Test", "Size", "", "")
    return table("Repair attempts: int8 lost more than the budget", head, rows, kind="figures")


def _stages(build: Mapping[str, Any]) -> str:
    stages = [
        (
            escape(one.get("name", "")),
            "reused" if one.get("cached") is True else seconds(one.get("seconds")),
        )
        for one in mappings(build.get("stages"))
    ]
    steps = [
        (
            escape(one.get("name", "")),
            percent(one.get("accuracy")),
            short_size(one.get("bytes")),
            count(one.get("macs")),
            escape(one.get("note") or ""),
        )
        for one in mappings(build.get("steps"))
    ]
    layers = [
        (escape(one.get("name", "")), escape(one.get("op", "")), plain(one.get("sqnr_db")))
        for one in mappings(build.get("worst_layers"))
    ]
    head = ("Step", "Accuracy", "Size", "MACs", "")
    return (
        table("Training and compression steps", head, steps, kind="figures")
        + _tries(build)
        + side_by_side(
            table("Time of each stage", (), stages),
            facts("Converted model against the trained one", mapping(build.get("agreement"))),
            table(
                "Layers that lose most to quantization", ("Layer", "Operator", "SQNR in dB"), layers
            ),
            facts("Built with", mapping(build.get("versions"))),
        )
        + folded("Recipe", facts("Every setting", mapping(build.get("recipe"))))
    )
