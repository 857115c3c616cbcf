"""CPU of a whole answer beyond the bare invoke: 720p pictures through two int8 networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.bundle import Bundle
from edge_sdk.frames import Frame
from edge_sdk.images import read_image
from edge_sdk.measure import interleaved
from edge_sdk.recognizer import Recognizer
from edge_sdk.statistics import median

ROUNDS = 41
CALLS = 20


def measure(models: Path, picture: Path, folder: Path) -> list[dict[str, Any]]:
    """One row for each network: median, lowest and highest extra CPU of a frame, in ms."""
    from edge_converter import convert

    rows = []
    for name in ("tf2_mobilenet_v2_1.0_224_ptq", "vww_96_int8"):
        bundle = folder / f"{name}.edge"
        convert(models / f"{name}.tflite", out=bundle)
        rows.append(_row(name, bundle, read_image(picture)))
    return rows


def _row(name: str, path: Path, frame: Frame) -> dict[str, Any]:
    rgb = Frame(np.ascontiguousarray(frame.pixels[:, :, ::-1]), "rgb")
    with Bundle.open(path) as bundle, Recognizer.open(bundle) as model:
        timings = interleaved(
            {"whole": lambda: model(rgb), "invoke": model.engine.invoke},
            rounds=ROUNDS,
            calls=CALLS,
            warmup=10,
            clock_ns=time.process_time_ns,
        )
        whole, bare = timings["whole"], timings["invoke"]
        extra = [(a - b) / 1e6 for a, b in zip(whole.rounds_ns, bare.rounds_ns, strict=True)]
        return {
            "network": name,
            "frame": f"{rgb.width}x{rgb.height} rgb",
            "tail": model.preprocessor.tail,
            "invoke_cpu_ms": bare.median_ms,
            "beyond_cpu_ms": median(extra),
            "beyond_min": min(extra),
            "beyond_max": max(extra),
            "ratio": whole.median_ms / bare.median_ms,
            "rounds": ROUNDS,
        }
