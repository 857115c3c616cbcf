"""What pretrained weights want to be fed, held against the recipe's [input]."""

from __future__ import annotations

import numpy as np

from edge_converter.models.architectures import find_architecture
from edge_converter.recipe import Recipe
from edge_sdk.errors import ConfigError
from edge_sdk.preprocess import PreprocessSpec, fed_values
from edge_sdk.tensors import QuantParams, TensorSpec

_EXACT = 1e-5
"""Of the range of fed values: what another spelling of mean and std may differ by."""
_ONE_STEP = 1.001
"""One quantization step, and what float32 scales add to it."""


def check_input(recipe: Recipe, origin: str, spec: TensorSpec | None = None) -> None:
    """Whether the recipe feeds the network what its weights have learned from.

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
    used = recipe.input
    if used.color != "rgb" or _distance(used.preprocess, wanted) > slack:
        raise ConfigError(
            f"{origin}: these weights were trained on rgb pictures fed with {says}; [input] has "
            f"{used.color} with {_say(used.preprocess)}",
            fix=f'write color = "rgb", mean = {list(written.mean)}, std = {list(written.std)} in '
            "[input]",
        )


def _stated_input(name: str) -> PreprocessSpec:
    """What the architecture's pretrained weights are fed."""
    pretrained = find_architecture(name).pretrained
    assert pretrained is not None  # imagenet.py and tflite.py name no others
    return PreprocessSpec(mean=pretrained.mean, std=pretrained.std)


def _quantized_input(quant: QuantParams, dtype: str) -> PreprocessSpec:
    """What a quantized input makes of pixels 0..255: uint8 as they are, int8 less 128."""
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
