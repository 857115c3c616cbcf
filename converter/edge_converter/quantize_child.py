"""The child of quantize: python -m edge_converter.quantize_child FOLDER PARENT_PID.

Reads job.json, calibration.npy and checks.npy in FOLDER; writes model.tflite, a .tflite for each of
the job's `floats`, and the Keras models' answers to checks.npy: converted.npy, NAME.npy. Exit
status EX_IOERR: the disk is full; EX_DATAERR: error.json says what is wrong with the model, and the
fix.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.models.own import load_model
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.processes import die_with_parent

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: list[str]) -> int:
    """Convert what the job names."""
    folder, parent = Path(arguments[0]), int(arguments[1])
    die_with_parent(parent)
    try:
        convert(folder)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(error, file=sys.stderr)
        return os.EX_IOERR
    except (ConfigError, ModelError) as error:
        text = json.dumps({"message": str(error), "fix": error.fix})
        (folder / "error.json").write_text(text)
        print(error, file=sys.stderr)
        return os.EX_DATAERR
    return 0


def convert(folder: Path) -> None:
    """Do the job that lies in `folder`."""
    job = json.loads((folder / "job.json").read_text())
    checks = np.load(folder / "checks.npy")
    models: dict[str, Any] = {}
    for path in (job["model"], *job["floats"].values()):
        if path not in models:
            models[path] = load_model(Path(path), job["name"], Path(job["folder"]))

    def make(name: str, file: str, path: str, mode: str, io: str) -> None:
        model = models[path]
        np.save(folder / f"{name}.npy", np.asarray(model.predict(checks, verbose=0)))
        (folder / file).write_bytes(to_tflite(batch_of_one(model), mode, io, folder))

    for name, path in job["floats"].items():
        make(name, f"{name}.tflite", path, "float32", "float32")
    make("converted", "model.tflite", job["model"], job["mode"], job["io"])


def batch_of_one(model: Any) -> Any:
    """A clone with a fixed batch of 1 and the same input names: with an open batch the converter
    writes SHAPE, STRIDED_SLICE and PACK into the graph.
    """
    import keras

    def single(tensor: Any) -> Any:
        return keras.Input(batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)

    inputs = keras.tree.map_structure(single, _inputs(model))
    clone = keras.models.clone_model(model, input_tensors=inputs)
    clone.set_weights(model.get_weights())
    return clone


def to_tflite(model: Any, mode: str, io: str, folder: Path) -> bytes:
    """The model as .tflite bytes."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(model)])
    if mode != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode == "int8":
        samples = np.load(folder / "calibration.npy", mmap_mode="r")

        def representative() -> Iterator[list[Any]]:
            for index in range(len(samples)):
                yield [np.asarray(samples[index : index + 1])]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        kinds = {"int8": tf.int8, "uint8": tf.uint8, "float32": tf.float32}
        converter.inference_input_type = converter.inference_output_type = kinds[io]
    result: bytes = converter.convert()
    return result


def _frozen(model: Any) -> Any:
    """The model as a TensorFlow function with its weights for constants.

    from_keras_model goes through a SavedModel, which took 12 of 14 s for EfficientNet-B0 and gives
    the same operators and outputs. Without the freezing a Keras 3 model's variables stay behind,
    and what is converted answers NaN.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    given = _inputs(model)
    tensors = keras.tree.flatten(given)
    specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in tensors]

    def answer(*values: Any) -> Any:
        return model(keras.tree.pack_sequence_as(given, values), training=False)

    function = tf.function(answer, input_signature=specs).get_concrete_function()
    return convert_variables_to_constants_v2(function, lower_control_flow=False)


def _inputs(model: Any) -> Any:
    """A model's input tensors. A Sequential model has no `input` before it was called; others may
    have a structure of them.
    """
    import keras

    return model.inputs if isinstance(model, keras.Sequential) else model.input


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
