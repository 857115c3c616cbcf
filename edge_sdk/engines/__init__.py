"""Engines: an interpreter opened on a model, behind one small interface.

    with open_engine("litert", model_bytes) as engine:
        outputs = engine(image)

Backends are opened by name; each imports its interpreter when it is opened, not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from edge_sdk.engines.backends import AUTO, BACKENDS, DEFAULT, EngineSpec, choose_engine
from edge_sdk.engines.base import Engine, EngineInfo, Resolver
from edge_sdk.errors import EdgeError

if TYPE_CHECKING:
    from edge_sdk.documents.engines import EngineEntry

__all__ = [
    "AUTO",
    "BACKENDS",
    "DEFAULT",
    "Engine",
    "EngineInfo",
    "EngineSpec",
    "EngineStatus",
    "Resolver",
    "choose_engine",
    "list_engines",
    "open_engine",
    "open_spec",
]


def open_engine(
    name: str, model: bytes, *, threads: int = 1, resolver: Resolver = "builtin"
) -> Engine:
    """Open `model` (the bytes of a .tflite file) in the engine called `name`; "auto" is the default
    one.

    "isolated:NAME" runs engine NAME in a child process, which may crash without ending this one.
    threads: CPU threads of one inference. resolver: "builtin-without-delegates" turns XNNPACK off.
    Raises ConfigError for an unknown name, MissingPackage where it is not installed, EngineError
    when the interpreter refuses the model.
    """
    return open_spec(EngineSpec.parse(name, threads=threads, resolver=resolver), model)


def open_spec(spec: EngineSpec, model: bytes) -> Engine:
    """Open `model` in the engine that `spec` describes. Raises as `open_engine` does."""
    if spec.isolated:
        from edge_sdk.engines.isolated import IsolatedEngine  # most engines need no child

        return IsolatedEngine(spec.name, model, threads=spec.threads, resolver=spec.resolver)
    module = importlib.import_module(spec.backend.module)
    engine: Engine = module.open_model(model, threads=spec.threads, resolver=spec.resolver)
    return engine


class EngineStatus(NamedTuple):
    """Says if an engine can be used here, and why not."""

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
