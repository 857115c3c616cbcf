"""What `edge-sdk capture` is asked for: labels, errors, several labels on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from captures import CAPTURE, SYNTHETIC, answered, names
from edge_device.cameras.listing import list_cameras
from waiting import PATIENCE_S

Command = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., tuple[str, str]]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("", "names no folder"),
        (".", "names no folder"),
        ("..", "names no folder"),
        ("a/b", "slash"),
        ("/tmp", "slash"),
        (".hidden", "dot"),
        (" open", "space"),
        ("a\nb", "cannot be shown"),
        ("x" * 201, "longer than 200 bytes"),
        ("train", "part of a data set"),
    ],
)
def test_a_label_that_is_no_folder_name(
    label: str, words: str, tmp_path: Path, here: Command, refused: Refused
) -> None:
    error, fix = refused(here("capture", *SYNTHETIC, "--label", label))
    assert words in error
    assert "--label" in fix
    assert names(tmp_path) == []


def test_a_label_of_any_script(photos: str, tmp_path: Path, here: Command) -> None:
    for label in ("门 open", "x" * 200, "-v"):
        line = ["--camera", photos, f"--label={label}", "--count", "1", "--json"]
        document = answered(here("capture", *line))
        assert document["labels"][0]["files"] == [f"images/{label}/{label}-0001.jpg"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "x", "--out", "/proc"], "cannot write images to /proc"),
        (["--label", "x", "--out", "file"], "cannot write images to file"),
        (["--label", "file", "--out", "."], "file is not a folder"),
        (["--label", "x", "--out", "split"], "--out split/train"),
        (["--label", "x", "--out", "y" * 300], "too long"),
        (["--label", "x", "--label", "x"], "given twice"),
        (["--label", "x", "--label", "y"], "there is no terminal for Enter"),
        (["--label", "x", "--preview", "images/x/p.jpg"], "would become one of its images"),
        (["--label", "x", "--preview", "p.txt"], ".jpg or .png"),
        (["--label", "x", "--preview", "split.png"], "is a folder"),
        (["--label", "x", "--preview", "/proc/p.jpg"], "cannot write /proc/p.jpg"),
        (["--label", "x", "--camera", "folder:nowhere"], "nowhere does not exist"),
        (["--label", "x", "--camera", "folder:split"], "holds no images"),
        (["--label", "x", "--camera", "video:file"], "cannot be read as a video"),
        (["--label", "x", "--camera", "synthetic?fps=0"], "fps is '0'"),
        (["--label", "x", "--camera", "webcam"], "unknown camera"),
        (["--label", "x", "--camera", ""], "unknown camera"),
    ],
)
def test_errors_have_a_fix_and_leave_nothing(
    arguments: list[str], words: str, tmp_path: Path, here: Command, refused: Refused
) -> None:
    for folder in ("split/train", "split/test", "split.png"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").write_text("no film")
    before = sorted(tmp_path.rglob("*"))
    done = here("capture", *SYNTHETIC, *arguments)
    assert words in " ".join(refused(done))
    new = {path for path in tmp_path.rglob("*") if path not in before}
    assert new <= {tmp_path / "images", *(tmp_path / "images").rglob("*")}
    if "--preview" not in arguments:
        assert not list((tmp_path / "images").rglob("*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--camera", "synthetic"],
        [*SYNTHETIC, "--label", "x", "--count", "0"],
        [*SYNTHETIC, "--label", "x", "--interval", "0"],
        [*SYNTHETIC, "--label", "x", "--interval", "-1"],
        [*SYNTHETIC, "--label", "x", "--interval", "nan"],
        [*SYNTHETIC, "--label", "x", "--delay", "-1"],
    ],
)
def test_usage(arguments: list[str], tmp_path: Path, here: Command) -> None:
    done = here("capture", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert names(tmp_path) == []


def test_without_a_camera_it_is_the_first_that_is_usable(
    tmp_path: Path, here: Command, refused: Refused
) -> None:
    """As of `run`; images that are made up are never meant."""
    if first := [camera for camera in list_cameras() if camera.usable]:
        pytest.skip(f"NOT TESTED: a camera is attached, {first[0].spec}")
    error, fix = refused(here("capture", "--label", "x"))
    assert "no camera was given" in error
    assert "edge-sdk cameras" in fix
    assert names(tmp_path) == []


class Terminal:
    """A capture on a terminal of its own; everything it shows is in `shown`."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self.master, slave = pty.openpty()
        self.shown = ""
        own = ["setsid", "--ctty", *CAPTURE, *arguments]  # so that Ctrl-C on it is a signal
        self.process = subprocess.Popen(own, cwd=cwd, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def until(self, words: str) -> None:
        """Read until `words` are shown from here on."""
        seen = ""
        while words not in seen:
            found = self._read()
            assert found, f"{words!r} was never shown: {self.shown}"
            seen += found

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait(PATIENCE_S)

    def _read(self) -> str:
        """What is shown next; "" when it has ended."""
        ready, _, _ = select.select([self.master], [], [], PATIENCE_S)
        assert ready, f"nothing more is shown: {self.shown}"
        try:
            found = os.read(self.master, 4096).decode()
        except OSError:  # the other side has closed it
            return ""
        self.shown += found
        return found


def test_several_labels_on_a_terminal_each_begin_with_enter(tmp_path: Path) -> None:
    line = [*SYNTHETIC, "--keep-similar", "--count", "3", "--label", "open", "--label", "closed"]
    terminal = Terminal(*line, "--delay", "2", cwd=tmp_path)
    terminal.until("open: press Enter to begin")
    assert not (tmp_path / "images" / "open").exists()
    terminal.press(b"\n")
    terminal.until("open: starts in ")
    terminal.until("closed: press Enter to begin")
    assert len(names(tmp_path / "images" / "open")) == 3
    assert not (tmp_path / "images" / "closed").exists()
    terminal.press(b"\n")
    assert terminal.end() == 0, terminal.shown
    assert len(names(tmp_path / "images" / "closed")) == 3
    assert "edge-sdk inspect images" in terminal.shown


@pytest.mark.parametrize("keys", [b"\x03", b"\x04"], ids=["ctrl-c", "ctrl-d"])
def test_leaving_before_the_second_label(tmp_path: Path, keys: bytes) -> None:
    line = [*SYNTHETIC, "--keep-similar", "--count", "2", "--label", "open", "--label", "closed"]
    terminal = Terminal(*line, cwd=tmp_path)
    terminal.until("open: press Enter to begin")
    terminal.press(b"\n")
    terminal.until("closed: press Enter to begin")
    terminal.press(keys)
    assert terminal.end() == 0, terminal.shown
    assert "you stopped it before there were enough images" in terminal.shown
    assert names(tmp_path / "images") == ["open"]


def test_several_labels_of_a_file_are_refused_on_a_terminal_too(
    photos: str, tmp_path: Path
) -> None:
    terminal = Terminal("--camera", photos, "--label", "a", "--label", "b", cwd=tmp_path)
    assert terminal.end() == 1
    assert "a file cannot wait" in terminal.shown
