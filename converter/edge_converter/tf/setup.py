"""TensorFlow and Keras, imported without the lines that their C++ code prints on the way."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator

from edge_sdk.processes import stderr_closed

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS_ONLY_AS_EXCEPTIONS = "3"
_EXTRAS = ("matplotlib", "pandas", "sklearn")
"""Imported by Keras where it is installed: mlxtend brings it. Nothing here uses Keras' charts, its
wrappers for scikit-learn or data frames, and they take a quarter of the time.
"""

_left_out: list[str] = []


def leave_out_extras() -> None:
    """Let Keras do without them in this process, which runs a command of ours and no more."""
    _left_out[:] = _EXTRAS


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
    quiet = stderr_closed() if silent else contextlib.nullcontext()
    with quiet, _absent(_left_out), _no_collection():
        importlib.import_module("tensorflow")
        importlib.import_module("keras")


@contextlib.contextmanager
def _absent(names: list[str]) -> Iterator[None]:
    """Inside, these packages cannot be imported, unless they have been; afterwards they can."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Inside, no garbage is looked for. What an import makes stays, and looking through all of it
    again and again takes a fifth of TensorFlow's.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
