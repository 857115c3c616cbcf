"""How a command ends: its exit status, what is on stdout, and the two lines of an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from edge_sdk import formatting
from edge_sdk.cli import console
from edge_sdk.errors import BundleError, FileError, GateFailed

Run = Callable[..., tuple[int, str, str]]


@click.group()
def group() -> None:
    """A command line of its own, so that every way to end can be tried."""


@group.command()
@console.json_option
def answer(as_json: bool) -> None:
    console.note("a note")
    console.warn("a warning")
    console.answer({"label": "猫", "score": 0.5}, "a cat", as_json=as_json)


@group.command()
@click.argument("kind")
def fail(kind: str) -> None:
    if kind == "bundle":
        raise BundleError("it is\n  damaged", fix="copy it\nagain")
    if kind == "file":
        raise FileError("cannot write", fix="free some space")
    if kind == "gate":
        raise GateFailed("too far off", fix="train longer", document={"passed": False})
    if kind == "bug":
        raise ZeroDivisionError("1 / 0")
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "swallowed":
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise SystemError("bad argument to internal function") from None
    if kind == "abort":
        raise click.Abort
    click.get_current_context().exit(int(kind))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("answer", "--json")`: exit status, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = console.run(group, arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_an_answer_for_people_and_one_for_scripts(run: Run) -> None:
    assert run("answer") == (0, "a cat\n", "a note\nwarning: a warning\n")
    status, out, err = run("answer", "--json")
    assert (status, err) == (0, "a note\nwarning: a warning\n")
    assert json.loads(out) == {"label": "猫", "score": 0.5}
    assert "猫" in out


def test_answers_on_the_way_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with console.answers_on_stderr():
        console.answer({}, "on the way", as_json=False)
    console.answer({}, "at the end", as_json=False)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("at the end\n", "on the way\n")


def test_an_error_is_two_lines_and_nothing_on_stdout(run: Run) -> None:
    assert run("fail", "bundle") == (1, "", "error: it is damaged\nfix: copy it again\n")
    assert run("fail", "file") == (1, "", "error: cannot write\nfix: free some space\n")


def test_a_failed_gate_prints_its_document(run: Run) -> None:
    status, out, err = run("fail", "gate")
    assert (status, json.loads(out)) == (3, {"passed": False})
    assert err == "error: too far off\nfix: train longer\n"


def test_a_mistake_of_ours_is_no_traceback_either(run: Run) -> None:
    status, out, err = run("fail", "bug")
    assert (status, out) == (1, "")
    assert err.startswith("error: unexpected ZeroDivisionError: 1 / 0\nfix: ")
    assert "EDGE_SDK_DEBUG=1" in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("kind", ["interrupt", "abort", "swallowed"])
def test_interrupted(kind: str, run: Run) -> None:
    status, out, err = run("fail", kind)
    assert (status, out) == (1, "")
    assert err.strip() == "error: interrupted\nfix: run the same command again"


def test_usage_is_two(run: Run) -> None:
    for line in (["fail"], ["fail", "a", "b"], ["answer", "--jason"], ["nothing"]):
        status, out, err = run(*line)
        assert (status, out) == (2, "")
        assert "Usage:" in err


def test_an_exit_status_of_its_own_is_kept(run: Run) -> None:
    assert run("fail", "3") == (3, "", "")
    assert run("fail", "0") == (0, "", "")
    assert run("answer", "--help")[0] == 0


# What only a process of its own can show.

SCRIPT = """
import os, sys, time, click
from edge_sdk.cli import console
from edge_sdk.errors import BundleError

@click.group()
def group(): pass

@group.command()
@console.json_option
def answer(as_json): console.answer({"path": "\\udcff.png"}, "text \\udcff.png", as_json=as_json)

@group.command()
def fail(): raise BundleError("damaged", fix="copy it again")

@group.command()
def wait():
    print("waiting", flush=True)
    time.sleep(600)

@group.command()
def stream():
    stopped = []
    with console.stop_signals(lambda: stopped.append(1)):
        print("waiting", flush=True)
        while not stopped:
            time.sleep(0.01)
    print("report")

@group.command()
def stubborn():
    with console.stop_signals(lambda: os.write(1, b"asked\\n")):
        print("waiting", flush=True)
        time.sleep(600)

sys.exit(console.run(group))
"""


def start(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", SCRIPT, *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen(line, text=True, **streams)


def test_the_traceback_is_shown_when_asked_for() -> None:
    with start("fail", env={**os.environ, "EDGE_SDK_DEBUG": "1"}) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("error: damaged\nfix: copy it again\n")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_file_name_in_another_encoding_is_answered(encoding: str) -> None:
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    with start("answer", "--json", env=env) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert json.loads(out) == {"path": "\udcff.png"}
    with start("answer", env=env) as process:
        assert process.communicate() == ("text \\udcff.png\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_ends_with_its_report(number: signal.Signals) -> None:
    with start("stream") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "report\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number: signal.Signals) -> None:
    with start("stubborn") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 1
    assert "error: interrupted\n" in err


def test_ctrl_c_is_an_error_with_a_fix() -> None:
    with start("wait") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.strip() == "error: interrupted\nfix: run the same command again"


def test_ctrl_c_while_click_is_imported(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import time; print(flush=True); time.sleep(60)")
    with subprocess.Popen(
        [sys.executable, "-m", "edge_sdk.cli", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "error: interrupted\nfix: run the same command again\n")


def test_a_reader_that_has_gone_is_no_error_to_speak_of() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with start("answer", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "")


def test_signals_are_given_back() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with console.stop_signals(lambda: None):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


# Text for people.


def test_tables() -> None:
    rows = [["cat", 5, "a"], ["zebra", 120, "b"]]
    assert formatting.table(rows) == "cat      5  a\nzebra  120  b"
    assert formatting.table(rows, head=["label", "n", "x"]) == (
        "label    n  x\n-----  ---  -\ncat      5  a\nzebra  120  b"
    )
    assert formatting.table([], head=["label"]) == "label\n-----"
    assert formatting.table([]) == ""


def test_a_table_is_wrapped_where_it_would_be_too_wide() -> None:
    rows = [["v4l2:/dev/video0", 7, "no: may not be opened by this user", "sudo usermod -aG x"]]
    assert formatting.table(rows, head=["camera", "n", "here", "fix"], width=50) == (
        "camera            n  here           fix\n"
        "----------------  -  -------------  --------------\n"
        "v4l2:/dev/video0  7  no: may not    sudo usermod\n"
        "                     be opened by   -aG x\n"
        "                     this user"
    )
    assert formatting.table(rows, width=200) == formatting.table(rows)
    assert formatting.table([["x" * 30, "y y"]], width=10) == "x" * 30 + "  y\n" + " " * 32 + "y"
    assert formatting.table([["a", ""], ["b b b", ""]], width=3) == "a\nb\nb\nb"


def test_figures() -> None:
    assert formatting.size(236240) == "236,240 bytes"
    assert formatting.share(0.97512) == "97.51 %"
    assert formatting.share(0.5, 0) == "50 %"
    assert formatting.share(None) == "not measured"
    assert formatting.ms(0.1234) == "0.123 ms"
    assert formatting.ms(1.2345) == "1.234 ms"
    assert formatting.ms(12.345) == "12.35 ms"
    assert formatting.ms(1234.56) == "1,234.6 ms"
    assert formatting.ms(None) == "- (too few samples)"


def test_an_outline_of_a_document() -> None:
    document = {
        **{"name": "a", "empty": {}, "list": [1, 2], "none": None},
        **{"table": {"inner": 1}, "rows": [{"x": 1}, {"x": 2}], "long": "y" * 300},
    }
    assert formatting.outline(document).splitlines() == [
        *("name: a", "empty: none", "list: 1, 2", "none: None", "table:", "  inner: 1", "rows:"),
        *("  x: 1", "  x: 2", "long: " + "y" * 197 + "..."),
    ]


PROGRESS = """
from edge_sdk.cli.console import Terminal
from edge_sdk.events import Event
with Terminal() as terminal:
    terminal(Event("progress", "data", done=1, total=2, unit="images"))
    terminal(Event("progress", "data", "too soon"))
    %s
"""


def printed(script: str) -> str:
    """What it writes on a terminal."""
    master, slave = os.openpty()
    subprocess.run([sys.executable, "-c", script], stderr=slave, check=True)
    os.close(slave)
    shown = os.read(master, 1000).decode()
    os.close(master)
    return shown


def test_progress_is_silent_in_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRESS % "pass"], capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")


def test_notes_and_warnings_stay_in_a_pipe() -> None:
    lines = 'terminal(Event("note", "train", "done")); terminal(Event("warning", "", "few images"))'
    done = subprocess.run([sys.executable, "-c", PROGRESS % lines], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"train: done\nwarning: few images\n")


def test_progress_rewrites_one_line_on_a_terminal_and_leaves_nothing() -> None:
    assert printed(PROGRESS % "terminal.clear()") == "\r\x1b[Kdata: 1 of 2 images\r\x1b[K"


def test_a_line_that_stays_takes_the_place_of_the_progress() -> None:
    shown = printed(PROGRESS % 'terminal(Event("note", "data", "2 images"))')
    assert shown == "\r\x1b[Kdata: 1 of 2 images\r\x1b[Kdata: 2 images\r\n"
