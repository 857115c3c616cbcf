"""Engines: an interpreter opened on a model, behind one small interface.

    with open_engine("litert", model_bytes) as engine:
        outputs = engine(image)

Backends are opened by name; each imports its interpreter when it is opened, not before.
"""

from __future__ import annotations

import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.configuration import MAX_THREADS, nearest
from edge_sdk.errors import ConfigError, EdgeError, EngineError, MissingPackage
from edge_sdk.tensors import TensorSpec

if TYPE_CHECKING:
    from edge_sdk.documents.common import Engine as EngineRecord
    from edge_sdk.documents.engines import EngineEntry

T = TypeVar("T")
Resolver = Literal["builtin", "builtin-without-delegates"]


@dataclass(frozen=True)
class EngineInfo:
    """Which interpreter answers, and how.

    delegate: what was found running after the model was prepared, not what was asked for:
    "xnnpack", "none", or a fake's own word. mapped: share of MACs on an accelerator, else None.
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

    The public methods check what they are given and turn whatever an interpreter raises into
    EngineError; a backend writes the underscored ones.
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
        """Let the interpreter go. Closing twice is fine."""
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
        """Release what was opened."""

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


@dataclass(frozen=True)
class Backend:
    """One row of the table of engines. `extra` installs it where it is missing."""

    module: str
    package: str
    help: str
    install: str = ""


BACKENDS: dict[str, Backend] = {
    "litert": Backend(
        "edge_sdk.engines.litert",
        "ai-edge-litert",
        "Google's LiteRT with XNNPACK (default)",
        "pip install ai-edge-litert",
    ),
    "tflite-runtime": Backend(
        "edge_sdk.engines.tflite_runtime",
        "tflite-runtime",
        "the older interpreter; Python 3.11 with numpy 1 only",
        'pip install "edge-sdk-core[tflite-runtime]" (Python 3.11 and numpy below 2)',
    ),
    "fake": Backend(
        "edge_sdk.engines.fake", "", "repeatable made-up answers, for tests of the rest"
    ),
}


def open_engine(
    name: str, model: bytes, *, threads: int = 1, resolver: Resolver = "builtin"
) -> Engine:
    """Open `model` (the bytes of a .tflite file) in the engine called `name`.

    "isolated:NAME" runs engine NAME in a child process, which may crash without taking us along.
    threads: CPU threads of one inference. resolver: "builtin-without-delegates" turns XNNPACK off.
    Raises ConfigError for an unknown name, MissingPackage where it is not installed, EngineError
    when the interpreter refuses the model.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads is {threads}", fix=f"use 1 to {MAX_THREADS} threads")
    if name.startswith("isolated:"):
        from edge_sdk.engines.isolated import IsolatedEngine

        return IsolatedEngine(_backend_name(name[9:]), model, threads=threads, resolver=resolver)
    module = importlib.import_module(BACKENDS[_backend_name(name)].module)
    engine: Engine = module.open_model(model, threads=threads, resolver=resolver)
    return engine


def missing_package(name: str, error: BaseException) -> MissingPackage:
    """The error for backend `name` whose package cannot be imported."""
    backend = BACKENDS[name]
    return MissingPackage(
        f"engine {name} needs {backend.package}, which is not usable here: {error}",
        # An interpreter is published for 64 bits alone; the processor may well be one.
        fix=backend.install if sys.maxsize > 2**32 else "install the 64-bit system (docs/pi.md)",
    )


def _backend_name(name: str) -> str:
    if name not in BACKENDS:
        raise ConfigError(f"unknown engine {name!r}", fix=nearest(name, BACKENDS))
    return name


@dataclass(frozen=True)
class EngineStatus:
    """Whether an engine can be used here, and why not."""

    name: str
    usable: bool
    version: str | None
    help: str
    because: str
    fix: str

    def as_dict(self) -> EngineEntry:
        """The JSON form."""
        return {
            "name": self.name,
            "usable": self.usable,
            "version": self.version,
            "help": self.help,
            "because": self.because,
            "fix": self.fix,
        }


def list_engines() -> list[EngineStatus]:
    """Every engine, probed by opening it in a child process (an import alone proves nothing:
    tflite-runtime imports on numpy 2 and fails on the first model).
    """
    from edge_sdk.engines.isolated import probe_backend

    found = []
    for name, backend in BACKENDS.items():
        try:
            found.append(EngineStatus(name, True, probe_backend(name), backend.help, "", ""))
        except EdgeError as error:
            found.append(EngineStatus(name, False, None, backend.help, str(error), error.fix))
    return found
