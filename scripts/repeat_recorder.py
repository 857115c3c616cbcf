"""A pytest plugin for repeat_tests.py: which tests failed, and what they started."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

_PROCESSES = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn")
"""Python's audit events for a process that is started, by whichever function."""


class Recorder:
    """Writes what it saw at the end of the session."""

    def __init__(self) -> None:
        self._testing = False
        self._starts: set[str] = set()
        self._failures: dict[str, str] = {}
        sys.addaudithook(self._heard)
        self._start_thread = threading.Thread.start
        threading.Thread.start = lambda thread: self._started(thread)  # type: ignore[method-assign]

    def _heard(self, event: str, arguments: object) -> None:
        if self._testing and event in _PROCESSES:
            self._starts.add("process")

    def _started(self, thread: threading.Thread) -> None:
        if self._testing:
            self._starts.add("thread")
        self._start_thread(thread)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Only what a test or its fixtures start counts."""
        self._testing = True
        try:
            return (yield)
        finally:
            self._testing = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that failed, or its setup or teardown."""
        if report.failed:
            self._failures[f"{report.nodeid} ({report.when})"] = report.longreprtext[-4000:]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        if report.failed:
            self._failures[f"{report.nodeid} (collect)"] = report.longreprtext[-4000:]

    def pytest_sessionfinish(self) -> None:
        """Write it where $EDGE_SDK_TEST_RECORD says."""
        found = {"starts": sorted(self._starts), "failures": self._failures}
        Path(os.environ["EDGE_SDK_TEST_RECORD"]).write_text(json.dumps(found))


def pytest_configure(config: pytest.Config) -> None:
    """Record this session."""
    config.pluginmanager.register(Recorder())
