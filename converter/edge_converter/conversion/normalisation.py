"""Normalisation of a source model's input: from the options, else from the model's metadata, else
from what its tensors allow.
"""

from __future__ import annotations

import math
from pathlib import Path

from edge_converter.conversion.options import ConvertOptions, Fit
from edge_sdk.errors import ConfigError
from edge_sdk.events import Event, Listener
from edge_sdk.frames import Color
from edge_sdk.preprocess import PreprocessSpec, fed_values
from edge_sdk.tasks import task_of
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.metadata import ModelMetadata


def preprocessing(
    spec: TensorSpec, metadata: ModelMetadata, options: ConvertOptions, path: Path, listen: Listener
) -> PreprocessSpec:
    """The preprocessing that the model was trained with. spec: its input. Raises ConfigError."""
    color: Color = options.color or ("gray" if spec.shape[3] == 1 else "rgb")
    if bool(options.mean) != bool(options.std):
        raise ConfigError("only one of --mean and --std was given", fix="give both")
    if options.mean:
        mean, std, whence = options.mean, options.std, "options"
        if metadata.mean and (mean, std) != (metadata.mean, metadata.std):
            listen(
                Event(
                    "warning",
                    message=(
                        f"the model's metadata says mean {list(metadata.mean)}, "
                        f"std {list(metadata.std)}"
                    ),
                )
            )
    elif options.preset == "blazeface":
        mean, std, whence = (127.5,), (127.5,), "the preset"
    elif metadata.mean and metadata.std:
        mean, std, whence = metadata.mean, metadata.std, "the model's metadata"
    elif spec.quant is not None and spec.quant.scale > 0:
        # stored = pixel + low, so fed = scale * (pixel + low - zero_point)
        low = -128 if spec.dtype == "int8" else 0
        mean, std = (float(spec.quant.zero_point - low),), (1 / spec.quant.scale,)
        whence = f"pixels 0..255 onto {spec.dtype}"
    elif spec.dtype == "uint8":
        mean, std, whence = (0.0,), (1.0,), "pixels 0..255 as they are"
    else:
        raise ConfigError(
            f"{path} is a float model and does not say how pixels are normalised",
            fix="add --mean and --std, e.g. --mean 127.5 --std 127.5 for -1..1, "
            "--mean 0 --std 255 for 0..1, --mean 0 --std 1 where the model does it itself",
        )
    listen(Event("note", "normalisation", f"mean {list(mean)}, std {list(std)} (from {whence})"))
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ConfigError(
            f"mean is {list(mean)}, std {list(std)}: both must be finite, std above 0",
            fix="give --mean, and --std above 0",
        )
    found = PreprocessSpec(color, _fit(options), options.resize, tuple(mean), tuple(std))
    fed_values(found)
    return found


def _fit(options: ConvertOptions) -> Fit:
    """As the model was trained: an SSD on squeezed images, BlazeFace on letterboxed ones."""
    if options.fit is not None:
        return options.fit
    if options.preset == "blazeface":
        return "letterbox"
    return task_of(options).fit
