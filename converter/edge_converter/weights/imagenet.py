"""ImageNet's weights, as keras.applications downloads and keeps them."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_converter.recipe.loading import Recipe
from edge_converter.weights.layer_weights import match_layers, set_layers
from edge_converter.weights.pretrained_input import check_input
from edge_sdk.errors import ConfigError, DataError


@dataclass(frozen=True)
class Net:
    """A function of keras.applications and what its ImageNet weights exist for.

    widths: of `model.options.width`, () where the network has no such option; sizes: of square
    images, the last for all others.
    """

    function: str
    widths: tuple[float, ...] = ()
    sizes: tuple[int, ...] = (224,)
    minimalistic: bool = False


NETS = {
    "mobilenet_v1": Net("MobileNet", (0.25, 0.5, 0.75, 1.0), (128, 160, 192, 224)),
    "mobilenet_v2": Net("MobileNetV2", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4), (96, 128, 160, 192, 224)),
    "mobilenet_v3_small": Net("MobileNetV3Small"),
    "mobilenet_v3_small_minimalistic": Net("MobileNetV3Small", minimalistic=True),
    "mobilenet_v3_large": Net("MobileNetV3Large"),
    "mobilenet_v3_large_minimalistic": Net("MobileNetV3Large", minimalistic=True),
    "efficientnet_b0": Net("EfficientNetB0"),
}
"""By the architecture's name. Source: the checks in keras.applications 3.15."""


def check_imagenet(recipe: Recipe) -> None:
    """Raises ConfigError where there are no ImageNet weights for the recipe's architecture and
    options, or its [input] is not what they were trained on.
    """
    name, width = recipe.model.name, recipe.model.options.width
    if name not in NETS:
        raise ConfigError(
            f"there are no ImageNet weights for model.name {name!r}",
            fix=f'set model.weights = "none", or use one of {", ".join(NETS)}',
        )
    widths = NETS[name].widths
    if widths and width not in widths:
        raise ConfigError(
            f"there are no ImageNet weights for {name} with width {width:g}",
            fix=f"set model.options.width to one of {', '.join(f'{w:g}' for w in widths)}",
        )
    check_input(recipe, "ImageNet")


def load_imagenet(model: Any, recipe: Recipe) -> tuple[str, ...]:
    """Set all but the head of `model` and return the names of the layers set.

    The weights are those for images of the recipe's size where there are such, else for the
    largest, as keras.applications itself chooses. Raises DataError when they cannot be had.
    """
    net = NETS[recipe.model.name]
    source = _download(net, _arguments(net, recipe))
    layers = match_layers(source, model, origin="ImageNet", architecture=recipe.model.name)
    return set_layers(layers, "ImageNet")


def _arguments(net: Net, recipe: Recipe) -> dict[str, Any]:
    height, width = recipe.input.height, recipe.input.width
    size = height if height == width and height in net.sizes else net.sizes[-1]
    arguments: dict[str, Any] = {"input_shape": (size, size, 3)}
    if net.widths:
        arguments["alpha"] = recipe.model.options.width
    if net.minimalistic:
        arguments["minimalistic"] = True
    return arguments


def _download(net: Net, arguments: dict[str, Any]) -> Any:
    import keras

    make = getattr(keras.applications, net.function)
    # Keras prints its progress; standard output is for answers.
    terminal = sys.stderr.isatty()
    with (
        contextlib.nullcontext(sys.stderr) if terminal else Path(os.devnull).open("w") as out,
        contextlib.redirect_stdout(out),
    ):
        try:
            return make(include_top=False, weights="imagenet", **arguments)
        except Exception as error:  # Keras raises Exception itself, h5py its own
            raise _cannot_be_had(error) from error


def _cannot_be_had(error: Exception) -> DataError:
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    what = " ".join(str(error).split()) or type(error).__name__
    if "URL fetch failure" in what:
        return DataError(
            f"the ImageNet weights cannot be downloaded: {what}",
            fix=f"build once with a network connection, or fetch that file elsewhere and put it "
            f'into {folder}, or set model.weights = "file:PATH.keras"',
        )
    return DataError(
        f"the ImageNet weights in {folder} cannot be loaded: {what}",
        fix=f"delete the network's file in {folder} and build again with a network connection",
    )
