"""`edge-sdk demo` as a new user runs it: one process, one folder, nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from document_types import check_document
from edge_sdk import Bundle, evaluate
from waiting import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    state = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "edge_sdk.cli", "demo", "--out", "my demo"],
        cwd=folder,
        env=state,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return folder / "my demo", done


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_leaves_what_the_contract_names(demo: Any) -> None:
    folder, _ = demo
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("digits-1.0.0.edge", "digits-1.0.0.build"),
        *("build.json", "run.json", "report.html"),
    }


def test_prints_the_table_and_the_commands(demo: Any) -> None:
    folder, done = demo
    for word in (
        "float accuracy",
        "int8 accuracy",
        "bytes",
        "frames per second",
        "p50",
        "p90",
        "p99",
        "not measured",
        str(Path(folder.name) / "report.html"),
    ):
        assert word in done.stdout
    assert "$ edge-sdk build recipe:digits_seed" in done.stderr
    assert "$ edge-sdk run" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_document_is_of_its_type(demo: Any) -> None:
    folder, _ = demo
    build, run = _read(folder / "build.json"), _read(folder / "run.json")
    kept = _read(folder / "digits-1.0.0.build" / "build.json")
    with Bundle.open(folder / "digits-1.0.0.edge") as bundle:
        packed = bundle.build
    demo_document = {
        "schema": "edge-sdk/demo/1",
        "bundle": str(folder / "digits-1.0.0.edge"),
        "report": str(folder / "report.html"),
        "build": build,
        "run": run,
    }
    for document in (build, kept, packed, run, demo_document):
        check_document(document)


def test_int8_digits_are_right(demo: Any) -> None:
    folder, _ = demo
    build = _read(folder / "build.json")
    assert build["converted"]["n"] == 1000
    assert build["converted"]["correct"] >= 960
    low, high = build["converted"]["interval"]
    assert low < build["converted"]["accuracy"] < high
    assert build["float"]["correct"] - build["converted"]["correct"] <= 5
    assert build["passed"] is True


def test_evaluate_confirms_the_record(demo: Any) -> None:
    folder, _ = demo
    with Bundle.open(folder / "digits-1.0.0.edge") as bundle:
        found = evaluate(bundle, "digits")
    record = _read(folder / "build.json")["converted"]
    assert (found.correct, found.n) == (record["correct"], record["n"])
    assert found.seen_in_training == 0


def test_run_record_is_measured_or_null(demo: Any) -> None:
    folder, _ = demo
    run = _read(folder / "run.json")
    assert run["schema"] == "edge-sdk/run/1"
    assert run["valid"] is (run["invalid_because"] is None)
    least = {"p50": 11, "p90": 64, "p95": 130, "p99": 662, "p999": 6636}
    for name, count in least.items():
        assert (run["latency"][name] is None) is (run["n"] < count)
    assert run["latency"]["p50"] <= run["latency"]["p90"] <= run["latency"]["max"]
    assert run["energy_measured"] is None
    assert run["energy_model"]["label"] == "MODEL"
    assert run["golden"]["rule"] == "exact" and run["golden"]["passed"]


def test_report_opens_from_disk(demo: Any) -> None:
    folder, _ = demo
    text = (folder / "report.html").read_text("utf-8")
    links: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(v or "" for k, v in attrs if k in ("src", "href"))

    Links().feed(text)
    assert not [link for link in links if not link.startswith(("#", "data:"))]
    assert "MODEL" in text and "not measured" in text
