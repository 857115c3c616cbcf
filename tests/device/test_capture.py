"""`edge-sdk capture` as processes: what it leaves in the class folders, says and answers."""

from __future__ import annotations

import html
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_device.cameras.listing import list_cameras
from edge_sdk.cli import main
from edge_sdk.frames import Frame
from edge_sdk.images import list_images, read_image, write_image

Command = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., tuple[str, str]]
WaitFor = Callable[[Callable[[], bool], subprocess.Popen[str]], None]
Write = Callable[..., list[Path]]

CAPTURE = [sys.executable, "-m", "edge_sdk.cli", "capture"]
SYNTHETIC = ["--camera", "synthetic", "--delay", "0", "--interval", "0.05"]


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """A camera of 12 pictures that all differ, with edges, at 4 a second."""
    for number in range(12):
        write_image(tmp_path / "photos" / f"{number:02}.png", blocks(number))
    return f"folder:{tmp_path / 'photos'}?fps=4"


def blocks(seed: int) -> Frame:
    """Patches of colour that a JPEG keeps; 128 x 96 pixels."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Frame(np.kron(patches, np.ones((16, 16, 1), np.uint8)), "bgr")


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema"] == "edge-sdk/capture/1"
    return document


@pytest.fixture
def here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """As `command`, in this process and in `tmp_path`: for what needs no process of its own."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with chdir(tmp_path):
            status = main([*map(str, arguments)])
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*CAPTURE, *map(str, arguments)], cwd=cwd, text=True, **pipes)


def test_a_folder_is_filled_every_interval_of_the_film(
    photos: str, tmp_path: Path, command: Command
) -> None:
    done = command(
        *("capture", "--camera", photos, "--label", "open", "--count", "4", "--json"), cwd=tmp_path
    )
    document = answered(done)
    assert done.stderr == ""
    folder = tmp_path / "images" / "open"
    assert names(folder) == [f"open-000{n}.jpg" for n in (1, 2, 3, 4)]
    assert document["ended"] == "count"
    assert document["captured"] == 4
    (label,) = document["labels"]
    assert label["files"] == [f"images/open/open-000{n}.jpg" for n in (1, 2, 3, 4)]
    assert (label["pictures"], label["dark"], label["blurred"]) == (4, [], [])
    sources = sorted((tmp_path / "photos").iterdir())[::2]  # 4 a second, one each half second
    for taken, source in zip(list_images(folder), sources, strict=False):
        # Half the colours of a JPEG are at the edges of the patches; another picture differs by 85.
        assert np.abs(read_image(taken).pixels.astype(int) - read_image(source).pixels).mean() < 8


def test_without_a_rate_every_picture_is_taken(photos: str, tmp_path: Path, here: Command) -> None:
    camera = photos.replace("fps=4", "fps=max")
    done = here("capture", "--camera", camera, "--label", "x", "--json")
    document = answered(done)
    assert (document["captured"], document["ended"]) == (12, "camera")


def test_colours_and_size_are_those_that_the_camera_delivers(tmp_path: Path, here: Command) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40], pixels[:, 40:] = (255, 0, 0), (0, 0, 255)  # BGR: blue left, red right
    write_image(tmp_path / "photos" / "a.png", Frame(pixels, "bgr"))
    camera = f"folder:{tmp_path / 'photos'}?width=40&rotate=90&hflip=1"
    here("capture", "--camera", camera, "--label", "x")
    taken = read_image(tmp_path / "images" / "x" / "x-0001.jpg").pixels
    assert taken.shape == (80, 40, 3)
    assert np.abs(taken[:30].astype(int) - (255, 0, 0)).max() < 12  # turned clockwise: left is top
    assert np.abs(taken[50:].astype(int) - (0, 0, 255)).max() < 12


def test_numbers_go_on_and_nothing_is_overwritten(
    photos: str, tmp_path: Path, here: Command
) -> None:
    folder = tmp_path / "set" / "open"
    folder.mkdir(parents=True)
    there = {
        "open-0007.PNG": b"mine",
        "open-0008.jpg.part": b"mine",
        "open-x.jpg": b"mine",
        "notes.txt": b"mine",
    }
    for name, data in there.items():
        (folder / name).write_bytes(data)
    line = ["capture", "--camera", photos, "--label", "open", "--count", "2", "--out", "set"]
    here(*line)
    document = answered(here(*line, "--json"))
    new = [f"open-{n:04}.jpg" for n in (8, 9, 10, 11)]
    assert names(folder) == sorted([*there, *new])
    assert all((folder / name).read_bytes() == data for name, data in there.items())
    assert document["labels"][0]["pictures"] == 6


def test_two_captures_fill_one_folder_together(tmp_path: Path) -> None:
    line = [*SYNTHETIC, "--interval", "0.01", "--keep-similar", "--label", "x", "--count", "25"]
    both = [start(*line, cwd=tmp_path) for _ in range(2)]
    assert [one.communicate(timeout=120) and one.returncode for one in both] == [0, 0]
    folder = tmp_path / "images" / "x"
    assert names(folder) == [f"x-{n:04}.jpg" for n in range(1, 51)]
    assert {read_image(path).width for path in folder.iterdir()} == {640}


def test_what_is_almost_the_same_is_left_out(tmp_path: Path, here: Command) -> None:
    for number, which in enumerate((0, 0, 0, 1, 1, 0)):
        pixels = blocks(which).pixels // 2 + number
        write_image(tmp_path / "photos" / f"{number}.png", Frame(pixels, "bgr"))
    camera = f"folder:{tmp_path / 'photos'}?fps=max"
    line = ["capture", "--camera", camera, "--json", "--label"]
    document = answered(here(*line, "few"))
    assert (document["captured"], document["skipped_similar"]) == (3, 3)
    document = answered(here(*line, "all", "--keep-similar"))
    assert (document["captured"], document["skipped_similar"]) == (6, 0)


def test_dark_and_blurred_pictures_are_kept_and_named(tmp_path: Path, here: Command) -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], (1, 64, 3))
    for name, pixels in {"0": sharp, "1": sharp // 4, "2": smooth}.items():
        write_image(tmp_path / "photos" / f"{name}.png", Frame(pixels, "bgr"))
    camera = f"folder:{tmp_path / 'photos'}?fps=max"
    done = here("capture", "--camera", camera, "--label", "x", "--json")
    (label,) = answered(done)["labels"]
    assert len(label["files"]) == 3
    assert label["dark"] == ["images/x/x-0002.jpg"]
    assert label["blurred"] == ["images/x/x-0003.jpg"]
    dark, blurred = done.stderr.splitlines()
    assert dark.startswith("warning: x: 1 of 3 pictures are dark") and "x-0002.jpg" in dark
    assert "add light" in dark
    assert "blurred" in blurred and "x-0003.jpg" in blurred


def test_a_video_at_its_own_rate(
    tmp_path: Path, write_video: Callable[..., Path], here: Command
) -> None:
    film = write_video(tmp_path / "film.mp4", frames=30, fps=25)
    line = ["capture", "--camera", f"video:{film}", "--interval", "0.4", "--label", "x"]
    document = answered(here(*line, "--json"))
    assert (document["captured"], document["ended"]) == (3, "camera")
    levels = [read_image(tmp_path / name).pixels.mean() for name in document["labels"][0]["files"]]
    assert np.allclose(levels, [0, 80, 160], atol=4)  # frames 0, 10 and 20
    again = here(*line, "--delay", "0.8")
    assert again.returncode == 0
    assert "1 captured, 4 in all" in again.stdout
    assert "the camera ended before there were enough" in again.stdout


def test_a_preview_is_what_is_seen_and_small(tmp_path: Path, here: Command) -> None:
    line = [*SYNTHETIC[2:], "--camera", "synthetic?width=1280&height=720", "--count", "2"]
    preview = tmp_path / "seen" / "now.png"
    done = here("capture", *line, "--label", "x", "--preview", preview)
    assert done.returncode == 0, done.stderr
    seen, taken = read_image(preview), read_image(tmp_path / "images" / "x" / "x-0002.jpg")
    assert (seen.width, seen.height) == (640, 360)
    large = np.repeat(np.repeat(seen.pixels, 2, axis=0), 2, axis=1).astype(int)
    assert np.abs(large - taken.pixels).mean() < 5
    assert names(preview.parent) == ["now.png"]


def test_the_text_names_the_next_steps(photos: str, tmp_path: Path, here: Command) -> None:
    def steps(*arguments: str | Path) -> list[str]:
        done = here("capture", "--camera", photos, *arguments)
        assert done.returncode == 0, done.stderr
        return [line.strip() for line in done.stdout.partition("\nnext\n")[2].splitlines()]

    first, *others = steps("--label", "open")
    assert first.endswith("--label ANOTHER") and "edge-sdk capture --camera 'folder:" in first
    assert others == ["edge-sdk inspect images", "edge-sdk init", "edge-sdk build"]
    assert steps("--label", "closed") == others
    (tmp_path / "recipe.toml").touch()
    assert steps("--label", "closed") == ["edge-sdk inspect images", "edge-sdk build"]
    steps("--label", "a", "--out", "my set")
    assert steps("--label", "b", "--out", "my set") == [
        "edge-sdk inspect 'my set'",
        "edge-sdk build --set data.source='folder:my set'",
    ]
    steps("--label", "a", "--out", "images/train")
    assert steps("--label", "b", "--out", "images/train") == [
        "edge-sdk inspect images",
        "edge-sdk build",
    ]
    steps("--label", "a", "--out", "doors/images")
    assert steps("--label", "b", "--out", "doors/images") == [
        "edge-sdk inspect doors/images",
        "edge-sdk init doors",
        "edge-sdk build doors/recipe.toml",
    ]


def test_the_next_steps_work(photos: str, tmp_path: Path, here: Command) -> None:
    """Also a folder in which `init` has been before."""
    for label in ("open", "closed"):
        line = ["--camera", photos, "--label", label, "--out", "doors/images"]
        answered(here("capture", *line, "--json"))
    for step in (["inspect", "doors/images"], ["init", "doors"]):
        done = here(*step)
        assert done.returncode == 0, done.stderr
    answered(here("capture", *line, "--review", "--json"))
    done = here("inspect", "doors/images", "--json")
    assert json.loads(done.stdout)["classes"] == {"closed": 12, "open": 6}
    assert json.loads(done.stdout)["left_out"] == []


@pytest.mark.slow
def test_a_live_camera(tmp_path: Path, camera_server: Callable[[str], Any], here: Command) -> None:
    """It shows flat grey, brighter by 8 in each frame; its password is shown to nobody."""
    camera = camera_server("http").url.replace("://", "://me:secret@")
    line = ["--camera", camera, "--delay", "0", "--interval", "0.2", "--count", "3", "--review"]
    done = here("capture", *line, "--label", "x", "--json")
    document = answered(done)
    assert document["ended"] == "count"
    pictures = [read_image(tmp_path / name).pixels for name in document["labels"][0]["files"]]
    levels = [round(pixels.mean() / 8) for pixels in pictures]
    assert len(set(levels)) == 3
    for level, pixels in zip(levels, pictures, strict=True):
        assert pixels.shape == (48, 64, 3)
        assert np.abs(pixels.astype(int) - 8 * level).max() <= 4
    page = (tmp_path / document["review"]).read_text("utf-8")
    assert "secret" not in done.stdout + done.stderr + page


def test_ctrl_c_and_sigterm_keep_what_was_taken(tmp_path: Path, wait_for: WaitFor) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = tmp_path / "images" / f"label{number}"
        process = start(*SYNTHETIC, "--label", folder.name, "--json", cwd=tmp_path)
        wait_for(lambda at=folder: at.is_dir() and len(list_images(at)) > 1, process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        document = json.loads(stdout)
        assert document["ended"] == "stopped"
        assert 2 <= document["captured"] < 50
        kept = [Path(name).name for name in document["labels"][0]["files"]]
        assert names(folder) == kept
        assert all(read_image(path).width == 640 for path in folder.iterdir())


def test_ctrl_c_before_the_first_picture_leaves_no_folder(
    tmp_path: Path, wait_for: WaitFor
) -> None:
    preview = tmp_path / "preview.jpg"
    line = ["--camera", "synthetic", "--delay", "600", "--label", "x", "--preview", preview]
    process = start(*line, "--review", cwd=tmp_path)
    wait_for(preview.exists, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "0 captured" in stdout and "stopped" in stdout
    assert not (tmp_path / "images" / "x").exists()


def test_sigterm_while_the_camera_is_opened(tmp_path: Path) -> None:
    """It takes the connection and says nothing: that is waited for, but not by whoever is told to
    end.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.mjpg"
        process = start("--camera", url, "--label", "x", "--json", cwd=tmp_path)
        with silent.accept()[0]:
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert (document["ended"], document["captured"]) == ("stopped", 0)


def test_a_camera_that_dies_leaves_its_pictures(
    tmp_path: Path, write_pictures: Write, command: Command, refused: Refused, wait_for: WaitFor
) -> None:
    paths = write_pictures(tmp_path / "photos", 3, size=(64, 48))
    camera = f"folder:{tmp_path / 'photos'}?fps=max&loop=1"
    process = start(
        *("--camera", camera, "--label", "x", "--count", "100000", "--json"), cwd=tmp_path
    )
    folder = tmp_path / "images" / "x"
    wait_for(lambda: folder.is_dir() and len(list_images(folder)) > 3, process)
    for path in paths:
        path.unlink()
    stdout, stderr = process.communicate(timeout=60)
    done = subprocess.CompletedProcess([], process.returncode, stdout, stderr)
    error, _ = refused(done)
    assert "none of the 3 pictures" in error
    document = json.loads(stderr[stderr.index("{") : stderr.rindex("}") + 1])
    assert document["ended"] == "error"
    assert names(folder) == [Path(name).name for name in document["labels"][0]["files"]]


def with_little_room(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Capture from `photos` in it. A limit on the size of files, 64 KiB, stands for the disk."""
    limited = ["bash", "-c", 'ulimit -f 64 && exec "$@"', "bash", *CAPTURE]
    return subprocess.run(
        [*limited, "--camera", f"folder:{folder / 'photos'}?fps=max", "--label", "x"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_full_disk_ends_it_and_keeps_what_is_there(
    tmp_path: Path, write_pictures: Write, unmeasured: dict[str, str], refused: Refused
) -> None:
    """The third picture is too large for it."""
    write_pictures(tmp_path / "photos", 2, size=(64, 48))
    write_pictures(tmp_path / "photos" / "z", 1, size=(640, 480))
    done = with_little_room(tmp_path, unmeasured)
    error, fix = refused(done)
    assert "x-0003.jpg" in error and "too large" in error
    assert "free some space" in fix
    assert "2 captured, 2 in all" in done.stderr
    assert names(tmp_path / "images" / "x") == ["x-0001.jpg", "x-0002.jpg"]


def test_a_full_disk_from_the_start_leaves_no_class(
    tmp_path: Path, write_pictures: Write, unmeasured: dict[str, str], refused: Refused
) -> None:
    write_pictures(tmp_path / "photos", 1, size=(640, 480))
    done = with_little_room(tmp_path, unmeasured)
    refused(done)
    assert len(done.stderr.splitlines()) == 2
    assert names(tmp_path / "images") == []


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
        (["--label", "x", "--out", "/proc"], "cannot write pictures to /proc"),
        (["--label", "x", "--out", "file"], "cannot write pictures to file"),
        (["--label", "file", "--out", "."], "file is not a folder"),
        (["--label", "x", "--out", "split"], "--out split/train"),
        (["--label", "x", "--out", "y" * 300], "too long"),
        (["--label", "x", "--label", "x"], "named twice"),
        (["--label", "x", "--label", "y"], "nobody is there to press Enter"),
        (["--label", "x", "--preview", "images/x/p.jpg"], "would become one of its pictures"),
        (["--label", "x", "--preview", "p.txt"], ".jpg or .png"),
        (["--label", "x", "--preview", "split.png"], "is a folder"),
        (["--label", "x", "--preview", "/proc/p.jpg"], "cannot write /proc/p.jpg"),
        (["--label", "x", "--camera", "folder:nowhere"], "nowhere does not exist"),
        (["--label", "x", "--camera", "folder:split"], "holds no pictures"),
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
    """As of `run`; pictures that are made up are never meant."""
    if first := [camera for camera in list_cameras() if camera.usable]:
        pytest.skip(f"NOT TESTED: a camera is attached, {first[0].spec}")
    error, fix = refused(here("capture", "--label", "x"))
    assert "no camera is named" in error
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
        return self.process.wait(60)

    def _read(self) -> str:
        """What is shown next; "" when it has ended."""
        assert select.select([self.master], [], [], 60)[0], f"nothing for a minute: {self.shown}"
        try:
            found = os.read(self.master, 4096).decode()
        except OSError:  # the other side has closed it
            return ""
        self.shown += found
        return found


def test_several_labels_on_a_terminal_each_begin_with_enter(tmp_path: Path) -> None:
    line = [*SYNTHETIC, "--keep-similar", "--count", "3", "--label", "open", "--label", "closed"]
    terminal = Terminal(*line, "--delay", "0.6", cwd=tmp_path)
    terminal.until("open: press Enter to begin")
    assert not (tmp_path / "images" / "open").exists()
    terminal.press(b"\n")
    terminal.until("open: starts in 1 s")
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
    assert "stopped before there were enough" in terminal.shown
    assert names(tmp_path / "images") == ["open"]


def test_several_labels_of_a_file_are_refused_on_a_terminal_too(
    photos: str, tmp_path: Path
) -> None:
    terminal = Terminal("--camera", photos, "--label", "a", "--label", "b", cwd=tmp_path)
    assert terminal.end() == 1
    assert "a file does not wait" in terminal.shown


def test_a_review_is_one_page_of_all_classes(photos: str, tmp_path: Path, here: Command) -> None:
    write_image(tmp_path / "images" / "old" / "a.png", Frame(np.zeros((8, 8, 3), np.uint8), "bgr"))
    (tmp_path / "images" / "old" / "broken.png").write_bytes(b"no picture")
    line = ["--camera", photos, "--label", "<b>open</b>".replace("/", "|"), "--review", "--json"]
    document = answered(here("capture", *line))
    page = (tmp_path / document["review"]).read_text("utf-8")
    assert document["review"] == "images/review.html"
    assert "<b>open" not in page
    text = html.unescape(page)
    assert page.count("<img") == document["captured"] + 1
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    for words in (
        *(Path(name).name for name in document["labels"][0]["files"]),
        "a.png: dark",
        "Unreadable: broken.png.",
        "edge-sdk inspect images",
        "almost the same as the last",
    ):
        assert words in text


@pytest.mark.slow
def test_a_review_in_a_browser(photos: str, tmp_path: Path, here: Command) -> None:
    """Every picture is shown, and nothing is wider than a phone."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("NOT TESTED: no chromium is installed")
    line = ["--camera", photos, "--label", "open", "--review", "--json"]
    document = answered(here("capture", *line))
    page = (tmp_path / document["review"]).read_text("utf-8")
    look = (
        "const page = document.querySelector('iframe').contentDocument;"
        "const images = [...page.images];"
        "document.body.replaceChildren(JSON.stringify({"
        "shown: images.filter((one) => one.naturalWidth > 100).length,"
        "fits: page.documentElement.scrollWidth <= page.documentElement.clientWidth}));"
    )
    window = tmp_path / "window.html"
    window.write_text(
        f'<!doctype html><body><iframe width="375" height="900" srcdoc="{html.escape(page)}">'
        f"</iframe><script>addEventListener('load', () => {{{look}}})</script>"
    )
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", window.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    body = done.stdout.partition("<body>")[2].partition("</body>")[0]
    assert json.loads(html.unescape(body)) == {"shown": document["captured"], "fits": True}


def test_a_review_that_cannot_be_written_is_told_after_the_answer(
    photos: str, tmp_path: Path, here: Command, refused: Refused
) -> None:
    (tmp_path / "images" / "review.html").mkdir(parents=True)
    line = ["--camera", photos, "--label", "open", "--review"]
    done = here("capture", *line)
    error, _ = refused(done)
    assert "review.html is a folder" in error
    assert "6 captured" in done.stderr
