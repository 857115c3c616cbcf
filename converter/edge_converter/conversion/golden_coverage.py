"""Do the golden samples of a detector show anything that it finds?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_sdk.bundle.manifest import Manifest
from edge_sdk.bundle.reading import Golden
from edge_sdk.frames import Frame
from edge_sdk.preprocess import Placement
from edge_sdk.tasks.detect import Detector

_WHOLE = Placement(1.0, 1.0, 0.0, 0.0)


def showing(manifest: Manifest, labels: Sequence[str], golden: Golden) -> list[str]:
    """What to warn of: a detector that finds nothing in any of its golden samples, at its own least
    scores. What people are shown is then not proven: the rule asks little of what they are not.
    Raises ModelError for a class without a label.
    """
    if manifest.task != "detect":
        return []
    _, height, width, _ = manifest.input.tensor.shape
    frame = Frame(np.zeros((height, width, 3), np.uint8), "rgb")
    detector = Detector(manifest, labels, [output.tensor.spec for output in manifest.outputs])
    for sample in zip(*golden.outputs, strict=True):
        if detector(sample.__getitem__, _WHOLE, frame):
            return []
    count = manifest.golden.samples
    made_up = "made-up " if manifest.golden.origin == "synthetic" else ""
    return [
        f"the detector finds nothing in the {count} {made_up}images of its golden samples, which "
        "so prove little: convert it with --data DIR, a folder whose first "
        f"{count} images by name show what it finds"
    ]
