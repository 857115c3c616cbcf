"""The worker of `isolated`: the first request opens a model, each later one runs it.

python -m edge_sdk.engines.isolated_worker PARENT_PID REPLIES_FD
"""

from __future__ import annotations

import mmap
import os
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.engines import Engine, EngineSpec, open_spec
from edge_sdk.engines.isolated import aligned, shared_arrays
from edge_sdk.errors import EdgeError
from edge_sdk.processes.service import serve


class Service:
    """An engine on the memory that the parent shares."""

    _engine: Engine
    _arrays: list[NDArray[Any]]

    def __call__(self, request: Any) -> dict[str, Any]:
        """Open the model (a dict), or run it ("invoke"); an EdgeError is an answer too."""
        try:
            return self._open(**request) if isinstance(request, dict) else self._invoke()
        except EdgeError as error:
            return {"error": type(error).__name__, "message": str(error), "fix": error.fix}

    def _open(self, model: int, tensors: int, **spec: Any) -> dict[str, Any]:
        """model, tensors: descriptors of memory files. spec: fields of EngineSpec."""
        self._engine = engine = open_spec(EngineSpec(**spec), _read_all(model))
        specs = (*engine.inputs, *engine.outputs)
        size = sum(aligned(spec.nbytes) for spec in specs)
        os.ftruncate(tensors, size)
        self._arrays = shared_arrays(mmap.mmap(tensors, size), specs)
        return {
            "info": asdict(engine.info),
            "inputs": [asdict(spec) for spec in engine.inputs],
            "outputs": [asdict(spec) for spec in engine.outputs],
            "bytes": size,
        }

    def _invoke(self) -> dict[str, Any]:
        count = len(self._engine.inputs)
        outputs = self._engine(*self._arrays[:count])
        for shared, value in zip(self._arrays[count:], outputs, strict=True):
            np.copyto(shared, value)
        return {}


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], Service()))
