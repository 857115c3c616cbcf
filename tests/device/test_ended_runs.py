"""A run that ends with an error: what was measured until then is told and kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_device.run.stream import stream
from edge_device.sinks.fake import FakeSink
from edge_sdk import Frame, open_engine
from edge_sdk.bundle.reading import Golden, write_bundle
from edge_sdk.errors import CameraError, FileError
from edge_sdk.images.image_files import write_image
from edge_sdk.inference.golden import answers
from edge_sdk.tflite.tiny import tiny_classifier
from waiting import PATIENCE_S

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
    bundle: Path,
    tmp_path: Path,
    write_images: Callable[..., list[Path]],
    refused: Refused,
    wait_for: Callable[..., None],
) -> None:
    """The folder is gone through again and again; after a while its images are gone."""
    paths = write_images(tmp_path / "images", 3)
    lines, report = tmp_path / "r.jsonl", tmp_path / "report"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_sdk.cli", "run", str(bundle), "--jsonl", str(lines)),
            *("--camera", f"folder:{tmp_path / 'images'}?fps=100&loop=1"),
            *("--report", str(report)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: lines.exists() and lines.stat().st_size > 0, process)
    for path in paths:
        path.unlink()
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    done = subprocess.CompletedProcess([], process.returncode, stdout, stderr)
    assert "none of the 3 images" in refused(done)[0]
    saved = json.loads((report / "run.json").read_text("utf-8"))
    assert saved["results"] == len(lines.read_text("utf-8").splitlines()) >= 1
    assert saved["unreadable"] == 3


def test_sigterm_while_the_camera_is_opened(bundle: Path) -> None:
    """It takes the connection and says nothing; whoever is told to end does not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.mjpg"
        process = subprocess.Popen(
            [*(sys.executable, "-m", "edge_sdk.cli", "run", bundle), "--camera", url, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with silent.accept()[0]:
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert (document["results"], document["camera"]) == (0, url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_a_run_whose_pipe_nobody_reads(
    bundle: Path, tmp_path: Path, number: signal.Signals, wait_for: Callable[..., None]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_sdk.cli", "run", str(bundle), "--json"),
            *("--camera", "synthetic", "--jsonl", str(tmp_path / "pipe")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: caught(process.pid) >> (signal.SIGTERM - 1) & 1, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["results"] == 0


def caught(pid: int) -> int:
    """The signals that a process has handlers for, bit by bit."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))


def fails_on_white() -> bytes:
    """A model of one pixel / 255, which it takes for the number of a row of weights; there is no
    row 1.
    """
    model = schema.ModelT.InitFromPackedBuf(tiny_classifier((1, 1, 1), dtype="float32"), 0)
    graph = model.subgraphs[0]
    _, index, size, weights, _, row, _ = graph.tensors
    index.shape, index.type, weights.shape, row.shape = [1] * 4, size.type, [1, 3], [1, 1, 1, 1, 3]
    model.buffers[size.buffer].data = np.frombuffer(np.array([1, 3], np.int32).tobytes(), np.uint8)
    kinds = schema.BuiltinOperator
    steps = [(kinds.CAST, [0], [1]), (kinds.GATHER, [3, 1], [5]), (kinds.RESHAPE, [5, 2], [6])]
    for code, operator, (kind, taken, made) in zip(
        model.operatorCodes, graph.operators, steps, strict=True
    ):
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, kind, 1
        operator.inputs, operator.outputs = taken, made
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    graph.operators[1].builtinOptionsType = schema.BuiltinOptions.GatherOptions
    graph.operators[1].builtinOptions = schema.GatherOptionsT()
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("dark", [0, 3])
def test_an_interpreter_that_raises_in_invoke_ends_a_run(
    tiny_parts: Callable[..., Any], tmp_path: Path, command: Command, refused: Refused, dark: int
) -> None:
    """With its report, where anything was answered before."""
    manifest, members = tiny_parts(shape=(1, 1, 1), dtype="float32")
    members["model.tflite"] = fails_on_white()
    golden = np.zeros((10, 1, 1, 1, 1), np.float32)
    with open_engine("litert", members["model.tflite"]) as engine:
        members["golden.npz"] = Golden((golden,), answers(engine, (golden,))).to_npz()
    write_bundle(tmp_path / "x.edge", manifest, members)
    for number in range(5):
        level = 0 if number < dark else 255
        image = Frame(np.full((4, 4, 3), level, np.uint8), "rgb")
        write_image(tmp_path / "images" / f"{number}.png", image)
    done = command(
        *("run", tmp_path / "x.edge", "--camera", f"folder:{tmp_path / 'images'}?fps=max"),
        *("--policy", "all", "--report", tmp_path / "report"),
    )
    error, _ = refused(done)
    assert "litert" in error and "could not run the model" in error
    saved = tmp_path / "report" / "run.json"
    assert saved.exists() == (dark > 0)
    if dark:
        document = json.loads(saved.read_text("utf-8"))
        assert document["results"] == dark
        assert "could not run the model" in document["notes"][0]


def test_a_run_without_an_answer_leaves_the_old_report(
    bundle: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "run.json").write_text("precious")
    done = command("run", bundle, "--camera", f"folder:{tmp_path}", "--report", tmp_path)
    assert "none of the 1 images" in refused(done)[0]
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
    bundle: Path, tmp_path: Path, write_images: Callable[..., Any], command: Command
) -> None:
    (first, *_) = write_images(tmp_path / "images", 2)
    odd = first.rename(first.with_name("caf\udce9.png"))
    lines = tmp_path / "r.jsonl"
    done = command(
        *("run", bundle, "--camera", f"folder:{tmp_path / 'images'}?fps=max"),
        *("--jsonl", lines, "--report", tmp_path / "report"),
    )
    assert done.returncode == 0, done.stderr
    sources = [json.loads(line)["source"] for line in lines.read_text("utf-8").splitlines()]
    assert len(sources) == 2 and str(odd) in sources


def test_a_sink_that_is_not_required_ends_no_run(bundle: Path) -> None:
    said: list[str] = []
    sink = FakeSink(fail_at=1, error=OSError(5, "Input/output error"), required=False, capacity=8)
    report, error = stream(
        bundle,
        "fake?fps=max&frames=5",
        sinks=[sink, "jsonl:/dev/full?required=0"],
        listen=lambda event: said.append(event.text),
    )
    assert error is None
    assert [result.index for result in sink.results] == [0, 2, 3, 4]
    document = report.as_dict()
    assert document["results"] == 5
    first, second = document["notes"]
    assert first == "a fake sink failed once: cannot write to a fake sink: Input/output error"
    assert second.startswith(
        "/dev/full failed 6 times; the first time: "
    )  # the last when it is closed
    assert said == [first, second]
