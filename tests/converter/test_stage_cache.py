"""Stages: kept by the hash of what goes into them, whole or not at all."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edge_converter.builder.stage_cache import KEEP, PACKAGES, StageCache, key, versions
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


def run(folder: Path, name: str, inputs: Any, make: Make) -> Path:
    """The stage, in a build of its own."""
    with StageCache(folder) as cache:
        return cache.run(name, inputs, make)


def test_a_stage_is_made_once(folder: Path) -> None:
    with StageCache(folder) as cache:
        path = cache.run("train", {"seed": 1}, writes("a"))
        assert path.parent == folder and path.name == f"train-{key('train', {'seed': 1})[:16]}"
        assert (path / "weights.bin").read_text() == "a"
        assert cache.run("train", {"seed": 1}, never) == path
    assert run(folder, "train", {"seed": 1}, never) == path
    assert [(s["name"], s["cached"]) for s in cache.record] == [("train", False), ("train", True)]
    assert all(s["seconds"] >= 0 for s in cache.record)


def test_going_back_to_earlier_inputs_makes_nothing_anew(folder: Path) -> None:
    other = run(folder, "convert", 0, writes("c"))
    first = run(folder, "train", {"seed": 1}, writes("a"))
    second = run(folder, "train", {"seed": 2}, writes("b"))
    assert left(folder) == sorted([other.name, first.name, second.name])
    assert run(folder, "train", {"seed": 1}, never) == first
    assert run(folder, "train", {"seed": 2}, never) == second


def test_a_hundred_edits_leave_the_last_few(folder: Path) -> None:
    """Those of each stage that were used last, not those that were made last."""
    first = run(folder, "train", 0, writes("0"))
    for number in range(1, 100):
        run(folder, "train", number, writes(str(number)))
        run(folder, "convert", number % 2, writes("c"))
        run(folder, "train", 0, never)
    kept = [first.name, *(f"train-{key('train', n)[:16]}" for n in range(101 - KEEP, 100))]
    assert [name for name in left(folder) if name.startswith("train")] == sorted(kept)
    assert sum(name.startswith("convert") for name in left(folder)) == 2


def test_what_a_build_has_used_stays_until_it_ends(folder: Path) -> None:
    """However many others are made beside it, by itself and by other processes."""
    with StageCache(folder) as cache:
        used = [cache.run("train", n, writes(str(n))) for n in range(KEEP + 3)]
        for number in range(100, 100 + 2 * KEEP):
            run(folder, "train", number, writes("x"))
        assert all(path.is_dir() for path in used)
    run(folder, "train", 200, writes("x"))
    assert len(left(folder)) == KEEP


def test_two_that_make_the_same_stage_at_once_share_it(folder: Path) -> None:
    meeting = threading.Barrier(2)

    def make(working: Path) -> None:
        meeting.wait(30)  # neither has found the other's
        writes("a")(working)

    with StageCache(folder) as one, StageCache(folder) as other, ThreadPoolExecutor() as pool:
        paths = [pool.submit(cache.run, "train", 1, make) for cache in (one, other)]
        assert len({path.result() for path in paths}) == 1
        assert left(folder) == [paths[0].result().name]
    assert run(folder, "train", 1, never) == paths[0].result()


def test_a_stage_in_the_making_is_left_alone(folder: Path) -> None:
    def make(working: Path) -> None:
        writes("a")(working)
        other = run(folder, "convert", 1, writes("c"))  # which clears what was abandoned
        assert other.is_dir() and working.is_dir()

    run(folder, "train", 1, make)
    assert run(folder, "train", 1, never).is_dir()


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
    path = run(folder, "train", 1, writes("a"))
    damage(path)
    calls: list[str] = []
    assert run(folder, "train", 1, writes("a", calls)) == path and calls == ["a"]
    assert (path / "weights.bin").read_text() == "a" and not (path / "new.bin").exists()
    assert run(folder, "train", 1, never) == path


@pytest.mark.parametrize("error", [DataError("x", fix="y"), ValueError("x"), KeyboardInterrupt()])
def test_what_fails_leaves_nothing(folder: Path, error: BaseException) -> None:
    def fails(working: Path) -> None:
        writes("half")(working)
        raise error

    with StageCache(folder) as cache:
        with pytest.raises(type(error)):
            cache.run("train", 1, fails)
        assert left(folder) == [] and cache.record == []
        cache.run("train", 1, writes("a"))


def test_a_full_disk_says_what_to_do(folder: Path) -> None:
    def fails(working: Path) -> None:
        writes("half")(working)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FileError) as caught:
        run(folder, "train", 1, fails)
    assert str(caught.value) == f"cannot write in {folder}: No space left on device"
    assert "--out" in caught.value.fix and left(folder) == []


def test_errors_of_our_own_stay_what_they_are(folder: Path) -> None:
    def fails(_: Path) -> None:
        raise FileError("an image is gone", fix="look for it")

    with pytest.raises(FileError, match="an image is gone"):
        run(folder, "train", 1, fails)


def test_what_a_killed_build_left_is_cleared(folder: Path) -> None:
    (folder / ".train-abc").mkdir(parents=True)
    (folder / ".train-abc" / "half.bin").write_text("half")
    (folder / "train-0000000000000000").mkdir()
    run(folder, "train", 2, writes("b")).rename(folder / ".train-finished")  # but not renamed
    path = run(folder, "train", 1, writes("a"))
    assert left(folder) == [path.name]


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write in"):
        run(tmp_path / "file", "train", 1, writes("a"))
