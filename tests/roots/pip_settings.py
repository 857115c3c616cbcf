"""The package index that this machine's pip asks, for a pip in a root to ask the same."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

_PASSED_ON = re.compile(
    r"PIP_\w+|\w*_CERT\w*|\w+_CA_BUNDLE|OPENBLAS_\w+|(HTTPS?|ALL|NO)_PROXY|CI", re.IGNORECASE
)
_PIP = (sys.executable, "-m", "pip")


def environment() -> dict[str, str]:
    """This machine's settings of pip, proxies, certificates and processor."""
    return {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}


def configuration() -> str:
    """All of pip's configuration files as one."""
    sections: dict[str, list[str]] = {}
    for (section, key), value in _settings():
        lines = "\n    ".join(value.split())
        sections.setdefault(section, []).append(f"{key} = {lines}\n")
    return "".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())


def local_paths() -> list[Path]:
    """The files and folders of this machine that these settings name; for a `file:` URL the folder
    around it, because an index there links to what lies beside it.
    """
    values = [*(value for _, value in _settings()), *environment().values()]
    paths = {_path(word) for value in values for word in value.split()}
    return sorted(path for path in paths if path.is_absolute() and path.exists())


def download_cache() -> Path:
    """The folder in which pip keeps what it downloaded."""
    line = [*_PIP, "cache", "dir"]
    folder = Path(subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _path(word: str) -> Path:
    url = urlsplit(word)
    return Path(url.path).parent if url.scheme == "file" else Path(word)


def _settings() -> Iterator[tuple[tuple[str, str], str]]:
    """Section and key, with the value; a later one replaces an earlier one."""
    line = [*_PIP, "config", "list"]
    listed = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    for setting in listed.splitlines():
        name, _, value = setting.partition("=")
        section, _, key = name.partition(".")
        if not section.startswith(":"):  # those of the environment are passed on as they are
            yield (section, key), ast.literal_eval(value)
