"""inspect of a folder of images: what it finds, says and draws."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_sdk import Frame
from edge_sdk.cli.table import main
from edge_sdk.errors import FileError
from edge_sdk.images.contact_sheet import contact_sheet, thumbnail
from edge_sdk.images.image_files import decode_image, write_image
from edge_sdk.inspection.inspect import inspect

Answers = Callable[..., dict[str, Any]]


@pytest.fixture
def answers(capsys: pytest.CaptureFixture[str]) -> Answers:
    def run(*arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["inspect", *map(str, arguments), "--json"]) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


def photo(seed: int, size: tuple[int, int] = (60, 80)) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def write_photos(folder: Path, counts: Mapping[str, int], first: int = 0) -> Path:
    for label, count in counts.items():
        for index in range(count):
            first += 1
            write_image(folder / label / f"{index:03}.png", Frame(photo(first), "bgr"))
    return folder


def again(source: Path, target: Path) -> None:
    """The same image as a JPEG of low quality."""
    pixels = cv2.imread(str(source))
    assert cv2.imwrite(str(target), pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])


def test_a_clean_folder(answers: Answers, tmp_path: Path) -> None:
    document = answers(write_photos(tmp_path, {"cat": 20, "dog": 10}))
    assert document["classes"] == {"cat": 20, "dog": 10} and document["pictures"] == 30
    assert document["sizes"] == {"80x60": 30}
    assert (document["unreadable"], document["duplicates"], document["near"]) == ([], 0, [])
    assert document["splits"] == {
        "cat": {"train": 14, "val": 3, "test": 3},
        "dog": {"train": 6, "val": 2, "test": 2},
    }
    assert document["warnings"] == [] and document["left_out"] == []


def test_near_duplicates_are_named_and_equal_ones_counted(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 6, "dog": 6})
    again(tmp_path / "cat" / "001.png", tmp_path / "dog" / "again.jpg")
    shutil.copy(tmp_path / "cat" / "002.png", tmp_path / "cat" / "copy.png")
    document = answers(tmp_path)
    assert (document["duplicates"], document["near_duplicates"]) == (1, 1)
    (pair,) = document["near"]
    assert {Path(pair["picture"]).name, Path(pair["other"]).name} == {"again.jpg", "001.png"}
    assert 0 <= pair["bits"] <= 4
    assert any("near-duplicates: 1 images" in line for line in document["warnings"])


def small_photos(folder: Path, first: int = 0) -> None:
    for index in range(first, first + 4):
        write_image(folder / f"{index}.png", Frame(photo(index, (28, 28)), "bgr"))


def test_near_duplicates_among_images_too_small_to_tell(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for first, label in enumerate(("cat", "dog")):
        small_photos(tmp_path / label, 10 * first)
    document = answers(tmp_path, "--report", tmp_path / "look")
    assert (document["compared"], document["near_duplicates"]) == (0, None)
    page = (tmp_path / "look" / "report.html").read_text()
    assert "not compared" in page and "smaller than 32 pixels" in page
    shutil.rmtree(tmp_path / "look")
    assert main(["inspect", str(tmp_path)]) == 0
    assert "not compared (smaller than 32 pixels" in capsys.readouterr().out
    write_photos(tmp_path, {"large": 3}, first=100)
    document = answers(tmp_path)
    assert (document["compared"], document["near_duplicates"]) == (3, 0)
    assert main(["inspect", str(tmp_path)]) == 0
    assert "0 (3 images compared)" in capsys.readouterr().out


def test_near_duplicates_need_two_parts_that_can_be_told(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path / "train", {"cat": 4, "dog": 4})
    small_photos(tmp_path / "test" / "cat")
    small_photos(tmp_path / "test" / "dog", 10)
    assert answers(tmp_path)["near_duplicates"] is None


def test_equal_files_in_two_parts_and_in_two_classes(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path / "train", {"cat": 4, "dog": 4})
    write_photos(tmp_path / "test", {"cat": 2, "dog": 2}, first=100)
    one, same = tmp_path / "train" / "cat" / "000.png", tmp_path / "test" / "cat" / "same.png"
    shutil.copy(one, tmp_path / "train" / "cat" / "copy.png")
    assert not any("equal files" in line for line in answers(tmp_path)["warnings"])
    shutil.copy(one, same)
    (line,) = (line for line in answers(tmp_path)["warnings"] if "equal files" in line)
    assert "several splits: 1 images" in line and str(same) in line
    shutil.copy(tmp_path / "train" / "dog" / "001.png", tmp_path / "train" / "cat" / "dog.png")
    (line,) = (line for line in answers(tmp_path)["warnings"] if "several classes" in line)
    assert "1 images" in line and "dog/001.png" in line and "cat/dog.png" in line


def test_within_a_part_near_duplicates_do_no_harm(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path / "train", {"cat": 4, "dog": 4})
    write_photos(tmp_path / "test", {"cat": 2, "dog": 2}, first=100)
    again(tmp_path / "train/cat/000.png", tmp_path / "train/cat/again.jpg")
    assert answers(tmp_path)["near_duplicates"] == 0
    again(tmp_path / "train/cat/000.png", tmp_path / "test/cat/again.jpg")
    document = answers(tmp_path)
    assert document["near_duplicates"] == 1
    assert "/test/" in document["near"][0]["picture"] and "/train/" in document["near"][0]["other"]


def test_parts_are_shown_as_they_are_and_val_is_held_out(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path / "train", {"cat": 17, "dog": 17})
    write_photos(tmp_path / "test", {"cat": 4, "dog": 5}, first=100)
    document = answers(tmp_path)
    assert document["parts"]["train"] == {"cat": 17, "dog": 17}
    assert document["splits"]["cat"] == {"train": 14, "val": 3, "test": 4}


def test_a_folder_beside_the_parts(answers: Answers, tmp_path: Path) -> None:
    for first, part in enumerate(("train", "test", "valid")):
        write_photos(tmp_path / part, {"cat": 4, "dog": 4}, first=100 * first)
    (tmp_path / "notes").mkdir()
    (line,) = answers(tmp_path)["warnings"]
    assert f"{tmp_path / 'valid'} is beside" in line and str(tmp_path / "val") in line


def test_what_is_left_out_is_named(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 4, "dog": 4})
    (tmp_path / "cat" / "IMG_1.heic").write_bytes(b"x")
    (tmp_path / "cat" / ".hidden.heic").write_bytes(b"x")
    write_image(tmp_path / "loose.png", Frame(photo(99), "bgr"))
    (tmp_path / "README.txt").write_text("hello")
    document = answers(tmp_path)
    wanted = [str(tmp_path / "loose.png"), str(tmp_path / "cat" / "IMG_1.heic")]
    assert document["left_out"] == wanted and document["pictures"] == 8
    assert any("left out" in line and "2 files" in line for line in document["warnings"])


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({"cat": 40, "dog": 3}, "class 'dog' has 1 image to train, 'cat' has 28"),
        ({"cat": 9, "dog": 2}, "class 'dog' has too few readable images"),
        ({"cat": 9}, "only one class"),
    ],
    ids=str,
)
def test_classes_that_will_not_do(
    answers: Answers, tmp_path: Path, counts: dict[str, int], says: str
) -> None:
    document = answers(write_photos(tmp_path, counts))
    assert any(says in line for line in document["warnings"])
    assert set(document["splits"]) == {name for name, count in counts.items() if count > 2}


def test_broken_files_do_not_count_for_the_split(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 20, "dog": 20})
    for index in range(10):
        (tmp_path / "dog" / f"{index:03}.png").write_bytes(b"\x89PNG broken")
    document = answers(tmp_path)
    assert len(document["unreadable"]) == 10 and document["classes"]["dog"] == 20
    assert sum(document["splits"]["dog"].values()) == 10


def test_the_smallest_and_the_largest_image(answers: Answers, tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 3, "dog": 3})
    write_image(tmp_path / "cat" / "dot.png", Frame(np.zeros((1, 1, 3), np.uint8), "bgr"))
    large = np.full((6000, 8000, 3), 90, np.uint8)
    large[2000:4000] = 200
    assert cv2.imwrite(str(tmp_path / "dog" / "large.jpg"), large)
    document = answers(tmp_path, "--report", tmp_path / "look")
    assert {"1x1": 1, "8000x6000": 1}.items() <= document["sizes"].items()
    assert document["unreadable"] == []


def test_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path, {"cat": 20, "dog": 10})
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"\xff\xd8")
    again(tmp_path / "cat" / "001.png", tmp_path / "dog" / "again.jpg")
    assert main(["inspect", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert re.search(r"class +images +train +val +test", printed.out)
    assert re.search(r"cat +21 +14 +3 +3", printed.out)
    assert f"unreadable: {tmp_path / 'cat' / 'broken.jpg'}" in printed.out
    assert "alike: " in printed.out and "again.jpg" in printed.out
    assert "warning: near-duplicates: 1 images" in printed.err


# --- the report ----------------------------------------------------------------------------------


def images_in(page: str) -> list[NDArray[np.uint8]]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [decode_image(base64.b64decode(text)).pixels for text in found]


def test_the_report_of_a_folder(answers: Answers, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "<images>", {"cat & co": 25, "dog": 4})
    (folder / "dog" / "broken.png").write_bytes(b"x")
    document = answers(folder, "--report", tmp_path / "look")
    assert json.loads((tmp_path / "look" / "inspect.json").read_text()) == document
    page = (tmp_path / "look" / "report.html").read_text()
    assert "cat &amp; co" in page and "<images>" not in page and "broken.png" in page
    many, few = images_in(page)
    assert many.shape == (2 * 76 + 4, 10 * 76 + 4, 3)
    assert few.shape == (1 * 76 + 4, 4 * 76 + 4, 3)  # without the broken one


@pytest.mark.parametrize("kind", ["bundle", "images"])
def test_the_report_of_anything(
    kind: str, answers: Answers, tmp_path: Path, tiny_bundle: Callable[..., Path]
) -> None:
    path = tiny_bundle()
    if kind == "images":
        path = tmp_path / "loose"
        write_image(path / "a.png", Frame(photo(1), "bgr"))
    document = answers(path, "--report", tmp_path / "look")
    assert json.loads((tmp_path / "look" / "inspect.json").read_text()) == document
    page = (tmp_path / "look" / "report.html").read_text()
    assert path.name in page and len(images_in(page)) == (kind == "images")


def test_a_report_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "images", {"cat": 1})
    (tmp_path / "file").write_text("")
    assert main(["inspect", str(tmp_path / "images"), "--report", str(tmp_path / "file")]) == 1
    assert "error: cannot write" in capsys.readouterr().err
    # It is tried before anything is read: the first error is the report's.
    assert main(["inspect", str(tmp_path / "none"), "--report", str(tmp_path / "file")]) == 1
    assert "error: cannot write a report to" in capsys.readouterr().err


# --- the contact sheet ---------------------------------------------------------------------------


@pytest.mark.parametrize("side", [8, 160])
def test_a_thumbnail_of_a_frame_of_planes_shows_its_colours(side: int) -> None:
    bgr = np.zeros((side, side, 3), np.uint8)
    bgr[: side // 2] = (200, 40, 40)
    bgr[side // 2 :] = (40, 40, 200)
    planes = Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), "yuv420p")
    made = thumbnail(planes, 40)
    assert (made.pixels.shape, made.color) == ((40, 40, 3), "bgr")
    wanted = thumbnail(Frame(bgr, "bgr"), 40).pixels
    gap = np.abs(made.pixels.astype(int) - wanted.astype(int))
    assert gap[5:15].max() < 6 and gap[-15:-5].max() < 6


def test_a_package_inspects_files_of_its_own(tmp_path: Path, plug_in: Callable[..., None]) -> None:
    plug_in(
        "edge_sdk.inspectors",
        "voc = inspecting_voc:look",
        "def look(path):\n    return {'schema': 'edge-sdk/inspect/1', 'kind': path.read_text()}\n",
    )
    path = tmp_path / "boxes.voc"
    path.write_text("annotations")
    assert inspect(path)["kind"] == "annotations"
    with pytest.raises(FileError, match="does not exist"):
        inspect(tmp_path / "none.voc")


def test_images_stand_in_rows_each_whole() -> None:
    red, green, blue = (np.zeros((30, 60, 3), np.uint8) for _ in range(3))
    red[:], green[:], blue[:] = (0, 0, 255), (0, 255, 0), (255, 0, 0)
    gray = np.full((8, 8), 100, np.uint8)
    frames = [
        Frame(red, "bgr"),
        Frame(np.ascontiguousarray(green[:, :, ::-1]), "rgb"),
        Frame(np.ascontiguousarray(blue[:, :, ::-1]), "rgb"),
        Frame(gray, "gray"),
    ]
    sheet = decode_image(contact_sheet(frames, 3, tile=40)).pixels
    assert sheet.shape == (2 * 44 + 4, 3 * 44 + 4, 3)
    centers = [sheet[24, 24], sheet[24, 68], sheet[24, 112], sheet[68, 24]]
    wanted = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (100, 100, 100)]
    assert [tuple(pixel.tolist()) for pixel in centers] == wanted
    # Twice as wide as high: above and below it is paper, as where there is no image.
    assert {tuple(sheet[y, x].tolist()) for y, x in ((8, 24), (40, 24), (68, 68))} == {(232,) * 3}


@pytest.mark.parametrize(
    ("size", "wanted"), [((1, 1), (40, 40)), ((300, 3), (40, 1)), ((2, 500), (1, 40))]
)
def test_any_form_is_fitted(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    small = thumbnail(Frame(np.zeros((*size, 3), np.uint8), "bgr"), 40)
    assert small.pixels.shape[:2] == wanted
