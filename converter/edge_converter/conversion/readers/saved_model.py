"""`convert FOLDER`: a TensorFlow SavedModel, one signature of it."""

from __future__ import annotations

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
from edge_converter.models.saved_model_layer import Pointer
from edge_converter.tf.setup import load_tensorflow
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.events import Listener

SERVING = "serving_default"
_KERAS = {"serve", SERVING}
"""The names that Keras 3's model.export gives to one and the same function."""


def open_saved_model(
    path: Path, options: ConvertOptions, working: Path, listen: Listener
) -> SourceModel:
    """Look at the signature, and write a pointer to it into the folder `working`.

    Raises ModelError, ConfigError.
    """
    signatures = _load(path)
    name = _chosen(path, signatures, options.signature)
    function = signatures[name]
    takes = function.structured_input_signature[1]
    gives = function.structured_outputs
    if len(takes) != 1:
        raise ModelError(
            f"signature {name!r} of {path} takes {len(takes)} tensors, not one image",
            fix="export an image classifier with one input",
        )
    (image,) = takes.values()
    check_float(path, image.dtype.name)
    batch, *_ = _sizes(image.shape) or [None]
    if batch not in (None, 1):
        raise ModelError(f"{path} takes {batch} images at once", fix="export it with a batch of 1")
    shape = fixed_shape(path, _sizes(image.shape), options, listen)
    classes = scores_of(path, [_sizes(tensor.shape) for tensor in gives.values()])
    loadable = Pointer(str(path.resolve()), name, shape).write(working)
    tensor = input_tensor(shape)
    return SourceModel(path, "SavedModel", digest(path), tensor, classes, loadable=loadable)


def _load(path: Path) -> dict[str, Any]:
    load_tensorflow()
    import tensorflow as tf

    try:
        found = dict(tf.saved_model.load(str(path)).signatures)
    except Exception as error:  # whatever a damaged file or an unknown operation raises
        raise ModelError(
            f"{path} cannot be loaded: {' '.join(str(error).split())[:200]}",
            fix="export it again: model.export('FOLDER'), or tf.saved_model.save",
        ) from error
    if not found:
        raise ModelError(
            f"{path} has no signature",
            fix="export it with one: model.export('FOLDER'), or tf.saved_model.save(model, "
            "'FOLDER', signatures=...)",
        )
    return found


def _chosen(path: Path, signatures: dict[str, Any], wanted: str) -> str:
    listed = ", ".join(f"{name} {_shown(found)}" for name, found in sorted(signatures.items()))
    if wanted and wanted not in signatures:
        raise ConfigError(
            f"{path} has no signature {wanted!r}", fix=f"name one with --signature: {listed}"
        )
    if wanted or len(signatures) == 1:
        return wanted or next(iter(signatures))
    if set(signatures) == _KERAS and len({_shown(found) for found in signatures.values()}) == 1:
        return SERVING
    raise ConfigError(
        f"{path} has {len(signatures)} signatures: {listed}",
        fix=f"choose one: --signature {sorted(signatures)[0]}",
    )


def _shown(function: Any) -> str:
    """ "[None, 96, 96, 3] -> [None, 10]"."""
    takes = function.structured_input_signature[1].values()
    gives = function.structured_outputs.values()
    sides = (", ".join(str(_sizes(tensor.shape)) for tensor in side) for side in (takes, gives))
    return " -> ".join(sides)


def _sizes(shape: Any) -> list[int | None]:
    """[] for a shape of which nothing is known."""
    return [] if shape.rank is None else shape.as_list()
