"""`edge-sdk capture` as processes: what it leaves in the class folders, says and answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from captures import SYNTHETIC, answered, blocks, names, start
from edge_sdk import Frame, read_image
from edge_sdk.images.image_files import list_images, write_image
from waiting import PATIENCE_S

Command = Callable[..., subprocess.CompletedProcess[str]]


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
        # Half the colours of a JPEG are at the edges of the patches; another image differs by 85.
        assert np.abs(read_image(taken).pixels.astype(int) - read_image(source).pixels).mean() < 8


def test_without_a_rate_every_image_is_taken(photos: str, tmp_path: Path, here: Command) -> None:
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
    assert [one.communicate(timeout=PATIENCE_S) and one.returncode for one in both] == [0, 0]
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


def test_dark_and_blurred_images_are_kept_and_named(tmp_path: Path, here: Command) -> None:
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
    assert dark.startswith("warning: x: 1 of 3 images are dark") and "x-0002.jpg" in dark
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
    assert "1 captured, 4 in total" in again.stdout
    assert "the camera you stopped it before there were enough images images" in again.stdout


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
