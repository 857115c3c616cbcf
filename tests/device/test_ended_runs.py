"""A run that ends with an error: what was measured until then is told and kept."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_device.streaming import stream
from edge_sdk.errors import CameraError, FileError

Command = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Callable[..., Path]) -> Path:
    return tiny_bundle()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_full_disk_ends_a_run_with_its_report(
    bundle: Path, tmp_path: Path, command: Command, as_json: bool, refused: Refused
) -> None:
    done = command(
        *("run", bundle, "--camera", "fake?fps=max", "--jsonl", "/dev/full"),
        *("--report", tmp_path / "report", *(["--json"] if as_json else [])),
    )
    assert "No space left" in refused(done)[0]
    saved = json.loads((tmp_path / "report" / "run.json").read_text("utf-8"))
    assert saved["results"] == 1
    assert "ended by an error: cannot write to /dev/full" in saved["notes"][0]
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "ended by an error: cannot write to /dev/full" in page
    answer = done.stderr.rpartition("error: ")[0]
    if as_json:
        assert json.loads(answer) == saved
    else:
        assert "1 in" in answer
        assert str(tmp_path / "report" / "report.html") in answer


def test_a_camera_that_fails_ends_a_run_with_its_report(
    bundle: Path, tmp_path: Path, write_pictures: Callable[..., list[Path]], refused: Refused
) -> None:
    """The folder is gone through again and again; after a while its pictures are gone."""
    paths = write_pictures(tmp_path / "pictures", 3)
    lines, report = tmp_path / "r.jsonl", tmp_path / "report"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_sdk.cli", "run", str(bundle), "--jsonl", str(lines)),
            *("--camera", f"folder:{tmp_path / 'pictures'}?fps=100&loop=1"),
            *("--report", str(report)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not (lines.exists() and lines.stat().st_size):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    for path in paths:
        path.unlink()
    stdout, stderr = process.communicate(timeout=60)
    done = subprocess.CompletedProcess([], process.returncode, stdout, stderr)
    assert "none of the 3 pictures" in refused(done)[0]
    saved = json.loads((report / "run.json").read_text("utf-8"))
    assert saved["results"] == len(lines.read_text("utf-8").splitlines()) >= 1
    assert saved["unreadable"] == 3


def test_a_run_without_an_answer_leaves_the_old_report(
    bundle: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "run.json").write_text("precious")
    done = command("run", bundle, "--camera", f"folder:{tmp_path}", "--report", tmp_path)
    assert "none of the 1 pictures" in refused(done)[0]
    assert len(done.stderr.splitlines()) == 2
    assert (tmp_path / "run.json").read_text() == "precious"


def test_the_first_error_is_the_one_that_is_told(
    bundle: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    (tmp_path / "run.json").mkdir()  # nothing can be written there either
    done = command(
        *("run", bundle, "--camera", "fake?fps=max", "--jsonl", "/dev/full"),
        *("--report", tmp_path),
    )
    assert "/dev/full" in refused(done)[0]
    assert f"warning: {tmp_path / 'run.json'} is a folder" in done.stderr
    assert "1 in" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["run", "--camera", "fake?fps=max&frames=20"], ["bench", "--seconds", "0.1"]],
)
def test_a_report_that_cannot_be_saved_is_told_after_the_answer(
    bundle: Path, tmp_path: Path, command: Command, arguments: list[str], refused: Refused
) -> None:
    name, *options = arguments
    (tmp_path / f"{name}.json").mkdir()
    done = command(name, bundle, *options, "--report", tmp_path, "--json")
    assert "is a folder" in refused(done)[0]
    assert json.loads(done.stderr.rpartition("error: ")[0])["schema"] == f"edge-sdk/{name}/1"


def test_an_outcome_holds_the_report_and_the_error(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = stream(bundle, "fake?fps=max&frames=5", sinks=["fake"])
    assert (whole.report.as_dict()["results"], whole.error) == (5, None)
    assert whole.report.as_dict()["notes"] == []
    cut = stream(bundle, "fake?fps=max", sinks=["jsonl:/dev/full"])
    assert isinstance(cut.error, FileError)
    assert cut.report.as_dict()["results"] == 1
    with pytest.raises(CameraError):
        stream(bundle, None)
    with pytest.raises(FileError):
        stream(bundle, "fake", sinks=[f"jsonl:{tmp_path}"])
    assert capsys.readouterr().out == ""


def test_a_file_name_that_is_not_utf8_does_not_end_a_run(
    bundle: Path, tmp_path: Path, write_pictures: Callable[..., Any], command: Command
) -> None:
    (first, *_) = write_pictures(tmp_path / "pictures", 2)
    odd = first.rename(first.with_name("caf\udce9.png"))
    lines = tmp_path / "r.jsonl"
    done = command(
        *("run", bundle, "--camera", f"folder:{tmp_path / 'pictures'}?fps=max"),
        *("--jsonl", lines, "--report", tmp_path / "report"),
    )
    assert done.returncode == 0, done.stderr
    sources = [json.loads(line)["source"] for line in lines.read_text("utf-8").splitlines()]
    assert len(sources) == 2 and str(odd) in sources
