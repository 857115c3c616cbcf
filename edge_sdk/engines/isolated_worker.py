"""The child of `isolated`: opens the model it is handed, then answers one line for each request.

python -m edge_sdk.engines.isolated_child MODEL_FD TENSOR_FD PARENT_PID NAME THREADS RESOLVER
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from edge_sdk.engines import Engine, Resolver, open_engine
from edge_sdk.engines.isolated import aligned, shared_arrays
from edge_sdk.errors import EdgeError
from edge_sdk.processes import die_with_parent


def main(arguments: list[str]) -> int:
    """Serve until standard input ends."""
    model_fd, tensor_fd, parent = (int(a) for a in arguments[:3])
    name, threads, resolver = arguments[3], int(arguments[4]), cast(Resolver, arguments[5])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may finish first
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    try:
        engine = open_engine(name, _read_all(model_fd), threads=threads, resolver=resolver)
    except EdgeError as error:
        _say(answers, _told(error))
        return 1
    specs = (*engine.inputs, *engine.outputs)
    size = sum(aligned(spec.nbytes) for spec in specs)
    os.ftruncate(tensor_fd, size)
    arrays = shared_arrays(mmap.mmap(tensor_fd, size), specs)
    opened = {
        "info": asdict(engine.info),
        "inputs": [asdict(spec) for spec in engine.inputs],
        "outputs": [asdict(spec) for spec in engine.outputs],
        "bytes": size,
    }
    _say(answers, opened)
    for _ in sys.stdin.buffer:
        _say(answers, _invoke(engine, arrays))
    return 0


def _invoke(engine: Engine, arrays: list[Any]) -> dict[str, Any]:
    inputs = arrays[: len(engine.inputs)]
    try:
        outputs = engine(*inputs)
    except EdgeError as error:
        return _told(error)
    for shared, value in zip(arrays[len(inputs) :], outputs, strict=True):
        np.copyto(shared, value)
    return {}


def _told(error: EdgeError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": str(error), "fix": error.fix}


def _say(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
