"""The engine behind litert and tflite-runtime: the classic TensorFlow Lite interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.engines.base import Engine, EngineInfo
from edge_sdk.errors import ModelError
from edge_sdk.processes import stderr_closed
from edge_sdk.tensors import QuantParams, TensorSpec


class InterpreterEngine(Engine):
    """An allocated interpreter. `build` makes it from nothing; `name` and `version` go into errors.

    Raises ModelError when the interpreter refuses the model.
    """

    def __init__(
        self, build: Callable[[], Any], *, name: str, version: str, resolver: str, threads: int
    ) -> None:
        try:
            # The C++ code announces each delegate on stderr; what goes wrong comes as an exception.
            with stderr_closed():
                interpreter = build()
                interpreter.allocate_tensors()
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
            delegate = _delegate(interpreter)
        except Exception as error:  # ValueError, RuntimeError; UnicodeDecodeError for a name, …
            raise ModelError(
                f"{name} {version} refuses the model: {_one_line(error)}",
                fix="check the file with `edge-sdk inspect`; convert it again if it is damaged",
            ) from error
        self._interpreter: Any = interpreter
        self.inputs = tuple(_spec(d) for d in inputs)
        self.outputs = tuple(_spec(d) for d in outputs)
        # Bound accessors: asking for the tensor by number each time costs another lookup.
        self._inputs = [interpreter.tensor(d["index"]) for d in inputs]
        self._output_ids = [d["index"] for d in outputs]
        self.info = EngineInfo(name, version, resolver, delegate, threads)

    def _view(self, index: int) -> NDArray[Any]:
        view: NDArray[Any] = self._inputs[index]()
        return view

    def _invoke(self) -> None:
        self._interpreter.invoke()

    def _output(self, index: int) -> NDArray[Any]:
        value: NDArray[Any] = self._interpreter.get_tensor(self._output_ids[index])
        return value

    def _close(self) -> None:
        self._inputs = []
        self._interpreter = None


def _delegate(interpreter: Any) -> str:
    """The delegate in use: after preparation it shows as operators named DELEGATE.

    Asking for XNNPACK is no proof: without /proc and /sys it is silently left out.
    """
    # Not _get_ops_details(), which describes every tensor of every operator first.
    nodes = interpreter._interpreter
    names = (nodes.NodeName(index) for index in range(nodes.NumNodes()))
    return "xnnpack" if "DELEGATE" in names else "none"


def _spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=str(details["name"]),
        shape=tuple(int(n) for n in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        quant=QuantParams(float(scale), int(zero_point)) if scale else None,
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
