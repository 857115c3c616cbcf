"""The table of engines, and the choice of one: by name, or the default."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from edge_sdk.configuration import MAX_THREADS, nearest
from edge_sdk.engines.base import Resolver
from edge_sdk.errors import BundleError, ConfigError, MissingPackage
from edge_sdk.model.interface import PLAIN

AUTO = "auto"
"""Asks for the default engine."""

DEFAULT = "litert"
_ISOLATED = "isolated:"


class Backend(NamedTuple):
    """One row of the table of engines.

    module: of Edge SDK. library: the interpreter's Python package. install: the command that
    installs it. model: the kind of model it runs, a key of `models` in a manifest. tolerance: it
    computes as LiteRT does, within the golden rule's tolerance.
    """

    module: str
    package: str
    library: str
    help: str
    install: str = ""
    model: str = PLAIN
    tolerance: bool = False


BACKENDS: dict[str, Backend] = {
    "litert": Backend(
        "edge_sdk.engines.litert",
        "ai-edge-litert",
        "ai_edge_litert",
        "Google's LiteRT with XNNPACK (default)",
        "pip install ai-edge-litert",
        tolerance=True,
    ),
    "tflite-runtime": Backend(
        "edge_sdk.engines.tflite_runtime",
        "tflite-runtime",
        "tflite_runtime",
        "the older interpreter; Python 3.11 with numpy 1 only",
        'pip install "edge-sdk-core[tflite-runtime]" (Python 3.11 and numpy below 2)',
        tolerance=True,
    ),
    "fake": Backend(
        "edge_sdk.engines.fake", "", "", "repeatable made-up answers, for tests of the rest"
    ),
}


@dataclass(frozen=True)
class EngineSpec:
    """An engine that is asked for. isolated: in a child process. threads: CPU threads of one
    inference. resolver: "builtin-without-delegates" turns XNNPACK off.

    Raises ConfigError for an unknown name or an impossible number of threads.
    """

    name: str
    isolated: bool = False
    threads: int = 1
    resolver: Resolver = "builtin"

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"threads is {self.threads}", fix=f"use 1 to {MAX_THREADS} threads")
        if self.name not in BACKENDS:
            raise ConfigError(f"unknown engine {self.name!r}", fix=nearest(self.name, BACKENDS))

    @classmethod
    def parse(cls, text: str, *, threads: int = 1, resolver: Resolver = "builtin") -> EngineSpec:
        """The spec that "NAME", "isolated:NAME" or "auto" stands for. Raises ConfigError."""
        name = text.removeprefix(_ISOLATED)
        return cls(DEFAULT if name == AUTO else name, name != text, threads, resolver)

    @property
    def text(self) -> str:
        """NAME or isolated:NAME."""
        return f"{_ISOLATED if self.isolated else ''}{self.name}"

    @property
    def backend(self) -> Backend:
        """Its row of the table."""
        return BACKENDS[self.name]


def choose_engine(models: Collection[str], wanted: str = AUTO, *, threads: int = 1) -> EngineSpec:
    """The engine for a bundle with these kinds of models: the one `wanted` names, or the default.

    Raises ConfigError for an unknown name, BundleError where the bundle has no model for it.
    """
    spec = EngineSpec.parse(wanted, threads=threads)
    kind = spec.backend.model
    if kind not in models:
        raise BundleError(
            f"the bundle has no model for {spec.name}", fix=f"it has: {', '.join(models)}"
        )
    return spec


def missing_package(name: str, error: BaseException) -> MissingPackage:
    """The error for backend `name` whose package cannot be imported."""
    backend = BACKENDS[name]
    return MissingPackage(
        f"engine {name} needs {backend.package}, which is not usable here: {error}",
        # An interpreter is published for 64 bits alone; the processor may well be one.
        fix=backend.install if sys.maxsize > 2**32 else "install the 64-bit system (docs/pi.md)",
    )
