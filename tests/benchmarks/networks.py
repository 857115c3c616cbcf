"""Bundles of known models for the benchmarks, and the image that they are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from builds import SHARED

from edge_sdk import Frame, read_image
from edge_sdk.statistics import median, median_interval
from edge_sdk.tflite.tiny import tiny_classifier

MOBILENET = "tf2_mobilenet_v2_1.0_224_ptq"
SSD = "coco_ssd_mobilenet_v1_1.0_quant"
IMAGE = SHARED / "images" / "cat_720p.jpg"
NOT_HERE = "Not measured: the models and images are not on this machine."


def bundle(name: str, folder: Path, variant: str = "plain", **options: Any) -> Path:
    """The bundle of a .tflite that is not the project's own, written into `folder` once.

    variant: tells bundles of one model apart. options: of edge_converter.ConvertOptions.
    """
    out = folder / f"{name}-{variant}.edge"
    return _converted(SHARED / "models" / f"{name}.tflite", out, options)


def detector(folder: Path) -> Path:
    """The SSD detector's bundle."""
    return bundle(SSD, folder, task="detect", labels=SHARED / "labels" / "coco_labels.txt")


def tiny(folder: Path, shape: tuple[int, int, int] = (28, 28, 1)) -> Path:
    """The bundle of a model of one layer and ten classes, made here. shape: of an image."""
    model = folder / f"tiny_{shape[0]}.tflite"
    model.write_bytes(tiny_classifier(shape, 10))
    return _converted(model, folder / f"{model.stem}.edge", {})


def image() -> Frame:
    """1280 x 720 pixels, RGB, as a camera has them in memory."""
    frame = read_image(IMAGE)
    return Frame(np.ascontiguousarray(frame.pixels[:, :, ::-1]), "rgb")


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median [min - max]."""
    shown = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return "{} [{} - {}]".format(*shown)


def interval(values: Sequence[float], digits: int = 3) -> str:
    """Median [95 % interval of the median]; of few values [-]."""
    found = median_interval(values)
    ends = "-" if found is None else f"{found.low:.{digits}f} - {found.high:.{digits}f}"
    return f"{median(values):.{digits}f} [{ends}]"


def _converted(model: Path, out: Path, options: dict[str, Any]) -> Path:
    from edge_converter import ConvertOptions, convert

    if not out.exists():
        convert(model, ConvertOptions(**options), out=out)
    return out
