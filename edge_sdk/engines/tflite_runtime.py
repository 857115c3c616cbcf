"""Engine `tflite-runtime`: the older interpreter, for Python 3.11 with numpy 1."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from edge_sdk.engines.backends import missing_package
from edge_sdk.engines.base import Engine, Resolver
from edge_sdk.engines.interpreter import InterpreterEngine
from edge_sdk.tflite.graph import read_graph


def open_model(model: bytes, *, threads: int, resolver: Resolver) -> Engine:
    """Open a .tflite model. Raises MissingPackage (also on numpy 2, where it imports but cannot
    open anything), ModelError.
    """
    try:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise missing_package("tflite-runtime", error) from error
    if int(np.__version__.split(".")[0]) >= 2:
        reason = ImportError(f"it was built for numpy 1, this is numpy {np.__version__}")
        raise missing_package("tflite-runtime", reason)
    read_graph(model)  # it verifies nothing: a file that is cut off would end the process
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
        name="tflite-runtime",
        version=version("tflite-runtime"),
        resolver=resolver,
        threads=threads,
    )
