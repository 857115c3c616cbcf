"""`convert MODEL.keras` and `MODEL.h5`: any Keras model that Keras 3 can load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge_converter.conversion.options import ConvertOptions
from edge_converter.conversion.source_model import (
    SourceModel,
    check_float,
    digest,
    fixed_shape,
    input_tensor,
    scores_of,
)
from edge_converter.models.keras_files import load_keras
from edge_converter.tf.setup import load_tensorflow
from edge_sdk.errors import ModelError
from edge_sdk.events import Listener
from edge_sdk.files import read_file

EXPORT = (
    "in the program that has its code run model.export('FOLDER'), then: edge-sdk convert FOLDER"
)
"""A SavedModel carries operations, where a .keras file names classes."""


def open_keras(path: Path, options: ConvertOptions, working: Path, listen: Listener) -> SourceModel:
    """Look at the model, and write it with any batch and a fixed size into the folder `working`.

    Raises FileError, ModelError, ConfigError.
    """
    model = _load_h5(path) if path.suffix.lower() == ".h5" else _load_keras(path)
    takes, gives = _tensors(path, model)
    check_float(path, takes[0].dtype)
    shape = fixed_shape(path, takes[0].shape, options, listen)
    classes = scores_of(path, [tensor.shape for tensor in gives])
    loadable = working / "given.keras"
    _fixed(path, model, shape).save(loadable)
    kind = path.suffix.lower().lstrip(".")
    return SourceModel(path, kind, digest(path), input_tensor(shape), classes, loadable=loadable)


def _load_keras(path: Path) -> Any:
    try:
        return load_keras(path)
    except ModelError as error:
        if "cannot be rebuilt" not in str(error):
            raise
        raise ModelError(str(error), fix=EXPORT) from error


def _load_h5(path: Path) -> Any:
    read_file(path, what="model")
    load_tensorflow()
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except OSError as error:
        raise ModelError(
            f"{path} is not an HDF5 file", fix='save the model with model.save("NAME.keras")'
        ) from error
    except Exception as error:  # whatever Keras, or a layer's own code, raises
        raise _h5_error(path, error) from error


def _h5_error(path: Path, error: Exception) -> ModelError:
    text = " ".join(str(error).split())
    if "No model config" in text:
        return ModelError(
            f"{path} holds weights without a model",
            fix='build the model, load them with model.load_weights, then model.save("NAME.keras")',
        )
    unknown = re.search(r"(?:Unknown layer:|Could not locate class) '(\w+)'", text)
    if unknown:
        return ModelError(f"{path} has a layer {unknown[1]!r} that cannot be rebuilt", fix=EXPORT)
    return ModelError(f"{path} cannot be rebuilt: {text[:200]}", fix=EXPORT)


def _tensors(path: Path, model: Any) -> tuple[list[Any], list[Any]]:
    """Inputs and outputs. Raises ModelError for a model that is no graph of layers."""
    try:
        takes, gives = list(model.inputs or ()), list(model.outputs or ())
    except (AttributeError, ValueError):  # not built yet
        takes = gives = []
    if not takes or not gives:
        raise ModelError(f"{path} is not a graph of layers with a known input", fix=EXPORT)
    if len(takes) > 1:
        raise ModelError(
            f"{path} takes {len(takes)} inputs, not one image",
            fix="name an image classifier with one input",
        )
    return takes, gives


def _fixed(path: Path, model: Any, shape: tuple[int, int, int]) -> Any:
    """The model for images of `shape`, in any batch."""
    import keras

    given = model.inputs if isinstance(model, keras.Sequential) else model.input
    if tuple(keras.tree.flatten(given)[0].shape) == (None, *shape):
        return model

    def fixed(tensor: Any) -> Any:
        return keras.Input(shape, dtype=tensor.dtype, name=tensor.name)

    try:
        clone = keras.models.clone_model(
            model, input_tensors=keras.tree.map_structure(fixed, given)
        )
        clone.set_weights(model.get_weights())
    except ValueError as error:
        raise ModelError(
            f"{path} cannot be built for images of {shape[1]}x{shape[0]}: "
            f"{' '.join(str(error).split())[:200]}",
            fix="give the --size it was trained on",
        ) from error
    return clone
