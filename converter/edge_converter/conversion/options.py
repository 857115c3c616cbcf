"""The options of `convert`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_converter.recipe.schema import Io, Mode
from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Color
from edge_sdk.model.interface import TaskName

BACKGROUND = ("???", "background", "__background__")
"""First lines of label files of detectors whose class 0 is the background."""

Fit = Literal["stretch", "crop", "letterbox"]
Preset = Literal["blazeface"]


@dataclass(frozen=True)
class ConvertOptions:
    """The user's description of the model; None or empty: take it from the file.

    fit: None is crop, for a detector what it was trained with: stretch, of BlazeFace letterbox.
    min_score, min_scores: below it an answer is left out, and {label: score} for labels of a
    detector that it does not hold for; None is 0, for a detector 0.5. preset: "blazeface", all that
    MediaPipe says about its short-range face detector.
    quantize: None leaves a .tflite as it is and makes int8 of everything else. io: None is int8
    where quantize is, else float32. size: width and height, for a model that takes any. signature:
    of a SavedModel that has several.
    """

    task: TaskName = "classify"
    labels: Path | None = None
    color: Color | None = None
    fit: Fit | None = None
    resize: Literal["linear", "area"] = "linear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    quantize: Mode | None = None
    io: Io | None = None
    size: tuple[int, int] | None = None
    signature: str = ""
    name: str = ""
    version: str = "1.0.0"
    preset: Preset | None = None
    min_score: float | None = None
    min_scores: dict[str, float] = field(default_factory=dict, hash=False)


def parse_options(
    *,
    mean: str | None = None,
    std: str | None = None,
    size: str | None = None,
    preset: str | None = None,
    min_score: Sequence[str] = (),
    **plain: Any,
) -> ConvertOptions:
    """The command line's options. min_score: "0.5", or "LABEL=0.7". Raises ConfigError."""
    if preset is not None:
        plain |= {"preset": _preset(preset), "task": "detect"}
    scores = dict(map(_min_score, min_score))
    return ConvertOptions(
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        size=_size(size),
        min_score=scores.pop("", None),
        min_scores=scores,
        **plain,
    )


def _preset(text: str) -> Preset:
    if text != "blazeface":
        raise ConfigError(f"unknown preset {text!r}", fix=nearest(text, ["blazeface"]))
    return "blazeface"


def _min_score(text: str) -> tuple[str, float]:
    """The label, "" for all, and its least score."""
    label, _, number = text.rpartition("=")
    try:
        score = float(number)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise ConfigError(
            f"--min-score is {text!r}", fix="write --min-score 0.5, or --min-score person=0.7"
        )
    return label, score


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise ConfigError(
            f"{option} is {text!r}", fix=f"write {option} 127.5, or one number per channel: 1,2,3"
        ) from error


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise ConfigError(f"--size is {text!r}", fix="write --size WIDTHxHEIGHT, e.g. 224x224")
    return int(found[1]), int(found[2])
