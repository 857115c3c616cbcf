"""Run by the Python of another environment, which has onnx2tf: imports nothing of Edge SDK.

python onnx_worker.py PARENT_PID REPLIES_FD, a worker of edge_sdk.processes. Its requests:
["convert", MODEL.onnx, FOLDER, JOB]: a SavedModel in FOLDER, told.json.
["answer", MODEL.onnx, FOLDER]: answers.npy to FOLDER's samples.npy.
The answer is null, or says what is wrong: {"kind", "message", "fix"}.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
CHANNELS = (1, 3)
OPERATIONS = "onnx2tf.ops."
ONE_INPUT = "name an image classifier with one input"


class Refusal(Exception):
    """A model that cannot be converted: message, fix."""


def main(arguments: list[str]) -> int:
    """Serve until standard input ends."""
    parent, replies = (int(argument) for argument in arguments)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 1
    with os.fdopen(replies, "wb") as answers:
        for line in sys.stdin:
            answers.write(json.dumps(attempt(*json.loads(line))).encode() + b"\n")
            answers.flush()
    return 0


def attempt(command: str, model: str, folder: str, *rest: str) -> dict[str, str] | None:
    """Do what a request says; what is wrong with the model or this environment, or None."""
    try:
        if command == "convert":
            convert(model, Path(folder), json.loads(rest[0]))
        else:
            answer(model, Path(folder))
    except Refusal as error:
        return {"kind": "model", "message": error.args[0], "fix": error.args[1]}
    except ModuleNotFoundError as error:
        return {"kind": "missing", "message": error.name or str(error), "fix": ""}
    return None


def convert(model: str, folder: Path, job: dict[str, Any]) -> None:
    """A SavedModel that takes [1, height, width, channels]."""
    import onnx2tf  # type: ignore[import-not-found]

    name, shape = _image(model)
    _stand_in_for_download(folder)
    told, more = [], {}
    if _is_nhwc(shape):
        more["keep_shape_absolutely_input_names"] = [name]
    else:
        told.append(f"layout: {shape} in ONNX, channels last from here on")
    sized = _sized(model, shape, job["size"])
    if sized != shape:
        more["overwrite_input_shape"] = [f"{name}:{','.join(map(str, sized))}"]
        told.append(f"input: {shape}, fixed to {sized}")
    try:
        onnx2tf.convert(
            input_onnx_file_path=model,
            output_folder_path=str(folder),
            verbosity="error",
            **more,
        )
    except ModuleNotFoundError as error:  # an operation is a module of it
        if not str(error.name).startswith(OPERATIONS):
            raise
        operation = str(error.name).removeprefix(OPERATIONS)
        raise Refusal(
            f"{model} has an operation that onnx2tf does not know: {operation}",
            "export the model without it, or with another opset",
        ) from error
    except SystemExit as error:  # its way to give up; the reason stands in what it printed
        raise SystemExit(1) from error
    (folder / "told.json").write_text(json.dumps(told))


def answer(model: str, folder: Path) -> None:
    """ONNX Runtime's answers, one image at a time: the batch may be fixed."""
    import numpy as np
    import onnxruntime  # type: ignore[import-not-found]

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name, shape = _image(model)
    samples = np.load(folder / "samples.npy")
    if not _is_nhwc(shape):
        samples = samples.transpose(0, 3, 1, 2)
    rows = [session.run(None, {name: samples[i : i + 1]})[0] for i in range(len(samples))]
    np.save(folder / "answers.npy", np.concatenate(rows))


def _image(path: str) -> tuple[str, list[Any]]:
    """Name and sizes of the one input; None where a size is open."""
    import onnx  # type: ignore[import-not-found]

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's own kinds
        raise Refusal(f"{path} is not an ONNX model", "name an .onnx file") from error
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if not graph.node:
        raise Refusal(f"{path} is not an ONNX model", "name an .onnx file")
    if len(inputs) != 1:
        raise Refusal(f"{path} takes {len(inputs)} inputs, not one image", ONE_INPUT)
    sizes = [size.dim_value or None for size in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4 or not {sizes[1], sizes[3]} & set(CHANNELS):
        raise Refusal(f"{path} takes {sizes}, not one image of 1 or 3 channels", ONE_INPUT)
    return inputs[0].name, sizes


def _is_nhwc(shape: list[Any]) -> bool:
    """Only where the channels cannot be anywhere else."""
    return shape[3] in CHANNELS and shape[1] not in CHANNELS


def _sized(path: str, shape: list[Any], size: list[int] | None) -> list[int]:
    """The shape with a batch of 1 and `size` (height, width) where sizes are open."""
    first = 1 if _is_nhwc(shape) else 2
    had = shape[first : first + 2]
    if size is None and None in had:
        raise Refusal(
            f"{path} takes images of any size: {shape}",
            "add --size WIDTHxHEIGHT, the size it was trained on, e.g. --size 224x224",
        )
    wanted = size or had
    if any(one not in (None, new) for one, new in zip(had, wanted, strict=True)):
        raise Refusal(f"{path} takes {shape}, --size says another", "leave --size out")
    return [shape[0] or 1, *shape[1:first], *wanted, *shape[first + 2 :]]


def _stand_in_for_download(folder: Path) -> None:
    """onnx2tf fetches 20 photos to compare on, unless they lie in the current folder. We compare
    on the user's own images afterwards.
    """
    import numpy as np

    noise = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(folder / "calibration_image_sample_data_20x128x128x3_float32.npy", noise)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
