"""`convert MODEL.onnx`: through onnx2tf, in a Python environment of its own.

Its pins clash with ours. So onnx_worker.py, a script that imports nothing of ours, is run by the
Python that EDGE_SDK_ONNX2TF_PYTHON names, and leaves a SavedModel.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_converter.conversion.options import ConvertOptions
from edge_converter.conversion.readers.saved_model import open_saved_model
from edge_converter.conversion.source_model import SourceModel, digest
from edge_converter.quantize.worker_pool import CHILD_TIMEOUT_S
from edge_sdk.errors import ConfigError, MissingPackage, ModelError, TrainingError
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.files import read_file
from edge_sdk.processes.worker import Worker, WorkerEnded

VARIABLE = "EDGE_SDK_ONNX2TF_PYTHON"
PINS = Path(__file__).with_name("onnx.txt")
"""Versions that were tested; constraints/onnx.txt is a link to it."""
INSTALL = f"-m pip install onnx2tf -c {shlex.quote(str(PINS))}"
_SCRIPT = Path(__file__).with_name("onnx_worker.py")


def open_onnx(
    path: Path, options: ConvertOptions, working: Path, log: Path, listen: Listener
) -> SourceModel:
    """Make a SavedModel of the file in `working`, NHWC, and look at that. log: takes what onnx2tf
    prints.

    Raises MissingPackage without the environment, ModelError, ConfigError, TrainingError.
    """
    read_file(path, what="model")
    python = _python()
    listen(Event("note", "onnx2tf", f"{path.name} to a SavedModel"))
    made = working / "onnx"
    made.mkdir()
    job = {"size": options.size and list(options.size[::-1])}
    _run(python, ["convert", path, made, json.dumps(job)], made, log)
    for line in json.loads((made / "told.json").read_text()):
        listen(Event("note", message=line))
    source = open_saved_model(made, replace(options, size=None), working, ignore)
    return replace(source, path=path, format="onnx", sha256=digest(path), onnx=path)


def onnx_answers(
    path: Path, samples: NDArray[np.float32], working: Path, log: Path
) -> NDArray[np.float32]:
    """The answers of ONNX Runtime to fed `samples` (n, height, width, channels): (n, classes).

    Raises TrainingError.
    """
    made = working / "onnx"
    np.save(made / "samples.npy", samples)
    _run(_python(), ["answer", path, made], made, log)
    found: NDArray[np.float32] = np.load(made / "answers.npy")
    return found


def _python() -> str:
    named = os.environ.get(VARIABLE, "")
    if not named:
        raise MissingPackage(
            f"converting .onnx needs onnx2tf in an environment of its own, and {VARIABLE} is not "
            "set",
            fix="python3.11 -m venv onnx2tf && onnx2tf/bin/python " + INSTALL + f" && export "
            f"{VARIABLE}=$PWD/onnx2tf/bin/python",
        )
    if not os.access(named, os.X_OK) or Path(named).is_dir():
        raise ConfigError(
            f"{VARIABLE} is {named!r}, which is not a program",
            fix="set it to the path of that environment's bin/python",
        )
    return named


def _run(python: str, arguments: Sequence[str | Path], made: Path, log: Path) -> None:
    """Run the script in `made`, its current folder. Raises what its answer says, else
    TrainingError.
    """
    with log.open("ab") as output:
        worker = Worker(
            [str(_SCRIPT)],
            python=python,
            output=output,
            cwd=made,
            # What is on the path of this Python is not meant for that one.
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        )
    with closing(worker):
        try:
            told = worker.call([_absolute(argument) for argument in arguments], CHILD_TIMEOUT_S)
        except TimeoutError as error:
            raise TrainingError(
                f"onnx2tf did not end within {CHILD_TIMEOUT_S} s", fix="use a smaller model"
            ) from error
        except WorkerEnded as ended:
            raise TrainingError(
                f"onnx2tf failed ({ended})",
                fix=f"read {log}; a model exported with a lower opset may work",
            ) from ended
    if told is None:
        return
    if told["kind"] == "missing":
        raise MissingPackage(
            f"{python} cannot import {told['message']}", fix=f"{shlex.quote(python)} {INSTALL}"
        )
    raise ModelError(told["message"], fix=told["fix"])


def _absolute(argument: str | Path) -> str:
    return str(argument.resolve()) if isinstance(argument, Path) else argument
