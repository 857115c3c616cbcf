"""`edge-sdk run` and `edge-sdk bench` as processes: what they print, leave behind and answer."""

from __future__ import annotations

import html
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waiting import PATIENCE_S

Command = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., tuple[str, str]]
WaitFor = Callable[[Callable[[], bool], subprocess.Popen[str]], None]

EDGE_SDK = [sys.executable, "-m", "edge_sdk.cli"]
RUN = [*EDGE_SDK, "run"]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Callable[..., Path]) -> Path:
    return tiny_bundle()


def test_run_prints_one_document_and_leaves_the_files(
    bundle: Path, tmp_path: Path, write_images: Callable[..., Any], command: Command
) -> None:
    write_images(tmp_path / "我的 images", 6)
    done = command(
        *("run", bundle, "--camera", f"folder:{tmp_path / '我的 images'}?fps=max"),
        *("--report", tmp_path / "report", "--jsonl", tmp_path / "r.jsonl", "--json"),
        *("--board", "rpi4", "--threads", "1", "--policy", "all", "--min-score", "0.01"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["results"] == 6
    assert document["policy"] == "all"
    assert document["energy_model"]["label"] == "MODEL"
    assert json.loads((tmp_path / "report" / "run.json").read_text("utf-8")) == document
    assert "<html" in (tmp_path / "report" / "report.html").read_text("utf-8")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(6))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "run",
            {
                **{"--camera": "fake?fps=max", "--frames": "20", "--engine": "litert"},
                **{"--threads": "1", "--policy": "all", "--min-score": "0.25"},
            },
        ),
        ("bench", {"--scenario": "offline", "--seconds": "0.1", "--repeats": "2"}),
        ("bench", {"--scenario": "multi-stream", "--seconds": "0.1", "--streams": "3"}),
    ],
)
def test_a_report_shows_the_command_that_makes_it_again(
    bundle: Path, tmp_path: Path, name: str, options: dict[str, str], command: Command
) -> None:
    given = [word for pair in options.items() for word in pair]
    done = command(name, bundle, *given, "--report", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["command"][:3] == ["edge-sdk", name, str(bundle)]
    assert sorted(document["command"][3:]) == sorted(given)
    page = html.unescape((tmp_path / "report.html").read_text("utf-8"))
    assert shlex.join([*document["command"], "--report", "DIR"]) in page
    again = command(*document["command"][1:], "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["command"] == document["command"]


def test_run_says_what_it_found(bundle: Path, tmp_path: Path, command: Command) -> None:
    done = command(
        *("run", bundle, "--camera", "fake?fps=max", "--frames", "20"),
        *("--report", tmp_path, "--board", "rpi4+coral-usb"),
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for words in (
        "tiny 1.0.0",
        "litert",
        "golden exact",
        "fake?fps=max (replayed), policy block",
        "20 in",
        "drops",
        "not measured; no MODEL: rpi4+coral-usb",
        "too few samples",
        "frame age",
        "no: ",
        str(tmp_path / "report.html"),
    ):
        assert words in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "BUNDLE", "--camera", "synthetic?fps=50", "--seconds", "2.5"], [" fps ", "class"]),
        (
            ["bench", "BUNDLE", "--seconds", "0.6", "--repeats", "2"],
            ["repeat 1 of 2: warm-up", "repeat 1 of 2: 0 of 0.6 s, ", "repeat 2 of 2: warm-up"],
        ),
        (
            ["compare", "BUNDLE", "BUNDLE", "--data", "DATA", "--rounds", "3"],
            [": opening"],
        ),
    ],
    ids=["run", "bench", "compare"],
)
def test_progress_on_a_terminal(
    bundle: Path,
    tmp_path: Path,
    write_images: Callable[..., Any],
    arguments: list[str],
    words: list[str],
) -> None:
    write_images(tmp_path / "class0", 6)
    given = {"BUNDLE": str(bundle), "DATA": str(tmp_path)}
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*EDGE_SDK, *(given.get(word, word) for word in arguments)],
        stdout=subprocess.PIPE,
        stderr=follower,
        timeout=PATIENCE_S,
        check=True,
    )
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    os.close(follower)
    left = shown.rpartition("\r\x1b[K")[2]
    for word in words:
        assert word in shown
        assert word not in left and word.encode() not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("camera", ["synthetic?fps=100", "synthetic?fps=max", "synthetic?fps=0.5"])
def test_a_signal_ends_a_run_with_its_report(
    bundle: Path, tmp_path: Path, number: signal.Signals, camera: str, wait_for: WaitFor
) -> None:
    lines = tmp_path / "r.jsonl"
    options = ["--jsonl", str(lines), "--report", str(tmp_path / "report"), "--json"]
    process = subprocess.Popen(
        [*RUN, str(bundle), "--camera", camera, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: lines.exists() and lines.stat().st_size > 0, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["results"] >= 1
    assert json.loads((tmp_path / "report" / "run.json").read_text("utf-8")) == json.loads(stdout)
    assert len(lines.read_text("utf-8").splitlines()) == json.loads(stdout)["results"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_benchmark_with_its_report(
    bundle: Path, tmp_path: Path, number: signal.Signals, wait_for: WaitFor
) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_sdk.cli", "bench", str(bundle)),
            *("--seconds", "60", "--report", str(tmp_path / "report"), "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / "report").is_dir, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["schema"] == "edge-sdk/bench/1"
    assert (tmp_path / "report" / "bench.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_for_a_rate_with_its_report(
    bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A bound of 10 s makes each trial last 100 s."""
    leader, follower = pty.openpty()
    options = ["--scenario", "server", "--latency-bound", "10000", "--json"]
    process = subprocess.Popen(
        [*EDGE_SDK, "bench", str(bundle), *options, "--report", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
    )
    os.close(follower)
    shown = b""
    while b"trial 1" not in shown:
        shown += os.read(leader, 65536)
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    os.close(leader)
    assert process.returncode == 0
    document = json.loads(stdout)
    assert json.loads((tmp_path / "bench.json").read_text("utf-8")) == document
    assert document["server"]["rate"] is None
    assert document["n"] == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "It was stopped after 0 trials, before a rate was found." in page


def test_a_soak_goes_on_until_it_is_ended(bundle: Path, tmp_path: Path, wait_for: WaitFor) -> None:
    process = subprocess.Popen(
        [*EDGE_SDK, "bench", str(bundle), "--soak", "--json", "--report", str(tmp_path / "report")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / "report").is_dir, process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert document["soak"]["frames"] == document["n"] > 0
    assert document["soak"]["constant"] is None
    assert document["command"] == ["edge-sdk", "bench", str(bundle), "--soak"]


def test_bench_says_what_it_found(bundle: Path, command: Command) -> None:
    done = command("bench", bundle, "--seconds", "0.1", "--scenario", "offline", "--threads", "2")
    assert done.returncode == 0, done.stderr
    for words in ("offline, 2 workers, synthetic 1280 x 720 frames", "1 thread,", "preprocess"):
        assert words in done.stdout
    assert "frame age" not in done.stdout
    assert "capture" not in done.stdout


def test_a_video_that_ends_early_is_a_warning(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path], command: Command
) -> None:
    path = write_video(tmp_path / "film.mkv", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    done = command("run", bundle, "--camera", f"video:{path}?fps=max", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert 0 < document["results"] < 40
    assert document["notes"][0] in done.stderr
    assert done.stderr.startswith("warning: the video ended after")


def test_unreadable_images_are_told(
    bundle: Path, tmp_path: Path, write_images: Callable[..., Any], command: Command
) -> None:
    write_images(tmp_path, 3)
    for number in range(7):
        (tmp_path / f"bad{number}.png").write_bytes(b"no image")
    camera, report = f"folder:{tmp_path}?fps=max", tmp_path / "report"
    done = command("run", bundle, "--camera", camera, "--report", report)
    assert "7 images skipped" in done.stdout
    (note,) = json.loads((report / "run.json").read_text("utf-8"))["notes"]
    assert [f"{tmp_path}/bad{number}.png cannot be decoded" in note for number in range(7)] == (
        [True] * 5 + [False] * 2
    )
    assert note.endswith("; and 2 more")
    assert f"warning: {note}\n" == done.stderr
    assert html.escape(note) in (report / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("run", ["--camera", "fake?frames=3&fps=max"]),
        ("bench", ["--seconds", "0.1", "--repeats", "2", "--scenario", "offline"]),
    ],
)
def test_an_engine_without_bounds_is_warned_about(
    bundle: Path, name: str, options: list[str], command: Command
) -> None:
    done = command(name, bundle, *options, "--engine", "fake")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: answers are unproven") == 1
    assert "unproven" in done.stdout


def test_without_a_camera_the_fix_names_some(
    bundle: Path, command: Command, refused: Refused
) -> None:
    attached = json.loads(command("cameras", "--json").stdout)["cameras"]
    if any(camera["usable"] for camera in attached):
        pytest.skip("NOT TESTED: a camera is attached here, and run would take it")
    error, fix = refused(command("run", bundle, "--json"))
    assert "camera" in error
    assert "folder:" in fix
    assert "video:" in fix


@pytest.mark.parametrize("fps", ["0", "-1", "abc"])
def test_a_rate_that_is_none(bundle: Path, fps: str, command: Command, refused: Refused) -> None:
    error, fix = refused(command("run", bundle, "--camera", f"folder:x?fps={fps}"))
    assert f"fps is '{fps}'" in error
    assert "fps=max" in fix


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing.edge", "--camera", "fake"],
        [".", "--camera", "fake"],
        ["BUNDLE", "--camera", "folder:nowhere"],
        ["BUNDLE", "--camera", "video:nothing.mp4"],
        ["BUNDLE", "--camera", "folder:empty"],
        ["BUNDLE", "--camera", "picamera2"],
        ["BUNDLE", "--camera", "fake", "--board", "rpi99"],
        ["BUNDLE", "--camera", "fake", "--engine", "litrt"],
        ["BUNDLE", "--camera", "fake", "--report", "file/inside"],
        ["BUNDLE", "--camera", "fake", "--jsonl", "file/inside.jsonl"],
    ],
)
def test_errors_have_a_fix(
    bundle: Path, tmp_path: Path, arguments: list[str], command: Command, refused: Refused
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    given = [str(bundle) if word == "BUNDLE" else word for word in arguments]
    refused(command("run", *given, "--frames", "2", cwd=tmp_path))


@pytest.mark.parametrize(
    "arguments", [["run", "--camera", "fake", "--frames", "5"], ["bench", "--seconds", "0.1"]]
)
def test_a_report_without_a_place_is_refused_before_anything_is_measured(
    bundle: Path, arguments: list[str], command: Command, refused: Refused
) -> None:
    """Measured first, its answer would stand before the error."""
    name, *options = arguments
    done = command(name, bundle, *options, "--report", "/proc")
    error, fix = refused(done)
    assert "cannot write a report to /proc" in error and "--report" in fix
    assert len(done.stderr.splitlines()) == 2


def test_a_run_that_cannot_begin_leaves_the_old_results(
    bundle: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    lines = tmp_path / "r.jsonl"
    lines.write_text("precious")
    refused(command("run", bundle, "--camera", f"folder:{tmp_path}", "--jsonl", lines))
    assert lines.read_text() == "precious"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "BUNDLE", "--policy", "newest"],
        ["run", "BUNDLE", "--seconds", "0"],
        ["run", "BUNDLE", "--frames", "0"],
        ["run", "BUNDLE", "--meter", "fake"],
        ["bench", "BUNDLE", "--scenario", "fast"],
        ["bench", "BUNDLE", "--repeats", "0"],
        ["bench", "BUNDLE", "--threads", "0"],
        ["bench", "BUNDLE", "--latency-bound", "0"],
        ["bench", "BUNDLE", "--streams", "0"],
    ],
)
def test_usage(arguments: list[str], command: Command) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from edge_device.cli import cameras, capture, run; "
        "commands = (run.run, run.bench, cameras.cameras, capture.capture); "
        "[command.main(['--help'], standalone_mode=False) for command in commands]; "
        "heavy = {'numpy', 'cv2', 'ai_edge_litert', 'av', 'edge_device.run.runtime', "
        "'edge_device.capture.capture'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
