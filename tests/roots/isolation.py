"""Mount and process namespaces of its own for what runs in a root."""

from __future__ import annotations

import os
import shutil
import subprocess

_ISOLATED = (
    *("setpriv", "--pdeathsig", "KILL"),  # whatever ends us ends all of it
    *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
)


def isolated(script: str, line: list[str]) -> list[str]:
    """A command line that runs a shell script, with `line` as its arguments, in namespaces of its
    own.
    """
    return [*_ISOLATED, "sh", "-c", script, "sh", *line]


def why_not(packages: dict[str, str]) -> str:
    """What keeps roots from being built and entered here, or "".

    packages: the programs needed, each with the Debian packages that have it.
    """
    missing = sorted({deb for tool, deb in packages.items() if not shutil.which(tool)})
    if missing:
        return f"missing: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "not root: mounting needs it"
    line = isolated("mount -t proc proc /proc", [])
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return f"mounting is not allowed here: {done.stderr.strip()}" if done.returncode else ""
