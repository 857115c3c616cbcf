"""Keras models from files, with errors that name what cannot be rebuilt."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_converter.tf.setup import load_tensorflow
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.files import read_file

REGISTER = (
    "put @keras.saving.register_keras_serializable() before the class, and let the recipe name the "
    'module that defines it: model.name = "python:MODULE:FUNCTION"'
)


def load_keras(path: Path) -> Any:
    """The Keras model in a .keras file, not compiled.

    Raises FileError; ModelError where it is no .keras file, and for a class of somebody's own that
    is not known in this process, by its name.
    """
    load_tensorflow()
    import keras

    import edge_converter.compression.fake_quant.layers  # noqa: F401 - registers the layers of the qat step

    config = _config(path)
    for name in unknown_classes(config):
        raise ModelError(f"{path} has a layer {name!r} that cannot be rebuilt here", fix=REGISTER)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a layer's own code raises
        raise ModelError(
            f"{path} cannot be rebuilt: {_first_sentence(error)}",
            fix="build it from layers that Keras has, with arguments of plain values, and save it "
            "again",
        ) from error


def unknown_classes(config: Any) -> Iterator[str]:
    """Names of the classes in a model's configuration that are neither Keras' nor registered."""
    import keras

    if isinstance(config, list):
        for item in config:
            yield from unknown_classes(item)
    if not isinstance(config, dict):
        return
    module, name = config.get("module"), config.get("class_name")
    registered = config.get("registered_name")
    if isinstance(name, str) and registered and name != "function":
        ours = str(module).partition(".")[0] == "keras"
        if not ours and keras.saving.get_registered_object(registered) is None:
            yield name
    for item in config.values():
        yield from unknown_classes(item)


def check_rebuilds(model: Any, name: str) -> None:
    """Check that `model` can be saved, loaded and cloned, as training and conversion do.

    name: what the recipe calls it. Raises ConfigError that names the layer that cannot.
    """
    import keras

    for layer in model.layers:
        config = keras.saving.serialize_keras_object(layer)
        for kind in unknown_classes(config):
            raise ConfigError(f"{name} has a layer {kind!r} that cannot be rebuilt", fix=REGISTER)
        try:
            keras.saving.deserialize_keras_object(config)
        except Exception as error:  # whatever the layer's own code raises
            raise ConfigError(
                f"{name} has a layer {type(layer).__name__!r} that cannot be rebuilt: "
                f"{_first_sentence(error)}",
                fix="let its get_config return every argument of its __init__",
            ) from error
    try:
        keras.models.clone_model(model)
    except ValueError as error:
        raise ConfigError(
            f"{name} is not a graph of layers: {_first_sentence(error)}",
            fix="build it as keras.Model(inputs, outputs) or keras.Sequential([...])",
        ) from error


def _config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(read_file(path, what="model"))) as file:
            return json.loads(file.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} is not a .keras file", fix='save the model with model.save("NAME.keras")'
        ) from error


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0][:200]
