"""Debian's packages and Python's, from where this machine gets its own."""

from __future__ import annotations

import subprocess
import sys


class Unreachable(Exception):
    """The Debian mirror or the package index does not answer; says so in its own words."""


_NO_ANSWER = ("E: Failed to fetch", "connection broken by", "Could not fetch URL", "ReadTimeout")


def debian_mirror() -> str:
    """The address of Debian's packages. Raises Unreachable where apt knows of none."""
    line = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    mirrors = [site for site in sites if site.endswith("/debian")]
    if not mirrors:
        raise Unreachable(
            "apt knows no Debian mirror: apt-get update has not run, or not on Debian"
        )
    return mirrors[0]


def fetch(*line: str) -> None:
    """Run what downloads; its output is shown where it fails. Raises Unreachable."""
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return
    for said in done.stdout.splitlines():
        if says_no_answer(said):
            raise Unreachable(said.strip())
    sys.stderr.write(done.stdout)
    done.check_returncode()


def says_no_answer(line: str) -> bool:
    """True for a line of apt's or pip's that says so, and not for something that does not exist."""
    return any(words in line for words in _NO_ANSWER)
