"""Engine `isolated:NAME`: engine NAME in a child process, which may die without taking us along.

The model goes over in a memory file, tensors lie in one shared block of memory, and two pipes carry
one line for each call. The child is started by `subprocess` (never forked: threads), and dies with
its parent (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk import errors
from edge_sdk.engines import Engine, EngineInfo, Resolver
from edge_sdk.errors import EdgeError, EngineError, ModelError
from edge_sdk.processes import how_it_ended
from edge_sdk.tensors import QuantParams, TensorSpec

OPEN_TIMEOUT_S = 60.0
INVOKE_TIMEOUT_S = 60.0


class IsolatedEngine(Engine):
    """An engine in a child process. Open it in a thread that lives as long: the child ends with the
    thread that started it.

    Raises ModelError when the child dies while it opens the model, EngineError when it dies, hangs
    (`timeout_s`) or fails later; EngineErrors of the child come through as they are.
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
        model_file = _memory_file("model", model)
        tensor_file = _memory_file("tensors", b"")
        try:
            self._child = subprocess.Popen(
                [
                    # -P: the current folder may hold anybody's modules.
                    *(sys.executable, "-P", "-m", "edge_sdk.engines.isolated_worker"),
                    *(str(model_file), str(tensor_file), str(os.getpid())),
                    *(name, str(threads), resolver),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(model_file, tensor_file),
            )
            opened = self._answer(OPEN_TIMEOUT_S, "open the model")
            self.info = EngineInfo(**opened["info"])
            self.inputs = tuple(_spec(s) for s in opened["inputs"])
            self.outputs = tuple(_spec(s) for s in opened["outputs"])
            self._block = mmap.mmap(tensor_file, opened["bytes"])
        finally:
            os.close(model_file)
            os.close(tensor_file)
        arrays = shared_arrays(self._block, (*self.inputs, *self.outputs))
        self._inputs, self._outputs = arrays[: len(self.inputs)], arrays[len(self.inputs) :]

    def _view(self, index: int) -> NDArray[Any]:
        return self._inputs[index]

    def _invoke(self) -> None:
        self._send({"do": "invoke"})
        self._answer(self._timeout_s, "run the model")

    def _output(self, index: int) -> NDArray[Any]:
        return self._outputs[index].copy()

    def _close(self) -> None:
        self._inputs, self._outputs = [], []
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            return  # the child is gone; reading its answer says how it ended

    def _answer(self, timeout_s: float, doing: str) -> dict[str, Any]:
        assert self._child.stdout is not None
        ready, _, _ = select.select([self._child.stdout], [], [], timeout_s)
        if not ready:
            self._abandon()
            raise EngineError(
                f"{self.info.name} did not {doing} within {timeout_s:g} s",
                fix="use a smaller model, or another engine",
            )
        line = self._child.stdout.readline()
        if not line:
            raise self._death(doing)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            if doing == "open the model":
                self.close()  # it is about to end by itself
            kind: type[EdgeError] = getattr(errors, answer["error"])
            raise kind(answer["message"], fix=answer["fix"])
        return answer

    def _death(self, doing: str) -> EdgeError:
        status = self._abandon()
        how = how_it_ended(status)
        kind = ModelError if doing == "open the model" else EngineError
        return kind(
            f"{self.info.name} died ({how}) while it tried to {doing}: "
            "the file is damaged or hostile",
            fix="do not use this model; get it again from where it was made",
        )

    def _abandon(self) -> int:
        self._closed = True
        self._child.kill() if self._child.poll() is None else None
        assert self._child.stdin is not None and self._child.stdout is not None
        status = self._child.wait()
        with contextlib.suppress(BrokenPipeError):  # a request that nobody took is still in it
            self._child.stdin.close()
        self._child.stdout.close()
        return status


def probe_backend(name: str) -> str:
    """The version of engine `name`, found by opening a tiny model in a child process.

    Raises EdgeError (with the fix) where the engine cannot be used.
    """
    from edge_sdk.tflite.tiny import tiny_classifier

    with IsolatedEngine(name, tiny_classifier()) as engine:
        engine(*(np.zeros(spec.shape, spec.dtype) for spec in engine.inputs))
        return engine.info.version


def try_model(name: str, model: bytes) -> EngineInfo:
    """Open `model` in a child process and run it once on zeros; what it was that answered.

    A crafted file can crash an interpreter: after this, one that does has only crashed the child.
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
