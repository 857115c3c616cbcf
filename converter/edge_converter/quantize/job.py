"""A conversion to .tflite, described apart from the model and the samples that it works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_converter.datasets.model_input import ModelInput
from edge_converter.recipe.schema import Calibration, Io, Mode


@dataclass(frozen=True)
class ConversionJob:
    """The settings of one conversion.

    input: what the model is fed. mode, io, calibration, float_layers: as in [quantize].
    model_name: the recipe's `model.name`, whose module is imported before the model is loaded, and
    folder: where that module is looked for first; neither matters for any other model.
    """

    input: ModelInput
    mode: Mode = "int8"
    io: Io = "int8"
    calibration: Calibration = "minmax"
    float_layers: tuple[str, ...] = ()
    model_name: str = ""
    folder: Path = Path()
