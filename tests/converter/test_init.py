"""init: a project that builds as soon as there are images in it."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_converter import Recipe
from edge_converter.datasets import open_dataset
from edge_converter.models import find_architecture
from edge_sdk.cli.table import main

FILES = ["README.md", "images/README.txt", "recipe.toml"]


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_it_writes_a_recipe_a_readme_and_a_place_for_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "doors"
    assert main(["init", str(folder)]) == 0
    assert files(folder) == FILES
    printed = capsys.readouterr().out
    assert f"edge-sdk inspect {folder / 'images'}" in printed
    assert f"edge-sdk build {folder / 'recipe.toml'}" in printed
    for name in FILES:
        assert "{name}" not in (folder / name).read_text()
    assert "doors-1.0.0.edge" in (folder / "README.md").read_text()


def test_the_recipe_loads(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "doors")]) == 0
    recipe = Recipe.load(tmp_path / "doors" / "recipe.toml")
    assert recipe.name == "doors"
    assert find_architecture(recipe.model.name).name == recipe.model.name


def test_the_recipe_says_what_the_defaults_are(tmp_path: Path) -> None:
    """Each key has its default, but for augmentation, and a comment."""
    assert main(["init", str(tmp_path / "doors")]) == 0
    recipe = Recipe.load(tmp_path / "doors" / "recipe.toml").as_dict()
    plain = Recipe.parse(
        {
            "name": "doors",
            "data": {"source": "folder:images"},
            "model": {"name": recipe["model"]["name"]},
        }
    ).as_dict()
    other = {key for key, value in recipe.items() if value != plain[key]}
    assert other == {"augment"}
    text = (tmp_path / "doors" / "recipe.toml").read_text()
    for table, values in tomllib.loads(text).items():
        if isinstance(values, dict):
            assert values.keys() <= plain[table].keys()
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    assert [line for line in lines if "#" not in line] == []


def test_images_are_all_that_is_missing(tmp_path: Path, write_classes: Callable[..., Path]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    write_classes(tmp_path / "images", {"open": 20, "closed": 20})
    data = open_dataset(Recipe.load(tmp_path / "recipe.toml"))
    assert data.labels == ("closed", "open") and data.left_out == ()
    assert main(["inspect", str(tmp_path / "images")]) == 0


def test_before_there_are_images_the_build_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert main(["build", str(tmp_path / "recipe.toml")]) == 1
    assert "has no class folders" in capsys.readouterr().err


def test_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "a b"), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["name"]) == ("edge-sdk/init/1", "a-b")
    assert sorted(document["files"]) == [str(tmp_path / "a b" / name) for name in FILES]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert f"{mine} exists already" in printed.err and "fix: " in printed.err
    assert (files(tmp_path), mine.read_text(), printed.out) == ([name], "mine", "")


def test_images_that_are_there_stay(tmp_path: Path, write_classes: Callable[..., Path]) -> None:
    write_classes(tmp_path / "images", {"cat": 3})
    assert main(["init", str(tmp_path)]) == 0
    assert len(files(tmp_path)) == 3 + 3


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "doors").write_text("")
    assert main(["init", str(tmp_path / "doors")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert main(["init", str(tmp_path / "doors" / "deeper")]) == 1
    assert "cannot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "name"), [("Türen 2", "T-ren-2"), ("...", "my-model"), ("猫", "my-model")]
)
def test_any_folder_gives_a_name_that_a_bundle_may_have(
    tmp_path: Path, folder: str, name: str
) -> None:
    assert main(["init", str(tmp_path / folder)]) == 0
    assert Recipe.load(tmp_path / folder / "recipe.toml").name == name


def test_a_file_called_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert f"{tmp_path / 'images'} is not a folder" in printed and "fix: " in printed
    assert files(tmp_path) == ["images"]


def test_the_readme_names_a_camera(tmp_path: Path) -> None:
    """Without one `run` ends with an error."""
    assert main(["init", str(tmp_path / "doors")]) == 0
    (line,) = re.findall(r"edge-sdk run .*", (tmp_path / "doors" / "README.md").read_text())
    assert "doors-1.0.0.edge --camera" in line


def test_here_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    with contextlib.chdir(tmp_path / "cats"):
        assert main(["init"]) == 0
    assert Recipe.load(tmp_path / "cats" / "recipe.toml").name == "cats"
