"""Opening a model that nobody here has run before: in a child process first.

A crafted file can crash an interpreter. So a model given by itself, or in a bundle that this
machine has not accepted yet, is opened and run once in a child; a bundle that survives, and whose
golden outputs match, is remembered by its SHA-256 in the state folder.
"""

from __future__ import annotations

import contextlib
import hashlib

from edge_sdk.bundle.reading import Bundle
from edge_sdk.engines import Engine, open_engine
from edge_sdk.errors import FileError
from edge_sdk.files import state_folder, write_atomic
from edge_sdk.inference.golden import GoldenCheck, require_golden


def open_bundle_engine(
    bundle: Bundle, name: str = "litert", *, threads: int = 1
) -> tuple[Engine, GoldenCheck]:
    """An engine on a bundle's model, proven by its golden samples.

    Raises ModelError when the model crashes its interpreter, GateFailed when its golden outputs
    do not match, and what `open_engine` raises.
    """
    known = _is_accepted(bundle, name)
    if not known:
        from edge_sdk.engines.isolated import try_model  # most starts need no child

        try_model(name, bundle.model())
    engine = open_engine(name, bundle.model(), threads=threads)
    try:
        check = require_golden(bundle, engine)
    except BaseException:
        engine.close()
        raise
    if not known and check.passed:
        _accept(bundle, name)
    return engine, check


def open_bare_engine(model: bytes, name: str = "litert", *, threads: int = 1) -> Engine:
    """An engine on a .tflite file given by itself. Raises as `open_bundle_engine`, but for golden
    outputs: there are none.
    """
    from edge_sdk.engines.isolated import try_model

    try_model(name, model)
    return open_engine(name, model, threads=threads)


def _key(bundle: Bundle, engine: str) -> str:
    return hashlib.sha256(f"{bundle.sha256} {engine}".encode()).hexdigest()


def _is_accepted(bundle: Bundle, engine: str) -> bool:
    with contextlib.suppress(OSError):
        return (state_folder() / "accepted" / _key(bundle, engine)).is_file()
    return False


def _accept(bundle: Bundle, engine: str) -> None:
    # A state folder that is not there or cannot be written only costs the check again next time.
    with contextlib.suppress(FileError):
        note = f"{bundle.sha256} {engine} {bundle.path.name}\n"
        # A file's name need not be UTF-8.
        data = note.encode("utf-8", "backslashreplace")
        write_atomic(state_folder() / "accepted" / _key(bundle, engine), data)
