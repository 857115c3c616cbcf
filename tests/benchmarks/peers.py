"""The environment of the peers that cannot live in this one: MediaPipe, tflite-runtime.

PEERS_PYTHON names one that is there; otherwise .venv-peers is made once from constraints/peers.txt,
and again when that changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from builds import ROOT

PINS = ROOT / "constraints" / "peers.txt"
FOLDER = ROOT / ".venv-peers"


class NoPeers(Exception):
    """Why there is no such environment, for the page."""


def python() -> Path:
    """Its python. Raises NoPeers."""
    if named := os.environ.get("PEERS_PYTHON"):
        if shutil.which(named) is None:
            raise NoPeers("PEERS_PYTHON names no program")
        return Path(named)
    found = FOLDER / "bin" / "python"
    stamp = FOLDER / hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]
    if not stamp.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        _run(_python_3_11(), "-m", "venv", str(FOLDER))
        pip = (str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--requirement", str(PINS))
        stamp.touch()
    return found


def _python_3_11() -> str:
    """The last Python that tflite-runtime is made for."""
    probe = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))"
    for found in (sys.executable, shutil.which("python3.11")):
        if found and subprocess.run([found, "-c", probe], check=False).returncode == 0:
            return found
    raise NoPeers("there is no Python 3.11 for them here")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise NoPeers(f"their packages cannot be installed ({lines[-1]})")
