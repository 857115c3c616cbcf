"""The image file of what `run` sees: through the command, and on a driven clock."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device.sinks.preview import PREVIEW_S, PREVIEW_SIDE, PreviewSink
from edge_sdk import BBox, Classification, Detection, Frame, Result, read_image
from edge_sdk.errors import ConfigError, EdgeError, FileError
from edge_sdk.images.drawing import annotated
from edge_sdk.results import StageTimes

Command = Callable[..., subprocess.CompletedProcess[str]]

STILL = Frame(np.full((48, 64, 3), 200, np.uint8), "bgr")


def answer(label: str) -> Result:
    return Result((Classification(label, 0, 0.75),), 0, 0, 0, StageTimes())


def test_run_leaves_the_last_answer_in_the_preview(
    command: Command, tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "now.png"
    camera = "synthetic?frames=3&width=320&height=240&fps=max"
    done = command("run", tiny_bundle(), "--camera", camera, "--preview", path, "--json")
    assert done.returncode == 0, done.stderr
    shown = read_image(path)
    assert (shown.width, PREVIEW_SIDE) == (PREVIEW_SIDE, 640)
    assert shown.height > PREVIEW_SIDE * 240 / 320  # the strip with the best class is below


def test_it_is_renewed_when_it_is_time(tmp_path: Path) -> None:
    now = [0]
    preview = PreviewSink(tmp_path / "now.png", now_ns=lambda: now[0])
    seen = []
    for label, at_s in (("a", 0.0), ("b", 0.4), ("c", PREVIEW_S), ("d", 0.6)):
        now[0] = round(at_s * 1e9)
        preview.write(STILL, answer(label))
        assert preview.flush()
        seen.append(read_image(tmp_path / "now.png").pixels.tobytes())
    preview.close()
    assert seen[0] == seen[1] != seen[2] == seen[3]
    drawn = annotated(STILL, answer("c"))
    assert PREVIEW_SIDE * drawn.height // drawn.width == read_image(tmp_path / "now.png").height


@pytest.mark.parametrize("later", ["write", "close"])
def test_what_cannot_be_written_is_said_once(tmp_path: Path, later: str) -> None:
    (tmp_path / "file").mkdir()
    preview = PreviewSink(tmp_path / "file" / "now.png")
    (tmp_path / "file").rmdir()
    (tmp_path / "file").write_text("not a folder")
    preview.write(STILL, answer("a"))
    with pytest.raises(FileError, match=r"now\.png"):
        if later == "close":
            preview.close()
        while True:
            preview.write(STILL, answer("a"))
    preview.close()


def test_what_nobody_expected_is_raised_where_it_is_shown(tmp_path: Path) -> None:
    """Not printed by a thread that nobody waits for."""
    endless = Detection("a", 0, 0.5, BBox(0.0, 0.0, math.inf, 1.0))
    preview = PreviewSink(tmp_path / "now.png")
    preview.write(STILL, Result((), 0, 0, 0, StageTimes(), detections=(endless,)))
    with pytest.raises(EdgeError, match="infinity"):
        preview.close()


def test_a_preview_that_cannot_be_written_ends_a_run_with_its_report(
    command: Command,
    tiny_bundle: Callable[..., Path],
    tmp_path: Path,
    refused: Callable[..., tuple[str, str]],
) -> None:
    done = command(
        *("run", tiny_bundle(), "--camera", "fake?fps=30"),
        *("--preview", "/proc/self/now.png", "--report", tmp_path / "report"),
    )
    assert "cannot write /proc/self/now.png" in refused(done)[0]
    document = json.loads((tmp_path / "report" / "run.json").read_text("utf-8"))
    assert document["results"] >= 1


def test_a_preview_that_is_no_image_is_refused_before_a_file_is_made(
    tiny_bundle: Callable[..., Path], tmp_path: Path, command: Command, refused: Callable[..., Any]
) -> None:
    done = command(
        *("run", tiny_bundle(), "--camera", "fake", "--jsonl", tmp_path / "results" / "r.jsonl"),
        *("--preview", tmp_path / "now.txt"),
    )
    assert "not an image file" in refused(done)[0]
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not an image file") as caught:
        PreviewSink(tmp_path / "now.txt")
    assert ".jpg" in caught.value.fix
