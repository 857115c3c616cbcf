"""Engine `isolated:NAME`: engine NAME in a child process, which may die without ending this one.

The model goes over in a memory file, and tensors lie in one shared block of memory; so a request
and its answer are short.
"""

from __future__ import annotations

import mmap
import os
import subprocess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk import errors
from edge_sdk.engines.base import Engine, EngineInfo, Resolver
from edge_sdk.errors import EdgeError, EngineError, ModelError
from edge_sdk.processes.worker import Worker, WorkerEnded
from edge_sdk.tensors import QuantParams, TensorSpec

OPEN_TIMEOUT_S = 60.0
INVOKE_TIMEOUT_S = 60.0
_OPEN = "open the model"
_PATIENCE_S = 2.0


class IsolatedEngine(Engine):
    """An engine in a child process. Open it in a thread that lives as long: the child ends with the
    thread that started it.

    Raises ModelError when the child dies while it opens the model, EngineError when it dies, hangs
    (`timeout_s`) or fails later; EdgeErrors of the child come through as they are.
    """

    def __init__(
        self,
        name: str,
        model: bytes,
        *,
        threads: int = 1,
        resolver: Resolver = "builtin",
        timeout_s: float = INVOKE_TIMEOUT_S,
    ) -> None:
        self._timeout_s = timeout_s
        self.info = EngineInfo(name, "", resolver, "", threads)
        files = {"model": _memory_file("model", model), "tensors": _memory_file("tensors", b"")}
        try:
            self._worker = Worker(
                ["-m", "edge_sdk.engines.isolated_worker"],
                fds=tuple(files.values()),
                output=subprocess.DEVNULL,
            )
            asked = {**files, "name": name, "threads": threads, "resolver": resolver}
            opened = self._call(asked, OPEN_TIMEOUT_S, _OPEN)
            self.info = EngineInfo(**opened["info"])
            self.inputs = tuple(_spec(s) for s in opened["inputs"])
            self.outputs = tuple(_spec(s) for s in opened["outputs"])
            block = mmap.mmap(files["tensors"], opened["bytes"])
        finally:
            for descriptor in files.values():
                os.close(descriptor)
        arrays = shared_arrays(block, (*self.inputs, *self.outputs))
        self._inputs, self._outputs = arrays[: len(self.inputs)], arrays[len(self.inputs) :]

    def _view(self, index: int) -> NDArray[Any]:
        return self._inputs[index]

    def _invoke(self) -> None:
        self._call("invoke", self._timeout_s, "run the model")

    def _output(self, index: int) -> NDArray[Any]:
        return self._outputs[index].copy()

    def _close(self) -> None:
        self._inputs, self._outputs = [], []
        self._worker.close(_PATIENCE_S)

    def _call(self, request: Any, timeout_s: float, doing: str) -> dict[str, Any]:
        """The child's answer. A child that ended, hangs or could not open the model is closed."""
        try:
            answer: dict[str, Any] = self._worker.call(request, timeout_s)
        except TimeoutError:
            self._abandon()
            raise EngineError(
                f"{self.info.name} did not {doing} within {timeout_s:g} s",
                fix="use a smaller model, or another engine",
            ) from None
        except WorkerEnded as ended:
            self._abandon()
            raise _death(self.info.name, ended, doing) from ended
        except BaseException:  # Ctrl-C: the answer that is still to come is to another request
            self._abandon()
            raise
        if "error" in answer:
            if doing == _OPEN:
                self._abandon()
            kind: type[EdgeError] = getattr(errors, answer["error"])
            raise kind(answer["message"], fix=answer["fix"])
        return answer

    def _abandon(self) -> None:
        self._closed = True
        self._worker.close()


def _death(name: str, ended: WorkerEnded, doing: str) -> EdgeError:
    kind = ModelError if doing == _OPEN else EngineError
    return kind(
        f"{name} died ({ended}) while it tried to {doing}: the file is damaged or hostile",
        fix="do not use this model; get it again from where it was made",
    )


def probe_backend(name: str) -> str:
    """The version of engine `name`, found by opening a tiny model in a child process.

    Raises EdgeError (with the fix) where the engine cannot be used.
    """
    from edge_sdk.tflite.tiny import tiny_classifier

    return try_model(name, tiny_classifier()).version


def try_model(name: str, model: bytes) -> EngineInfo:
    """Open `model` in a child process, run it once on zeros, and say what ran it.

    A crafted file can crash an interpreter: here it crashes only the child.
    Raises ModelError or EngineError.
    """
    with IsolatedEngine(name, model) as engine:
        engine(*(np.zeros(spec.shape, spec.dtype) for spec in engine.inputs))
        return engine.info


def shared_arrays(block: mmap.mmap, specs: tuple[TensorSpec, ...]) -> list[NDArray[Any]]:
    """One array for each spec, laid one after another (64-byte aligned) in `block`."""
    arrays, offset = [], 0
    for spec in specs:
        count = int(np.prod(spec.shape, dtype=np.int64))
        flat = np.frombuffer(block, spec.dtype, count, offset)
        arrays.append(flat.reshape(spec.shape))
        offset += aligned(spec.nbytes)
    return arrays


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of 64 bytes, at least 64."""
    return max(64, (size + 63) // 64 * 64)


def _memory_file(name: str, data: bytes) -> int:
    descriptor = os.memfd_create(f"edge-sdk-{name}")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    return descriptor


def _spec(data: dict[str, Any]) -> TensorSpec:
    quant = data["quant"]
    return TensorSpec(
        data["name"], tuple(data["shape"]), data["dtype"], QuantParams(**quant) if quant else None
    )
