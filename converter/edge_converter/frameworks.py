"""TensorFlow and Keras, imported without the lines that their C++ code prints on the way."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

from edge_sdk.processes import stderr_closed

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS_ONLY_AS_EXCEPTIONS = "3"


def load_tensorflow() -> None:
    """Import both, once; to be called before either is imported.

    The level silences TensorFlow's log, but not the lines from before that log is set up: for
    those, standard error is closed off meanwhile. What goes wrong comes as an exception. With
    another TF_CPP_MIN_LOG_LEVEL in the environment everything is printed as it asks.
    """
    if "keras" in sys.modules:
        return
    wanted = os.environ.setdefault(_LEVEL, _ERRORS_ONLY_AS_EXCEPTIONS)
    silent = wanted == _ERRORS_ONLY_AS_EXCEPTIONS
    with stderr_closed() if silent else contextlib.nullcontext():
        importlib.import_module("tensorflow")
        importlib.import_module("keras")
