"""What each sink does with the answers that it is given."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_device import open_sink
from edge_device.sinks.console_line import ConsoleSink, status_line
from edge_sdk import Frame, Result
from edge_sdk.errors import ConfigError, FileError
from waiting import PATIENCE_S

Make = Callable[..., Result]


FRAME = Frame(np.zeros((4, 4, 3), np.uint8), "bgr")


def test_jsonl_has_one_document_a_line_at_once(tmp_path: Path, make_result: Make) -> None:
    path = tmp_path / "new folder" / "结果.jsonl"
    results = [make_result(0, label="门"), make_result(2, label="")]
    with open_sink(f"jsonl:{path}") as sink:
        for count, result in enumerate(results, 1):
            sink.write(FRAME, result)
            assert len(path.read_text("utf-8").splitlines()) == count
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [result.as_dict() for result in results]
    assert "门" in path.read_text("utf-8")


def test_jsonl_into_a_pipe_whose_reader_has_gone(tmp_path: Path, make_result: Make) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = open_sink(f"jsonl:{path}")
    os.close(reader)
    with pytest.raises(FileError, match=r"the reader of .* closed the pipe"):
        sink.write(FRAME, make_result(0))
    with pytest.raises(FileError, match=r"the reader of .* closed the pipe"):
        sink.close()  # what could not be written is lost


def test_jsonl_waits_for_the_reader_of_a_pipe(tmp_path: Path, make_result: Make) -> None:
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.extend(path.read_text().splitlines()))

    def stop() -> bool:
        if reader.ident is None:
            reader.start()
        return False

    with open_sink(f"jsonl:{path}", stop=stop) as sink:
        for index in range(3):
            sink.write(FRAME, make_result(index))
    reader.join(PATIENCE_S)
    assert [json.loads(line)["index"] for line in read] == [0, 1, 2]


def test_jsonl_adds_to_what_is_there(tmp_path: Path, make_result: Make) -> None:
    path = tmp_path / "r.jsonl"
    for index in range(2):
        with open_sink(f"jsonl:{path}") as sink:
            sink.write(FRAME, make_result(index))
    assert [json.loads(line)["index"] for line in path.read_text("utf-8").splitlines()] == [0, 1]


def test_jsonl_begins_a_line_where_the_last_one_was_cut(tmp_path: Path, make_result: Make) -> None:
    path = tmp_path / "r.jsonl"
    whole = json.dumps(make_result(0).as_dict())
    path.write_text(f'{whole}\n{{"index": 1, "cla')
    with open_sink(f"jsonl:{path}") as sink:
        sink.write(FRAME, make_result(2))
    first, _, last = path.read_text("utf-8").splitlines()
    assert first == whole and json.loads(last)["index"] == 2


def test_jsonl_goes_on_where_the_first_line_was_cut(tmp_path: Path, make_result: Make) -> None:
    path = tmp_path / "r.jsonl"
    cut = json.dumps(make_result(0).as_dict())[:40]
    path.write_text(cut)
    for index in (1, 2):
        with open_sink(f"jsonl:{path}") as sink:
            sink.write(FRAME, make_result(index))
    first, *others = path.read_text("utf-8").splitlines()
    assert first == cut and [json.loads(line)["index"] for line in others] == [1, 2]


@pytest.mark.parametrize(
    "held",
    [
        b'name = "doors"\n',
        b"PK\x03\x04\xff\n",
        b'{"a": 1}\n',
        b"[" * 100_000,
        b"\n{}\n",
        b'{"index": 1}',
        b'{"in',
    ],
)
def test_jsonl_leaves_a_file_that_is_something_else(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(held)
    with pytest.raises(FileError, match="does not hold results") as caught:
        open_sink(f"jsonl:{path}")
    assert "another file" in caught.value.fix
    assert path.read_bytes() == held


def test_jsonl_takes_a_file_name_that_is_not_utf8(tmp_path: Path, make_result: Make) -> None:
    result = replace(make_result(0), source="caf\udce9.png")
    with open_sink(f"jsonl:{tmp_path / 'r.jsonl'}") as sink:
        sink.write(FRAME, result)
    assert json.loads((tmp_path / "r.jsonl").read_text("utf-8")) == result.as_dict()


def test_jsonl_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot write") as caught:
        open_sink(f"jsonl:{tmp_path}")
    assert caught.value.fix
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot write"):
        open_sink(f"jsonl:{tmp_path / 'file' / 'results.jsonl'}")


def test_jsonl_on_a_full_disk(make_result: Make) -> None:
    sink = open_sink("jsonl:/dev/full")
    with pytest.raises(FileError, match="No space left") as caught:
        sink.write(FRAME, make_result())
    assert "space" in caught.value.fix
    with pytest.raises(FileError, match="No space left"):
        sink.close()
    sink.close()


@pytest.mark.parametrize(
    "spec", ["jsonl", "jsonl:", "console:here", "fake:x", "", "jsnl:x", "preview:x.txt"]
)
def test_sinks_that_cannot_be_opened(spec: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_sink(spec)
    assert caught.value.fix


def test_the_console_says_once_a_second_how_it_goes(make_result: Make) -> None:
    shown: list[str] = []
    with ConsoleSink(lambda event: shown.append(event.text)) as sink:
        for index in range(25):
            sink.write(FRAME, make_result(2 * index, at_ms=100 * index))
            sink.flush()
    assert shown == [
        "1 s  10.0 fps  age 5.0 ms  dropped 10  cat 0.75",
        "2 s  10.0 fps  age 5.0 ms  dropped 20  cat 0.75",
    ]


def test_the_console_is_quiet_where_nobody_listens(
    make_result: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_sink("console") as sink:
        for index in range(25):
            sink.write(FRAME, make_result(index, at_ms=100 * index))
    assert capfd.readouterr() == ("", "")


def test_the_status_line_without_an_answer(make_result: Make) -> None:
    line = status_line(make_result(label=""), 3, 29.97, 0)
    assert line == "3 s  30.0 fps  age 5.0 ms  dropped 0  unknown"
