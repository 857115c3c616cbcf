"""A capture of a live camera, and what ends one: signals, a camera that dies, a full disk."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captures import CAPTURE, SYNTHETIC, answered, names, start
from edge_sdk import read_image
from edge_sdk.images.image_files import list_images
from waiting import PATIENCE_S

Command = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., tuple[str, str]]
WaitFor = Callable[[Callable[[], bool], subprocess.Popen[str]], None]
Write = Callable[..., list[Path]]

MANY = ("--count", "100000")
"""More than are taken before a test ends it."""


@pytest.mark.slow
def test_a_live_camera(tmp_path: Path, camera_server: Callable[[str], Any], here: Command) -> None:
    """It shows flat grey, brighter by 8 in each frame; its password is shown to nobody."""
    server = camera_server("http")
    server.say("fps 5")  # grey comes round after 32 frames: not in a pause of this machine
    camera = server.url.replace("://", "://me:secret@")
    line = ["--camera", camera, "--delay", "0", "--interval", "0.2", "--count", "3", "--review"]
    done = here("capture", *line, "--label", "x", "--json")
    document = answered(done)
    assert document["ended"] == "count"
    images = [read_image(tmp_path / name).pixels for name in document["labels"][0]["files"]]
    levels = [round(pixels.mean() / 8) for pixels in images]
    assert len(set(levels)) == 3
    for level, pixels in zip(levels, images, strict=True):
        assert pixels.shape == (48, 64, 3)
        assert np.abs(pixels.astype(int) - 8 * level).max() <= 4
    page = (tmp_path / document["review"]).read_text("utf-8")
    assert "secret" not in done.stdout + done.stderr + page


def test_ctrl_c_and_sigterm_keep_what_was_taken(tmp_path: Path, wait_for: WaitFor) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = tmp_path / "images" / f"label{number}"
        process = start(*SYNTHETIC, *MANY, "--label", folder.name, "--json", cwd=tmp_path)
        wait_for(lambda at=folder: at.is_dir() and len(list_images(at)) > 1, process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, stderr
        document = json.loads(stdout)
        assert document["ended"] == "stopped"
        assert document["captured"] >= 2
        kept = [Path(name).name for name in document["labels"][0]["files"]]
        assert names(folder) == kept
        assert all(read_image(path).width == 640 for path in folder.iterdir())


def test_ctrl_c_before_the_first_image_leaves_no_folder(tmp_path: Path, wait_for: WaitFor) -> None:
    preview = tmp_path / "preview.jpg"
    line = ["--camera", "synthetic", "--delay", "600", "--label", "x", "--preview", preview]
    process = start(*line, "--review", cwd=tmp_path)
    wait_for(preview.exists, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert "0 captured" in stdout and "stopped" in stdout
    assert not (tmp_path / "images" / "x").exists()


def test_sigterm_while_the_camera_is_opened(tmp_path: Path) -> None:
    """It takes the connection and says nothing: that is waited for, but not by whoever is told to
    end.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.mjpg"
        process = start("--camera", url, "--label", "x", "--json", cwd=tmp_path)
        with silent.accept()[0]:
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert (document["ended"], document["captured"]) == ("stopped", 0)


def test_a_camera_that_dies_leaves_its_images(
    tmp_path: Path, write_images: Write, command: Command, refused: Refused, wait_for: WaitFor
) -> None:
    paths = write_images(tmp_path / "photos", 3, size=(64, 48))
    camera = f"folder:{tmp_path / 'photos'}?fps=max&loop=1"
    process = start("--camera", camera, "--label", "x", *MANY, "--json", cwd=tmp_path)
    folder = tmp_path / "images" / "x"
    wait_for(lambda: folder.is_dir() and len(list_images(folder)) > 3, process)
    for path in paths:
        path.unlink()
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    done = subprocess.CompletedProcess([], process.returncode, stdout, stderr)
    error, _ = refused(done)
    assert "none of the 3 images" in error
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
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_full_disk_ends_it_and_keeps_what_is_there(
    tmp_path: Path, write_images: Write, unmeasured: dict[str, str], refused: Refused
) -> None:
    """The third image is too large for it."""
    write_images(tmp_path / "photos", 2, size=(64, 48))
    write_images(tmp_path / "photos" / "z", 1, size=(640, 480))
    done = with_little_room(tmp_path, unmeasured)
    error, fix = refused(done)
    assert "x-0003.jpg" in error and "too large" in error
    assert "free some space" in fix
    assert "2 captured, 2 in total" in done.stderr
    assert names(tmp_path / "images" / "x") == ["x-0001.jpg", "x-0002.jpg"]


def test_a_full_disk_from_the_start_leaves_no_class(
    tmp_path: Path, write_images: Write, unmeasured: dict[str, str], refused: Refused
) -> None:
    write_images(tmp_path / "photos", 1, size=(640, 480))
    done = with_little_room(tmp_path, unmeasured)
    refused(done)
    assert len(done.stderr.splitlines()) == 2
    assert names(tmp_path / "images") == []
