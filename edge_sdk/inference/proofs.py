"""Proofs that are remembered: a bundle's golden samples matched on an engine of this machine.

The state folder has a file for each bundle, engine and number of threads. It holds everything that
the engine's answers depend on. A file that cannot be read, or that says anything else than what is
found here now, counts for nothing: the bundle is proven again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from edge_sdk.bundle.reading import Bundle
from edge_sdk.engines import EngineInfo, EngineSpec
from edge_sdk.errors import FileError
from edge_sdk.files import state_folder, write_atomic

_SCHEMA = "edge-sdk/accepted/1"
_MAX_BYTES = 64 * 1024
_CPUINFO = Path("/proc/cpuinfo")
_PROCESSOR = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
)
"""Lines of /proc/cpuinfo that tell one kind of processor from another: x86-64, then Arm."""


def recall(bundle: Bundle, spec: EngineSpec) -> EngineInfo | None:
    """The engine that the bundle was proven on, with `spec`, on this machine as it is; or None."""
    with contextlib.suppress(OSError, ValueError, RecursionError, KeyError, TypeError):
        with _place(bundle, spec).open("rb") as file:
            record = json.loads(file.read(_MAX_BYTES))
        if isinstance(record, dict) and _conditions(bundle, spec).items() <= record.items():
            return EngineInfo(**record["engine"])
    return None


def remember(bundle: Bundle, spec: EngineSpec, info: EngineInfo) -> None:
    """Record that all golden samples matched. A state folder that is not there or cannot be written
    only costs the proof again next time.
    """
    record = {
        **_conditions(bundle, spec),
        "engine": info.as_dict(),
        "file": bundle.path.name.encode("utf-8", "backslashreplace").decode(),  # may be any bytes
    }
    with contextlib.suppress(FileError):
        write_atomic(_place(bundle, spec), json.dumps(record, indent=1).encode())


def _place(bundle: Bundle, spec: EngineSpec) -> Path:
    """Raises FileError for a user without a home."""
    name = hashlib.sha256(f"{bundle.sha256} {spec.text} {spec.threads}".encode()).hexdigest()
    return state_folder() / "accepted" / f"{name}.json"


def _conditions(bundle: Bundle, spec: EngineSpec) -> dict[str, Any]:
    """All that the answers depend on and that is known before the model is opened."""
    return {
        "schema": _SCHEMA,
        "bundle": bundle.sha256,
        "asked": {"engine": spec.text, "threads": spec.threads, "resolver": spec.resolver},
        "build": _build(spec.backend.library),
        "machine": {"architecture": os.uname().machine, "libc": _libc(), "cpu": _processor()},
    }


def _build(library: str) -> dict[str, list[int]]:
    """[bytes, time of change in ns] of the interpreter's files: an update changes them."""
    found = importlib.util.find_spec(library) if library else None
    if found is None or found.origin is None:
        return {}
    files = [Path(found.origin), *Path(found.origin).parent.glob("*.so*")]
    stats = {file.name: file.stat() for file in sorted(files)}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _libc() -> str:
    with contextlib.suppress(OSError, ValueError):  # another C library than glibc
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    return ""


def _processor() -> dict[str, str]:
    """The first processor's lines; {} without /proc."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError), _CPUINFO.open(encoding="utf-8") as lines:
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                break  # an empty line: the next processor follows
            if name.strip() in _PROCESSOR:
                found[name.strip()] = value.strip()
    return found
