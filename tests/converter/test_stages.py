"""Stages: kept by the hash of what goes into them, whole or not at all."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_converter.builder.stage_cache import PACKAGES, Stages, key, versions
from edge_sdk.errors import DataError, FileError

Make = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stages"


def writes(text: str, calls: list[str] | None = None) -> Make:
    """A stage that writes `text` into two files, one of them in a folder."""

    def make(working: Path) -> None:
        (working / "weights.bin").write_text(text)
        (working / "more").mkdir()
        (working / "more" / "curves.json").write_text(text)
        if calls is not None:
            calls.append(text)

    return make


def never(_: Path) -> None:
    raise AssertionError("this stage was there already")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_stage_is_made_once(folder: Path) -> None:
    stages = Stages(folder)
    path = stages.run("train", {"seed": 1}, writes("a"))
    assert path.parent == folder and path.name == f"train-{key('train', {'seed': 1})[:16]}"
    assert (path / "weights.bin").read_text() == "a"
    assert stages.run("train", {"seed": 1}, never) == path
    assert Stages(folder).run("train", {"seed": 1}, never) == path
    assert [(s["name"], s["cached"]) for s in stages.record] == [("train", False), ("train", True)]
    assert all(s["seconds"] >= 0 for s in stages.record)


def test_other_inputs_make_another_in_its_place(folder: Path) -> None:
    stages = Stages(folder)
    other = stages.run("convert", 0, writes("c"))
    first = stages.run("train", {"seed": 1}, writes("a"))
    second = stages.run("train", {"seed": 2}, writes("b"))
    assert first != second and left(folder) == sorted([other.name, second.name])


def test_the_key_is_of_values_and_of_what_made_them() -> None:
    assert key("train", {"a": 1, "b": 2}) == key("train", {"b": 2, "a": 1})
    assert len({key("train", 1), key("train", 2), key("convert", 1)}) == 3
    assert set(versions()) == set(PACKAGES)
    assert versions()["tensorflow"][0].isdigit()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "changed": lambda stage: (stage / "weights.bin").write_text("A"),
    "changed inside": lambda stage: (stage / "more" / "curves.json").write_text("A"),
    "cut short": lambda stage: (stage / "weights.bin").write_text(""),
    "missing": lambda stage: (stage / "weights.bin").unlink(),
    "one more": lambda stage: (stage / "new.bin").write_text("a"),
    "no seal": lambda stage: (stage / "done.json").unlink(),
    "junk for a seal": lambda stage: (stage / "done.json").write_text("{"),
    "another's seal": lambda stage: (stage / "done.json").write_text(json.dumps({"x": "y"})),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_stage_is_made_again(folder: Path, damage: Callable[[Path], Any]) -> None:
    path = Stages(folder).run("train", 1, writes("a"))
    damage(path)
    stages, calls = Stages(folder), list[str]()
    assert stages.run("train", 1, writes("a", calls)) == path
    assert calls == ["a"] and stages.record[0]["cached"] is False
    assert (path / "weights.bin").read_text() == "a" and not (path / "new.bin").exists()
    assert Stages(folder).run("train", 1, never) == path


@pytest.mark.parametrize("error", [DataError("x", fix="y"), ValueError("x"), KeyboardInterrupt()])
def test_what_fails_leaves_nothing(folder: Path, error: BaseException) -> None:
    def fails(working: Path) -> None:
        writes("half")(working)
        raise error

    stages = Stages(folder)
    with pytest.raises(type(error)):
        stages.run("train", 1, fails)
    assert left(folder) == [] and stages.record == []
    stages.run("train", 1, writes("a"))


def test_a_full_disk_says_what_to_do(folder: Path) -> None:
    def fails(working: Path) -> None:
        writes("half")(working)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FileError) as caught:
        Stages(folder).run("train", 1, fails)
    assert str(caught.value) == f"cannot write in {folder}: No space left on device"
    assert "--out" in caught.value.fix and left(folder) == []


def test_errors_of_our_own_stay_what_they_are(folder: Path) -> None:
    def fails(_: Path) -> None:
        raise FileError("an image is gone", fix="look for it")

    with pytest.raises(FileError, match="an image is gone"):
        Stages(folder).run("train", 1, fails)


def test_what_a_killed_build_left_is_cleared(folder: Path) -> None:
    (folder / ".train-abc").mkdir(parents=True)
    (folder / ".train-abc" / "half.bin").write_text("half")
    (folder / "train-0000000000000000").mkdir()
    path = Stages(folder).run("train", 1, writes("a"))
    assert left(folder) == [path.name]


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write in"):
        Stages(tmp_path / "file").run("train", 1, writes("a"))
