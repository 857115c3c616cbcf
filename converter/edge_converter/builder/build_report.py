"""The result of `build` and `convert`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.documents.build import Build, Outcome
from edge_sdk.formatting import share, size, table
from edge_sdk.report.gallery import Gallery


@dataclass(frozen=True, eq=False)
class BuildReport:
    """The result of a build. document: the build document (docs/contracts.md); bundle: its path;
    folder: where build.json is; galleries: images for its page.
    """

    document: Build
    bundle: Path
    folder: Path
    galleries: Sequence[Gallery] = ()

    @property
    def accuracy_loss(self) -> float | None:
        """Float minus converted accuracy on the same test images, -1..1; None where nothing was
        trained (`convert`).
        """
        return self.document["accuracy_loss"]

    @property
    def passed(self) -> bool:
        """True where every gate passed."""
        return self.document["passed"]


def describe(report: BuildReport) -> str:
    """The build document for people."""
    document = report.document
    converted, floats, loss = document["converted"], document["float"], document["accuracy_loss"]
    assert floats is not None and loss is not None  # a build has both
    low, high = converted["interval"]
    rows = [
        ["float accuracy", _counted(floats)],
        [f"{converted['quantization']} accuracy", _counted(converted)],
        ["", f"95 % interval {share(low)} to {share(high)}"],
        ["accuracy loss", f"{100 * loss:.2f} points"],
        ["float model", size(floats["bytes"])],
        [f"{converted['quantization']} model", size(converted["bytes"])],
        *_compressed_row(converted),
        *_repair_rows(document),
        ["bundle", str(report.bundle)],
        ["report", str(report.folder / "build.html")],
    ]
    return table(rows)


def _compressed_row(converted: Outcome) -> list[list[str]]:
    """A row for a model that is compressed in the bundle."""
    packed = converted["bundle_bytes"]
    return [["in the bundle", size(packed)]] if packed != converted["bytes"] else []


def _repair_rows(document: Build) -> list[list[str]]:
    """Rows for the repair, and for what is left in float."""
    rows = []
    if (before := document["unrepaired"]) is not None:
        rows.append(["int8 before repair", share(before["accuracy"])])
        passed = [one for one in document["tries"] if one["passed"]]
        rows.append(["repair", passed[0]["name"] if passed else "no attempt met the budget"])
    if document["left_in_float"]:
        rows.append(["left in float", ", ".join(document["left_in_float"])])
    return rows


def _counted(evaluated: Outcome) -> str:
    return f"{share(evaluated['accuracy'])} ({evaluated['correct']} of {evaluated['n']})"
