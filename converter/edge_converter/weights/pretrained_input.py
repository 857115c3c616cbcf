"""The input that pretrained weights were trained on, compared with the recipe's [input]."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.models.architectures import ARCHITECTURES, find_architecture
from edge_converter.recipe.loading import Recipe
from edge_converter.recipe.schema import Input
from edge_converter.weights.rescaling import folded
from edge_sdk.configuration import parse
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.files import read_file
from edge_sdk.preprocess import PreprocessSpec, fed_values
from edge_sdk.tensors import QuantParams, TensorSpec

_EXACT = 1e-5
"""Of the range of fed values: what another spelling of mean and std may differ by."""
_ONE_STEP = 1.001
"""One quantization step, and what float32 scales add to it."""


def check_input(recipe: Recipe, origin: str, spec: TensorSpec | None = None) -> None:
    """Check that the recipe feeds the network what its weights have learned from.

    spec: the input of the file that the weights come from, where there is one. When it is
    quantized, its integers stand for pixels 0..255, and it says itself what it wants, to one step;
    else the architecture does.
    Raises ConfigError with the values to write.
    """
    wanted = _stated_input(recipe.model.name)
    slack, says = _EXACT * float(np.ptp(fed_values(wanted))), _say(wanted)
    written = wanted
    if spec and spec.quant and spec.quant.scale > 0 and spec.dtype in ("int8", "uint8"):
        own = _quantized_input(spec.quant, spec.dtype)
        slack = _ONE_STEP * spec.quant.scale
        says = f"{_say(own)} (scale {spec.quant.scale:g}, zero point {spec.quant.zero_point})"
        # Rounder numbers for the same, where the architecture has them.
        written = wanted if _distance(wanted, own) <= slack else own
        wanted = own
    _require(recipe, origin, wanted, slack, says, written)


def check_keras_input(recipe: Recipe, path: Path, source: Any, steps: Sequence[Any]) -> None:
    """Check that the recipe feeds the network what the weights in a .keras file have learned from.

    source: the model in the file; steps: what rescales pixels in it and not in ours. What counts
    is, in this order: the `steps`, behind the [input] of the build that wrote the file, if one did
    (`model.keras` with its `build.json` beside it); that [input] alone; for an architecture that
    Keras has weights for, what those are fed. Of other files nobody knows.
    Raises ConfigError with the values to write, ModelError for steps that no mean and std stand
    for and for a damaged build.json.
    """
    if len(source.inputs[0].shape) < 4:  # rows of features: [input] says nothing
        return
    origin, fed = str(path), _built_with(path)
    hint = ""
    if steps:
        channels = source.inputs[0].shape[-1]
        raw = PreprocessSpec("gray" if channels == 1 else "rgb", mean=(0.0,), std=(1.0,))
        fed = folded(steps, fed or raw, origin)
    elif fed is None:
        architecture = ARCHITECTURES.get(recipe.model.name)
        if architecture is None or architecture.pretrained is None:
            return
        fed = _stated_input(architecture.name)
        origin += " does not say what it was fed, so that it counts as weights of Keras"
        hint = (
            "; or, for a network trained otherwise, save it behind the keras.layers.Rescaling that "
            "says so, or name a build's model.keras with its build.json beside it"
        )
    _require(recipe, origin, fed, _EXACT * float(np.ptp(fed_values(fed))), _say(fed), fed, hint)


def _built_with(path: Path) -> PreprocessSpec | None:
    """The [input] of the build that wrote `path`; None for other files, and where the build fed no
    images.
    """
    record = path.with_name("build.json")
    if path.name != "model.keras" or not record.is_file():
        return None
    try:
        recipe = json.loads(read_file(record, what="build record"))["recipe"]
        table = recipe.get("input")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{record} is damaged: it does not say what {path.name} was fed", fix="build it again"
        ) from error
    return parse(Input, table, where=str(record)).preprocess if table else None


def _require(
    recipe: Recipe,
    origin: str,
    wanted: PreprocessSpec,
    slack: float,
    says: str,
    written: PreprocessSpec,
    hint: str = "",
) -> None:
    """Check that [input] is `wanted`, but for `slack` in what is fed. says, written: `wanted` in
    words, and as it is to be written; hint: what else can be done.
    """
    used = recipe.input
    if used.color != wanted.color or _distance(used.preprocess, wanted) > slack:
        raise ConfigError(
            f"{origin}: these weights were trained on {wanted.color} images fed with {says}; "
            f"[input] has {used.color} with {_say(used.preprocess)}",
            fix=f'write color = "{wanted.color}", mean = {list(written.mean)}, '
            f"std = {list(written.std)} in [input]{hint}",
        )


def _stated_input(name: str) -> PreprocessSpec:
    """The input of the architecture's pretrained weights."""
    pretrained = find_architecture(name).pretrained
    assert pretrained is not None  # imagenet.py and tflite.py name no others
    return PreprocessSpec(mean=pretrained.mean, std=pretrained.std)


def _quantized_input(quant: QuantParams, dtype: str) -> PreprocessSpec:
    """The values of pixels 0..255 in a quantized input: uint8 as they are, int8 less 128."""
    mean = quant.zero_point + (128 if dtype == "int8" else 0)
    # Six digits, as people write them: far below one step.
    return PreprocessSpec(mean=(float(mean),), std=(float(f"{1 / quant.scale:.6g}"),))


def _distance(one: PreprocessSpec, other: PreprocessSpec) -> float:
    """The largest difference of fed values."""
    return float(np.abs(fed_values(one) - fed_values(other)).max())


def _say(spec: PreprocessSpec) -> str:
    return f"mean {_numbers(spec.mean)}, std {_numbers(spec.std)}"


def _numbers(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"
