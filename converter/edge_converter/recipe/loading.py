"""recipe.toml read and checked: what goes together, what is built and what is not yet."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from edge_converter.recipe.recipe_checks import check
from edge_converter.recipe.schema import RecipeTables
from edge_sdk.configuration import nearest, parse
from edge_sdk.data.sources import split_spec
from edge_sdk.documents.inspect import InspectRecipe
from edge_sdk.errors import ConfigError
from edge_sdk.files import read_file

_PATH_KEYS = ("data.source", "model.name", "model.weights", "distill.teacher")
_PATH_KINDS = ("folder:", "csv:", "video:", "file:", "recipe:")


@dataclass(frozen=True)
class Recipe(RecipeTables):
    """A recipe that was read and checked. folder: the base of its relative paths."""

    folder: Path = field(default=Path(), kw_only=True, compare=False)

    @classmethod
    def load(cls, source: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
        """Read PATH.toml, or `recipe:NAME`, a built-in one (its paths start from the current
        folder). overrides: {"train.epochs": 5}; their paths start from the current folder.

        Raises FileError, ConfigError, NotAvailableYet.
        """
        text, where, folder = _read(str(source))
        try:
            data = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # syntax, endless digits, endless brackets
            raise ConfigError(f"{where}: {error}", fix="fix the TOML there") from error
        for key, value in (overrides or {}).items():
            _override(data, key, value)
        return cls.parse(data, where=where, folder=folder)

    @classmethod
    def parse(
        cls, data: Mapping[str, Any], *, where: str = "recipe.toml", folder: Path = Path()
    ) -> Recipe:
        """A recipe from its table. where: its file, for messages; folder: the base of its paths.

        Raises ConfigError, NotAvailableYet.
        """
        tables = parse(RecipeTables, data, where=where)
        check(tables, data, where)
        if tables.quantize.mode != "int8":
            quantize = dataclasses.replace(tables.quantize, io="float32")
            tables = dataclasses.replace(tables, quantize=quantize)
        return cls(**vars(tables), folder=folder)


def builtin_recipes() -> list[str]:
    """Names for `recipe:NAME`."""
    folder = resources.files("edge_converter") / "recipes"
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))


def inspect(path: Path) -> InspectRecipe:
    """The inspect document of a recipe file, every default filled in. Raises as `Recipe.load`."""
    recipe = Recipe.load(path)
    return {
        "schema": "edge-sdk/inspect/1",
        "path": str(path),
        "kind": "recipe",
        "sha256": recipe.sha256,
        "recipe": recipe.as_dict(),
    }


def parse_setting(text: str) -> tuple[str, Any]:
    """("train.epochs", 5) from "train.epochs=5": the value as TOML, or as text where it is none.

    Raises ConfigError without "=".
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is not KEY=VALUE", fix="write --set train.epochs=5")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        parsed = value
    return key.strip(), parsed


def _read(source: str) -> tuple[str, str, Path]:
    if source.startswith("recipe:"):
        name = source[len("recipe:") :]
        if name not in builtin_recipes():
            raise ConfigError(
                f"unknown built-in recipe {name!r}", fix=nearest(name, builtin_recipes())
            )
        file = resources.files("edge_converter") / "recipes" / f"{name}.toml"
        return file.read_text("utf-8"), source, Path.cwd()
    path = Path(source)
    data = read_file(path, what="recipe", max_bytes=1024 * 1024)
    try:
        return data.decode("utf-8-sig"), str(path), path.resolve().parent
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text", fix="save it as UTF-8") from error


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {key}: {table} is not a table", fix="check the key's path")
    if key in _PATH_KEYS and isinstance(value, str):
        value = _from_current_folder(key, value)
    data[last] = value


def _from_current_folder(key: str, value: str) -> str:
    """`value` with its path, where it has one, made absolute."""
    if key == "data.source" and split_spec(value) == ("folder", value):
        value = f"folder:{value}"  # a bare path
    kind = next((k for k in _PATH_KINDS if value.startswith(k)), "")
    if kind and (kind != "recipe:" or value.endswith(".toml")):
        return kind + str(Path(value[len(kind) :]).expanduser().absolute())
    return value
