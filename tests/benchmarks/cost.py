"""CPU of a whole answer beyond its invoke: 720p pictures through two int8 networks.

Each round answers one frame, then runs the bare invoke once more. What an answer costs beyond its
invoke is taken within the answer: the difference of two whole invokes would drown it, their CPU
time swings by more than that from one call to the next.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.bundle import Bundle
from edge_sdk.frames import Frame
from edge_sdk.images import read_image
from edge_sdk.recognizer import Recognizer

ROUNDS = 1000
WARM_UP = 50


def measure(models: Path, picture: Path, folder: Path) -> list[dict[str, Any]]:
    """One row for each network: quartiles over the rounds, in ms of CPU."""
    from edge_converter import convert

    rows = []
    for name in ("tf2_mobilenet_v2_1.0_224_ptq", "vww_96_int8"):
        bundle = folder / f"{name}.edge"
        convert(models / f"{name}.tflite", out=bundle)
        rows.append(_row(name, bundle, read_image(picture)))
    return rows


def _row(name: str, path: Path, frame: Frame) -> dict[str, Any]:
    rgb = Frame(np.ascontiguousarray(frame.pixels[:, :, ::-1]), "rgb")
    clock = time.process_time_ns
    beyond, invoke, bare, whole = [], [], [], []
    with Bundle.open(path) as bundle, Recognizer.open(bundle, now_ns=clock) as model:
        for _ in range(WARM_UP + ROUNDS):
            started = clock()
            stages = model(rgb).stages
            answered = clock()
            model.engine.invoke()
            bare.append(clock() - answered)
            whole.append(answered - started)
            invoke.append(stages.invoke)
            beyond.append(answered - started - stages.invoke)
        return {
            "network": name,
            "frame": f"{rgb.width}x{rgb.height} rgb",
            "tail": model.preprocessor.tail,
            "bare": _quartiles(bare),
            "invoke": _quartiles(invoke),
            "beyond": _quartiles(beyond),
            "ratio": _quartiles([a / b * 1e6 for a, b in zip(whole, bare, strict=True)]),
            "rounds": ROUNDS,
        }


def _quartiles(values_ns: list[Any]) -> list[float]:
    """The 25th, 50th and 75th percentile after the warm-up, in ms."""
    found: list[float] = np.percentile(values_ns[WARM_UP:], [25, 50, 75]).tolist()
    return [value / 1e6 for value in found]
