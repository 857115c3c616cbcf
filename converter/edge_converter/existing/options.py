"""The options of `convert`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_converter.tables import Io, Mode
from edge_sdk.errors import ConfigError, NotAvailableYet
from edge_sdk.frames import Color


@dataclass(frozen=True)
class ConvertOptions:
    """What the user says about the model; None or empty: take it from the file.

    quantize: None leaves a .tflite as it is and makes int8 of everything else. io: None is int8
    where quantize is, else float32. size: width and height, for a model that takes any. signature:
    of a SavedModel that has several.
    """

    task: Literal["classify", "sequence", "detect"] = "classify"
    labels: Path | None = None
    color: Color | None = None
    fit: Literal["stretch", "crop", "letterbox"] = "crop"
    resize: Literal["linear", "area"] = "linear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    quantize: Mode | None = None
    io: Io | None = None
    size: tuple[int, int] | None = None
    signature: str = ""
    name: str = ""
    version: str = "1.0.0"


def parse_options(
    *,
    mean: str | None = None,
    std: str | None = None,
    size: str | None = None,
    preset: str | None = None,
    **plain: Any,
) -> ConvertOptions:
    """The command line's options. Raises ConfigError, NotAvailableYet."""
    if preset is not None:
        raise NotAvailableYet(f"--preset {preset} is not available yet", fix="leave --preset out")
    return ConvertOptions(
        mean=_numbers("--mean", mean), std=_numbers("--std", std), size=_size(size), **plain
    )


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise ConfigError(
            f"{option} is {text!r}", fix=f"write {option} 127.5, or one number a channel: 1,2,3"
        ) from error


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise ConfigError(f"--size is {text!r}", fix="write --size WIDTHxHEIGHT, e.g. 224x224")
    return int(found[1]), int(found[2])
