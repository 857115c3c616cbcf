"""What every test may ask for: the session's state, the command, the shared data, a clock. Bundles,
detectors, images, results and network cameras are in fixtures/.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from waiting import PATIENCE_S

pytest_plugins = (
    "tiny_bundles",
    "tiny_detectors",
    "written_images",
    "camera_servers",
    "captures",
    "made_results",
)

REPOSITORY = Path(__file__).parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# A job that a shell starts in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CAMPAIGN = os.environ.get("EDGE_SDK_CAMPAIGN") == "1"

# Seeded in every run, searching in a campaign. Examples have no deadline: machines are shared.
settings.register_profile(
    "edge-sdk",
    deadline=None,
    derandomize=not CAMPAIGN,
    max_examples=2000 if CAMPAIGN else 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edge-sdk")

LONGEST = ("test_demo.py", "test_second_environment.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These files first, so that at the end no process waits for the other. pytest 9 takes no such
    order from its command line: it drops what another argument holds.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def session_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test touches the state folder of whoever runs it; one folder serves the whole session, all
    its processes, so that a bundle is opened in a child process once, not once a test.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "state"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture
def fresh_state(tmp_path: Path) -> Iterator[Path]:
    """A state folder that has accepted nothing yet: `$XDG_STATE_HOME/edge-sdk`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield tmp_path / "state" / "edge-sdk"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of models and photos beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("NOT TESTED: there is no ../shared/data beside the repository")
    return SHARED_DATA


@pytest.fixture
def campaign(record_property: Callable[[str, object], None]) -> Callable[[str, int, int], int]:
    """`campaign("bundles", sample, full)`: how many to try, and recorded: all with
    EDGE_SDK_CAMPAIGN=1.
    """

    def count(what: str, sample: int, full: int) -> int:
        tried = full if CAMPAIGN else sample
        record_property(what, tried)
        return tried

    return count


@pytest.fixture(scope="session")
def unmeasured() -> dict[str, str]:
    """The environment of a process that a test kills or lets run out of room: its coverage is not
    measured, because the record would be left half written.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


class DrivenClock:
    """Time that passes only when somebody sleeps or says so. `sleeps`: every sleep, in seconds."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000
        self.sleeps: list[float] = []

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.ns += round(seconds * 1e9)

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@pytest.fixture
def driven_clock() -> DrivenClock:
    """A clock of one thread: `now_ns`, `sleep`, `advance(seconds)`."""
    return DrivenClock()


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`command("predict", …, env={…}, cwd=…)`: the finished process of that `edge-sdk` line."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edge_sdk.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
        )

    return run
