"""docs/architecture.md: every room has a row, and the walks are what the code does."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from architecture import check_walk, folders, rooms, walk
from edge_device import Runtime, open_camera, open_sink
from edge_sdk.inference.recognizer import open_recognizer
from walked import PLACES, walked

WALKS = (
    "A frame",
    "A bundle that is opened",
    "A .tflite on its way through `convert`",
    "A recipe on its way through `build`",
)


def test_every_folder_has_a_row_and_every_row_a_folder() -> None:
    assert sorted(rooms()) == sorted(folders())


@pytest.mark.parametrize("heading", WALKS)
def test_what_a_walk_names_is_there(heading: str) -> None:
    for _, steps in walk(heading):
        for path, name in steps:
            package, rest = path.split("/", 1)
            *classes, function = name.split(".")
            body = ast.parse((PLACES[package] / rest).read_text("utf-8")).body
            for owner in classes:
                body = next(n.body for n in body if isinstance(n, ast.ClassDef) and n.name == owner)
            assert any(isinstance(n, ast.FunctionDef) and n.name == function for n in body), name


def test_a_frame_walks_as_drawn(tiny_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c"))
    with (
        Runtime(bundle) as runtime,
        open_camera("synthetic?fps=30&width=64&height=48") as camera,
        open_sink(f"preview:{tmp_path / 'seen.jpg'}") as sink,
        walked() as calls,
    ):
        for result in runtime.run(camera, frames=2):
            assert runtime.frame is not None
            sink.write(runtime.frame, result)
            sink.flush()
    check_walk("A frame", calls)


def test_a_bundle_is_opened_as_drawn(
    tiny_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # where nobody has accepted it yet
    path = tiny_bundle()
    with walked() as calls:
        open_recognizer(path).close()
    check_walk("A bundle that is opened", calls)


ROLES = {"__init__", "backends", "base", "fake", "listing", "options", "record", "worker"}
"""Modules that a folder has for a purpose that other folders have too."""


def test_no_module_name_is_there_twice_but_for_roles() -> None:
    """Modules of documents/ and cli/ are named after their command."""
    modules = [path for package in PLACES.values() for path in package.rglob("*.py")]
    names = Counter(path.stem for path in modules if path.parent.name not in ("documents", "cli"))
    assert {name for name, count in names.items() if count > 1} <= ROLES
