"""Engine `litert`: ai-edge-litert, with XNNPACK by default."""

from __future__ import annotations

from edge_sdk.engines.backends import missing_package
from edge_sdk.engines.base import Engine, Resolver
from edge_sdk.engines.interpreter import InterpreterEngine


def open_model(model: bytes, *, threads: int, resolver: Resolver) -> Engine:
    """Open a .tflite model. Raises MissingPackage, ModelError."""
    try:
        from ai_edge_litert import __version__
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise missing_package("litert", error) from error
    kinds = {
        "builtin": OpResolverType.BUILTIN,
        "builtin-without-delegates": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }
    return InterpreterEngine(
        lambda: Interpreter(
            model_content=model,
            num_threads=threads,
            experimental_op_resolver_type=kinds[resolver],
        ),
        name="litert",
        version=__version__,
        resolver=resolver,
        threads=threads,
    )
