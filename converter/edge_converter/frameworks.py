"""TensorFlow and Keras, imported without the lines that their C++ code prints on the way."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

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
    with _closed_stderr() if silent else contextlib.nullcontext():
        importlib.import_module("tensorflow")
        importlib.import_module("keras")


@contextlib.contextmanager
def _closed_stderr() -> Iterator[None]:
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
