"""The child of quantize: python -m edge_converter.quantize.worker PARENT_PID REPLIES_FD.

Each request is a job, [folder, log], answered by a status when it is done. A job reads
job.json, calibration.npy and checks.npy in its folder; it writes model.tflite, a .tflite for each
of the job's `floats`, the Keras models' answers to checks.npy (converted.npy, NAME.npy), and
worst_layers.json. Answer EX_IOERR: the disk is full; EX_DATAERR: error.json says what is wrong with
the model, and the fix; so it does after a crash that was to be expected.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.compression.fake_quant import is_fake_quantized, to_int8
from edge_converter.models.own import load_model
from edge_converter.quantize.calibration import CalibratedModel, calibrate, representative
from edge_converter.quantize.layer_error import layer_errors
from edge_converter.quantize.to_tflite import CALIBRATED
from edge_converter.quantize.unconvertible import no_int16_named, operators_named
from edge_converter.quantize.worker_loop import main, tell
from edge_converter.tf.concrete_function import batch_of_one, frozen
from edge_sdk.errors import ModelError
from edge_sdk.tflite.graph import read_graph

MAX_LAYERS = 10
"""Layers that worst_layers.json names."""


def convert(folder: Path) -> None:
    """Do the job that lies in `folder`; nothing of an earlier one is left."""
    import keras

    keras.backend.clear_session()
    job = json.loads((folder / "job.json").read_text())
    checks = np.load(folder / "checks.npy")
    models: dict[str, Any] = {}
    for path in (job["model"], *job["floats"].values()):
        if path not in models:
            models[path] = load_model(Path(path), job["name"], Path(job["folder"]))

    for name, path in {**job["floats"], "converted": job["model"]}.items():
        np.save(folder / f"{name}.npy", np.asarray(models[path].predict(checks, verbose=0)))
    with operators_named():
        for name, path in job["floats"].items():
            made = to_tflite(batch_of_one(models[path]), "float32", "float32", folder)
            (folder / f"{name}.tflite").write_bytes(made)
        with _crash_foretold(models[job["model"]], job["mode"], folder):
            made, worst = _quantized(models[job["model"]], job, folder)
    (folder / "model.tflite").write_bytes(made)
    (folder / "worst_layers.json").write_text(json.dumps(worst))


@contextmanager
def _crash_foretold(model: Any, mode: str, folder: Path) -> Iterator[None]:
    """Inside, error.json names the recurrent layers that calibrating may crash this process on."""
    rolled = [
        layer.name for layer in model._flatten_layers() if getattr(layer, "unroll", None) is False
    ]
    if not rolled or mode not in CALIBRATED:
        yield
        return
    names = ", ".join(map(repr, rolled))
    error = ModelError(
        f"TensorFlow's converter crashes on recurrent layers that are not unrolled: {names}",
        fix="build the model with unroll=True in each of them; the weights fit as they are: "
        "new.set_weights(old.get_weights()). Or use quantize.mode dynamic (convert: --quantize "
        "dynamic)",
    )
    tell(folder, error)
    yield
    (folder / "error.json").unlink()


def _quantized(model: Any, job: dict[str, Any], folder: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """The model in the job's mode, and the layers that lose most where that is int8."""
    if job["mode"] != "int8":
        return to_tflite(batch_of_one(model), job["mode"], job["io"], folder), []
    if is_fake_quantized(model):
        return to_int8(model, job["io"]), []
    ranges = _calibrated(batch_of_one(model), folder, job["calibration"])
    made = ranges.quantized(job["io"], job["float_layers"])
    worst = layer_errors(ranges, np.load(folder / "checks.npy"), job["float_layers"])
    return made, worst[:MAX_LAYERS]


def to_tflite(model: Any, mode: str, io: str, folder: Path) -> bytes:
    """The model, a `batch_of_one`, as .tflite bytes; int8 and int16x8 calibrate on what lies in
    `folder`. int4: weights of convolutions and dense layers in 4 bits a channel, others and all
    activations in float32, which the engine rounds to 8 bits as it goes.
    """
    if mode == "int8":
        return _calibrated(model, folder, "minmax").quantized(io)
    with no_int16_named(model, lambda: read_graph(_converted(model, "float32", folder))):
        made = _converted(model, mode, folder)
    return _in_4_bits(made) if mode == "int4" else made


def _calibrated(model: Any, folder: Path, calibration: str) -> CalibratedModel:
    return calibrate(_converter(model), model, _samples(folder), calibration)


def _converted(model: Any, mode: str, folder: Path) -> bytes:
    import tensorflow as tf

    converter = _converter(model)
    if mode in ("float16", "dynamic", "int16x8"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode == "int16x8":
        converter.representative_dataset = representative(_samples(folder))
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    result: bytes = converter.convert()
    return result


def _converter(model: Any) -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_concrete_functions([frozen(model)])


def _samples(folder: Path) -> Any:
    return np.load(folder / "calibration.npy", mmap_mode="r")


def _in_4_bits(model: bytes) -> bytes:
    """litert-quantizer's dynamic recipe: TensorFlow's own converter stops at 8 bits."""
    from litert_quantizer import quantizer, recipe

    made = quantizer.Quantizer(bytearray(model), recipe.dynamic_wi4_afp32()).quantize()
    return bytes(made.quantized_model)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], convert))
