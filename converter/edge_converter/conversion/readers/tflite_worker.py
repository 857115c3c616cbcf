"""The worker that quantizes a .tflite.

python -m edge_converter.conversion.readers.tflite_worker PARENT_PID REPLIES_FD

A job reads job.json, float.tflite and calibration.npy in its folder and writes model.tflite. How it
is given and answered, and the exit status: as that of quantize.worker.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edge_converter.quantize.worker_loop import main


def quantize(folder: Path) -> None:
    """Do the job that lies in `folder`."""
    from litert_quantizer import quantizer

    job = json.loads((folder / "job.json").read_text())
    content, key, name = signed((folder / "float.tflite").read_bytes())
    manager = recipes(job["mode"], job["io"])
    model = quantizer.Quantizer(content, manager.get_quantization_recipe())
    ranges = {}
    if model.need_calibration:
        samples = np.load(folder / "calibration.npy")
        ranges = calibrated(content, manager, {key: [{name: one[None]} for one in samples]})
    (folder / "model.tflite").write_bytes(model.quantize(ranges).quantized_model)


def calibrated(content: bytes, manager: Any, feed: dict[str, Any]) -> Any:
    """The range of each tensor: its smallest and its largest value, as TensorFlow's converter takes
    them. litert-quantizer by itself takes moving averages, which cut off what is rare.
    """
    from litert_quantizer import calibrator
    from litert_quantizer.utils import qsv_utils

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that keeping all tensors takes memory
        runner = calibrator.Calibrator(content, qsv_update_func=qsv_utils.min_max_update)
    runner.calibrate(feed, manager)
    return runner.get_model_qsvs()


def recipes(mode: str, io: str) -> Any:
    """litert-quantizer's RecipeManager for a mode of `quantize.mode`."""
    from litert_quantizer import qtyping
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.recipe_manager import RecipeManager

    every, kinds = ".*", qtyping.TFLOperationName
    manager = RecipeManager()
    if mode == "float16":
        sixteen = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=sixteen,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        manager.add_quantization_config(
            every, kinds.ALL_SUPPORTED, config, AlgorithmName.FLOAT_CASTING
        )
    elif mode in ("dynamic", "int4"):
        manager.add_dynamic_config(every, kinds.ALL_SUPPORTED, 4 if mode == "int4" else 8)
    else:
        bits = 16 if mode == "int16x8" else 8
        manager.add_static_config(every, kinds.ALL_SUPPORTED, bits, weight_num_bits=8)
        if io == "float32":
            for end in (kinds.INPUT, kinds.OUTPUT):
                manager.add_quantization_config(every, end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return manager


def signed(model: bytes) -> tuple[bytes, str, str]:
    """The model as litert-quantizer needs it, the key of its signature, and what that calls its
    first input. Older files have no signature, and their operators' codes in the old field alone:
    every operator would be taken for ADD, which is code 0.
    """
    from litert_quantizer import qtyping

    files = qtyping.flatbuffer_utils
    root = files.read_model_from_bytearray(bytearray(model))
    for code in root.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    if not root.signatureDefs:
        root.signatureDefs = [_signature(files.schema_fb, root.subgraphs[0])]
    first = root.signatureDefs[0]
    names = first.signatureKey.decode(), first.inputs[0].name.decode()
    return bytes(files.convert_object_to_bytearray(root)), *names


def _signature(schema: Any, graph: Any) -> Any:
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = b"serving_default", 0
    for side, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        entries = []
        for number, tensor in enumerate(tensors):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"{side}_{number}".encode(), int(tensor)
            entries.append(entry)
        setattr(made, side, entries)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], quantize))
