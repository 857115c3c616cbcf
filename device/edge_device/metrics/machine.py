"""Facts about this machine that a measurement must be read with. Nothing here identifies it."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_sdk.documents.run import Machine


def machine_facts(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """platform, cpu (None: not readable), cores, usable_cores, memory_bytes, python, kernel."""
    return {
        "platform": platform.platform(),
        "cpu": cpu_model(cpuinfo),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def cpu_model(cpuinfo: Path) -> str | None:
    """The processor's name (x86), else the board's (a Raspberry Pi's cpuinfo ends with it)."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    return found.get("model name") or found.get("Model")
