"""The port of an engine: a model ready to run, and what is said about the interpreter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import EdgeError, EngineError
from edge_sdk.tensors import TensorSpec

if TYPE_CHECKING:
    from edge_sdk.documents.common import Engine as EngineRecord

T = TypeVar("T")
Resolver = Literal["builtin", "builtin-without-delegates"]


@dataclass(frozen=True)
class EngineInfo:
    """The interpreter that runs a model, and its settings.

    delegate: the one found in use after the model was prepared, not the one asked for: "xnnpack",
    "none", or a fake's own word. mapped: share of MACs on an accelerator, else None.
    """

    name: str
    version: str
    resolver: str
    delegate: str
    threads: int
    mapped: float | None = None

    def as_dict(self) -> EngineRecord:
        """The JSON form."""
        return {
            "name": self.name,
            "version": self.version,
            "resolver": self.resolver,
            "delegate": self.delegate,
            "threads": self.threads,
            "mapped": self.mapped,
        }


class Engine(ABC):
    """A model ready to run. Not thread-safe: one thread at a time.

    The public methods check their arguments and turn whatever an interpreter raises into
    EngineError; a backend implements the underscored ones.
    """

    info: EngineInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    _closed = False

    def fill(self, index: int, write: Callable[[NDArray[Any]], T]) -> T:
        """Give `write` the live input tensor (its shape and dtype) to fill; return its answer.

        `write` must not keep the array: it is the interpreter's own memory.
        """
        self._check_open()
        return write(self._guard("take an input", self._view, index))

    def set_input(self, index: int, value: NDArray[Any]) -> None:
        """Copy `value` into input `index`. Raises EngineError for another shape or dtype."""
        spec = self.inputs[index]
        if value.shape != spec.shape or value.dtype != spec.dtype:
            raise EngineError(
                f"input {spec.name} takes {spec.dtype}{list(spec.shape)}, "
                f"not {value.dtype}{list(value.shape)}",
                fix="preprocess the value with the manifest's settings",
            )
        self.fill(index, lambda tensor: np.copyto(tensor, value))

    def invoke(self) -> None:
        """Run the model on the inputs as they are."""
        self._check_open()
        self._guard("run the model", self._invoke)

    def output(self, index: int = 0) -> NDArray[Any]:
        """A copy of output `index`, as stored (its shape and dtype)."""
        self._check_open()
        value: NDArray[Any] = self._guard("read an output", self._output, index)
        return value

    def __call__(self, *values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Set every input, invoke, return a copy of every output."""
        if len(values) != len(self.inputs):
            raise EngineError(
                f"the model has {len(self.inputs)} inputs, {len(values)} were given",
                fix="give one array for each input",
            )
        for index, value in enumerate(values):
            self.set_input(index, value)
        self.invoke()
        return tuple(self.output(index) for index in range(len(self.outputs)))

    def close(self) -> None:
        """Release the interpreter. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _view(self, index: int) -> NDArray[Any]:
        """The writable input tensor."""

    @abstractmethod
    def _invoke(self) -> None:
        """Run once."""

    @abstractmethod
    def _output(self, index: int) -> NDArray[Any]:
        """A copy of an output."""

    @abstractmethod
    def _close(self) -> None:
        """Release the interpreter."""

    def _guard(self, doing: str, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except EdgeError:
            raise
        except Exception as error:
            raise EngineError(
                f"{self.info.name} {self.info.version} could not {doing}: {error}",
                fix="check the model with `edge-sdk inspect`, or try another engine "
                "(`edge-sdk engines`)",
            ) from error

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed", fix="open it again before using it")
