"""Engine `fake`: strict, recording, repeatable. It reads the model's inputs and outputs and answers
by the bytes it was fed, so that the same input always gives the same output.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.engines.base import Engine, EngineInfo, Resolver
from edge_sdk.errors import EngineError, ModelError
from edge_sdk.tensors import TensorSpec

Answer = Callable[[tuple[NDArray[Any], ...]], tuple[NDArray[Any], ...]]


class FakeEngine(Engine):
    """An engine without an interpreter.

    answer: the outputs for given inputs; by default derived from a hash of them.
    invoke_s: how long `invoke` takes. calls: what was asked, in order ("fill 0", "invoke", …).
    Strict: invoking before every input was filled, or reading before invoking, is an EngineError.
    """

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        *,
        answer: Answer | None = None,
        invoke_s: float = 0.0,
        threads: int = 1,
        resolver: Resolver = "builtin",
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.info = EngineInfo("fake", "1", resolver, "none", threads)
        self.calls: list[str] = []
        self.invoke_s = invoke_s
        self._answer = answer or self._hashed
        self._tensors = [np.zeros(spec.shape, spec.dtype) for spec in inputs]
        self._filled: set[int] = set()
        self._results: tuple[NDArray[Any], ...] = ()

    def _view(self, index: int) -> NDArray[Any]:
        self.calls.append(f"fill {index}")
        self._filled.add(index)
        return self._tensors[index]

    def _invoke(self) -> None:
        self.calls.append("invoke")
        if len(self._filled) != len(self.inputs):
            raise EngineError("invoked before every input was filled", fix="fill every input")
        if self.invoke_s:
            time.sleep(self.invoke_s)
        self._results = self._answer(tuple(self._tensors))

    def _output(self, index: int) -> NDArray[Any]:
        self.calls.append(f"output {index}")
        if not self._results:
            raise EngineError("an output was read before invoke", fix="invoke first")
        return self._results[index].copy()

    def _close(self) -> None:
        self.calls.append("close")

    def _hashed(self, inputs: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        digest = hashlib.sha256(b"".join(value.tobytes() for value in inputs)).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return tuple(_random(spec, random) for spec in self.outputs)


def open_model(model: bytes, *, threads: int, resolver: Resolver) -> Engine:
    """A FakeEngine with the inputs and outputs of a .tflite model. Raises ModelError."""
    from edge_sdk.tflite.graph import read_graph

    graph = read_graph(model)
    try:
        return FakeEngine(graph.input_specs, graph.output_specs, threads=threads, resolver=resolver)
    except (TypeError, ValueError, MemoryError) as error:  # no numpy dtype; -1; far too large
        raise ModelError(
            f"fake cannot hold the model's inputs: {error}", fix="use a model with plain inputs"
        ) from error


def _random(spec: TensorSpec, random: np.random.Generator) -> NDArray[Any]:
    if spec.dtype.startswith(("int", "uint")):
        info = np.iinfo(spec.dtype)
        return random.integers(info.min, info.max, spec.shape, endpoint=True).astype(spec.dtype)
    return random.random(spec.shape).astype(spec.dtype)
