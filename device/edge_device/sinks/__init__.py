"""Sinks: where answers go, behind one small interface.

    with open_sink("jsonl:results.jsonl") as sink:
        sink.write(frame, result)

Backends are opened by name; each imports what it needs when it is opened, not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from edge_device.sinks.base import Sink
from edge_sdk.specs import Kind, flag, read_spec, whole

__all__ = ["BACKENDS", "Sink", "open_sink"]

_COMMON = ("required", "capacity")

_PARAMETERS = {
    "required": flag("required"),
    "capacity": whole("capacity", 8, min=0, max=1024, unit="answers that wait"),
}

BACKENDS: dict[str, Kind] = {
    "console": Kind("edge_device.sinks.console_line", "a status line a second", "", _COMMON),
    "jsonl": Kind("edge_device.sinks.jsonl", "a JSON line per result", "FILE", _COMMON),
    "preview": Kind("edge_device.sinks.preview", "the latest annotated frame", "FILE.jpg", _COMMON),
    "fake": Kind("edge_device.sinks.fake", "remembers what it was given, for tests", "", _COMMON),
}


def open_sink(spec: str, *, stop: Callable[[], bool] = lambda: False) -> Sink:
    """Open the sink that KIND[:ADDRESS][?name=value] names. Raises ConfigError, FileError.

    All take `required` (0 or 1) and `capacity`, as Sink has them. Opening one may take long: `stop`
    is asked meanwhile; True gives a sink that nothing need be written to.
    """
    asked = read_spec(spec, BACKENDS, _PARAMETERS, of="sink")
    module = importlib.import_module(BACKENDS[asked.kind].module)
    sink: Sink = module.open_backend(asked.address, stop, **asked.values)
    return sink
