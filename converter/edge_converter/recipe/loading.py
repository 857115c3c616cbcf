"""recipe.toml read and checked: what goes together, what is built and what is not yet."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from edge_converter.recipe.checks import check, used_tables
from edge_converter.recipe.schema import (
    STEPS,
    Augment,
    Cluster,
    Data,
    Distill,
    Input,
    Model,
    Prune,
    Qat,
    Quantize,
    RecipeBudget,
    Sequence,
    Step,
    Target,
    Train,
)
from edge_sdk.bundle.manifest import SequenceEntry
from edge_sdk.configuration import as_dict, limits, nearest, parse
from edge_sdk.data.sources import split_spec
from edge_sdk.errors import ConfigError
from edge_sdk.files import read_file
from edge_sdk.preprocess import PreprocessSpec

_TABLES = (*STEPS, "sequence", "input")
"""Tables that not every recipe has a use for."""
_PATH_KEYS = ("data.source", "model.name", "model.weights", "distill.teacher")
_PATH_KINDS = ("folder:", "csv:", "video:", "file:", "recipe:")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `folder`: what its relative paths start from."""

    name: str
    data: Data
    model: Model
    version: str = "1.0.0"
    task: Literal["classify", "sequence"] = "classify"
    seed: int = field(default=0, metadata=limits(ge=0, le=2**32 - 1))
    steps: tuple[Step, ...] = ("train",)
    input: Input = field(default_factory=Input)
    sequence: Sequence = field(default_factory=Sequence)
    train: Train = field(default_factory=Train)
    augment: Augment = field(default_factory=Augment)
    distill: Distill = field(default_factory=Distill)
    prune: Prune = field(default_factory=Prune)
    cluster: Cluster = field(default_factory=Cluster)
    qat: Qat = field(default_factory=Qat)
    quantize: Quantize = field(default_factory=Quantize)
    target: Target = field(default_factory=Target)
    budget: RecipeBudget = field(default_factory=RecipeBudget)
    folder: Path = field(default=Path(), init=False, compare=False)

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
            raise ConfigError(f"{where}: {error}", fix="mend the TOML at that place") from error
        for key, value in (overrides or {}).items():
            _override(data, key, value)
        recipe = cls.parse(data, where=where)
        object.__setattr__(recipe, "folder", folder)
        return recipe

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, where: str = "recipe.toml") -> Recipe:
        """A recipe from its table. Raises ConfigError, NotAvailableYet."""
        recipe = parse(cls, data, where=where)
        check(recipe, data, where)
        if recipe.quantize.mode != "int8":
            quantize = dataclasses.replace(recipe.quantize, io="float32")
            recipe = dataclasses.replace(recipe, quantize=quantize)
        return recipe

    def as_dict(self) -> dict[str, Any]:
        """The plain form: `Recipe.parse` reads it back. Without `folder`."""
        data: dict[str, Any] = as_dict(self)
        del data["folder"]
        data["budget"] = {k: v for k, v in data["budget"].items() if v is not None}
        return {k: v for k, v in data.items() if k in used_tables(self) or k not in _TABLES}

    @property
    def cut(self) -> SequenceEntry | None:
        """How long sequences are; None where the model answers about single images."""
        if self.task != "sequence":
            return None
        return SequenceEntry(self.sequence.frames, self.sequence.stride)

    @property
    def preprocess(self) -> PreprocessSpec | None:
        """What is done to images on their way into the model; None for features."""
        return None if self.model.name == "features" else self.input.preprocess

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the recipe's meaning: its values, not its layout or its folder."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def builtin_recipes() -> list[str]:
    """Names for `recipe:NAME`."""
    folder = resources.files("edge_converter") / "recipes"
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))


def inspect(path: Path) -> dict[str, Any]:
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
        raise ConfigError(f"--set {text!r} has no KEY=VALUE", fix="write --set train.epochs=5")
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
