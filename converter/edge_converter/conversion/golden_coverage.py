"""Warns of golden samples in which a detector finds nothing."""

from __future__ import annotations

from collections.abc import Sequence

from edge_sdk.bundle.manifest import Manifest
from edge_sdk.bundle.reading import Golden
from edge_sdk.tasks import task_of


def coverage_warnings(manifest: Manifest, labels: Sequence[str], golden: Golden) -> list[str]:
    """A warning of a detector that finds nothing in any of its golden samples, at its own min
    scores: its detections are then not proven, for the rule asks little of lower scores.
    Raises ModelError for a class without a label.
    """
    if task_of(manifest).shows_something(manifest.interface, labels, golden.outputs):
        return []
    count = manifest.golden.samples
    made_up = "made-up " if manifest.golden.origin == "synthetic" else ""
    return [
        f"the detector finds nothing in the {count} {made_up}images of its golden samples, which "
        "so prove little: convert it with --data DIR, a folder whose first "
        f"{count} images by name show what it finds"
    ]
