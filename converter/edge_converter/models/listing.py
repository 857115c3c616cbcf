"""The answer of `edge-sdk models`."""

from __future__ import annotations

from collections.abc import Sequence

from edge_converter.models.architectures import (
    ARCHITECTURES,
    CLASSES,
    OWN,
    Architecture,
    Size,
    find_architecture,
)
from edge_sdk.documents.models import ModelEntry, Models, ModelSize
from edge_sdk.formatting import table


def listing(name: str | None = None) -> Models:
    """The models document: all architectures, or the one that is named.

    Raises ConfigError for an unknown name.
    """
    chosen = [find_architecture(name)] if name else list(ARCHITECTURES.values())
    return {
        "schema": "edge-sdk/models/1",
        "classes": CLASSES,
        "models": [_entry(architecture) for architecture in chosen],
        "own": dict(OWN),
    }


def describe(document: Models, name: str | None = None) -> str:
    """The document for people: a table, or everything about the one that is named."""
    if name:
        return _one(document["models"][0], document["classes"])
    head = ("model", "input", "parameters", "MACs", "options", "suits")
    rows = [row for entry in document["models"] for row in _rows(entry)]
    own = table([[kind, meaning] for kind, meaning in document["own"].items()])
    return (
        f"{table(rows, head=head)}\n\n{own}\n\n"
        f"Parameters and multiply-accumulates (MACs) with {document['classes']} classes, options "
        "at their defaults unless shown."
    )


def _entry(architecture: Architecture) -> ModelEntry:
    pretrained = architecture.pretrained
    return {
        "name": architecture.name,
        "suits": architecture.suits,
        "sizes": [_size(size) for size in architecture.sizes],
        "least": architecture.min_side,
        "options": dict(architecture.options),
        "pretrained": {
            "color": "rgb",
            "mean": list(pretrained.mean),
            "std": list(pretrained.std),
        }
        if pretrained
        else None,
    }


def _size(size: Size) -> ModelSize:
    return {
        "shape": list(size.shape),
        "options": {} if size.width is None else {"width": size.width},
        "parameters": size.parameters,
        "macs": size.macs,
    }


def _rows(entry: ModelEntry) -> list[list[str]]:
    """A row for each size; what does not depend on the size stands in the first."""
    rows = [["", *_costs(size), "", ""] for size in entry["sizes"]]
    rows[0][0], rows[0][-2:] = entry["name"], [", ".join(entry["options"]) or "-", entry["suits"]]
    return rows


def _costs(size: ModelSize) -> list[str]:
    shape = " x ".join(map(str, size["shape"]))
    options = "".join(f", {name} {value:g}" for name, value in size["options"].items())
    return [shape + options, f"{size['parameters']:,}", f"{size['macs']:,}"]


def _one(entry: ModelEntry, classes: int) -> str:
    pretrained = entry["pretrained"]
    rows: list[Sequence[str]] = [("model", entry["name"]), ("suits", entry["suits"])]
    for size in entry["sizes"]:
        shape, parameters, macs = _costs(size)
        rows.append(("input", f"{shape}: {parameters} parameters, {macs} MACs, {classes} classes"))
    if len(entry["sizes"][0]["shape"]) == 3:
        rows.append(("smallest input", f"{entry['least']} x {entry['least']}"))
    rows += [(f"options.{name}", meaning) for name, meaning in entry["options"].items()]
    if pretrained:
        rows.append(("imagenet", 'weights = "imagenet" demands, in [input]: color = "rgb",'))
        rows.append(("", f"mean = {pretrained['mean']}, std = {pretrained['std']}"))
    else:
        rows.append(("imagenet", "no such weights"))
    return table(rows)
