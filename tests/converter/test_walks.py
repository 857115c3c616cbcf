"""docs/architecture.md: how a .tflite passes `convert`, and a recipe `build`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from architecture import check_walk
from edge_converter import ConvertOptions, Recipe, build, convert
from edge_sdk import Bundle
from walked import walked


def test_a_tflite_walks_as_drawn(tiny_bundle: Callable[..., Path], tmp_path: Path) -> None:
    with Bundle.open(tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c"))) as bundle:
        (tmp_path / "tiny.tflite").write_bytes(bundle.model())
    (tmp_path / "labels.txt").write_text("a\nb\nc\n", "utf-8")
    options = ConvertOptions(labels=tmp_path / "labels.txt")
    with walked() as calls:
        convert(tmp_path / "tiny.tflite", options, out=tmp_path / "tiny.edge")
    check_walk("A .tflite on its way through `convert`", calls)


def test_a_recipe_walks_as_drawn(project: Callable[..., Path], tmp_path: Path) -> None:
    recipe = project(tmp_path)
    with walked() as calls:
        build(Recipe.load(recipe))
    check_walk("A recipe on its way through `build`", calls)
