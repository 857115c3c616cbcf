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

from edge_converter.tables import (
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
    Target,
    Train,
)
from edge_sdk.configuration import as_dict, limits, nearest, parse
from edge_sdk.errors import ConfigError, NotAvailableYet
from edge_sdk.files import read_file
from edge_sdk.manifest import SequenceEntry, check_name
from edge_sdk.preprocess import PreprocessSpec, fed_values
from edge_sdk.sources import split_spec

Step = Literal["train", "distill", "prune", "cluster", "qat"]
STEPS: tuple[Step, ...] = ("train", "distill", "prune", "cluster", "qat")
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
    seed: int = field(default=0, metadata=limits(least=0, most=2**32 - 1))
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
        _check(recipe, data, where)
        if recipe.quantize.mode != "int8":
            quantize = dataclasses.replace(recipe.quantize, io="float32")
            recipe = dataclasses.replace(recipe, quantize=quantize)
        return recipe

    def as_dict(self) -> dict[str, Any]:
        """The plain form: `Recipe.parse` reads it back. Without `folder`."""
        data: dict[str, Any] = as_dict(self)
        del data["folder"]
        data["budget"] = {k: v for k, v in data["budget"].items() if v is not None}
        return {k: v for k, v in data.items() if k in _used_tables(self) or k not in _TABLES}

    @property
    def cut(self) -> SequenceEntry | None:
        """How long sequences are; None where the model answers about single pictures."""
        if self.task != "sequence":
            return None
        return SequenceEntry(self.sequence.frames, self.sequence.stride)

    @property
    def preprocess(self) -> PreprocessSpec | None:
        """What is done to pictures on their way into the model; None for features."""
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
    data = read_file(path, what="recipe", most_bytes=1024 * 1024)
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


def _check(recipe: Recipe, data: Mapping[str, Any], where: str) -> None:
    check_name(recipe.name, recipe.version, where)
    _check_steps(recipe, data, where)
    _refuse_later(recipe, where)
    _check_task(recipe, data, where)
    if len(set(recipe.data.labels)) != len(recipe.data.labels):
        raise ConfigError(f"{where}: data.labels names a class twice", fix="name each class once")
    if abs(sum(recipe.data.split) - 1) > 1e-6 or min(recipe.data.split) <= 0:
        raise ConfigError(
            f"{where}: data.split is {list(recipe.data.split)}",
            fix="give three shares above 0 that add up to 1",
        )
    try:
        fed_values(recipe.input.preprocess)
    except ConfigError as error:
        raise ConfigError(f"{where}: input.{error}", fix=error.fix) from error
    io = data.get("quantize", {}).get("io", "float32")
    if recipe.quantize.mode != "int8" and io != "float32":
        raise ConfigError(
            f'{where}: quantize.io is {io!r}, but mode "{recipe.quantize.mode}" has float32 I/O',
            fix='remove quantize.io, or set quantize.mode = "int8"',
        )


def _check_task(recipe: Recipe, data: Mapping[str, Any], where: str) -> None:
    """Pictures, clips and features each have their sources, tables and models."""
    kind, features = split_spec(recipe.data.source)[0], recipe.model.name == "features"
    sequence = kind in ("csv", "video")
    if sequence != (recipe.task == "sequence"):
        task = "sequence" if sequence else "classify"
        raise ConfigError(
            f'{where}: data.source {recipe.data.source!r} does not go with task "{recipe.task}"',
            fix=f'set task = "{task}"',
        )
    if features != (kind == "csv"):
        raise ConfigError(
            f"{where}: model.name {recipe.model.name!r} does not go with data.source "
            f"{recipe.data.source!r}",
            fix='set model.name = "features" for csv:, a network that sees pictures otherwise',
        )
    # A default may be written out; [input] of features would promise pictures.
    unused = "sequence" if not sequence and recipe.sequence != Sequence() else ""
    if features and "input" in data:
        unused = "input"
    if features and recipe.augment != Augment():
        unused = "augment"
    if unused:
        raise ConfigError(
            f"{where}: [{unused}] has no meaning for this data and model", fix=f"remove [{unused}]"
        )


def _check_steps(recipe: Recipe, data: Mapping[str, Any], where: str) -> None:
    if len(set(recipe.steps)) != len(recipe.steps):
        raise ConfigError(f"{where}: steps names a step twice", fix="name each step once")
    for step in STEPS:
        if step in data and step not in _used_tables(recipe):
            raise ConfigError(
                f"{where}: [{step}] is not used", fix=f'add "{step}" to steps, or remove the table'
            )
    if "train" in recipe.steps[1:]:
        raise ConfigError(
            f'{where}: step "train" stands after {recipe.steps[0]!r}: it would start anew',
            fix='put "train" first',
        )
    first = recipe.steps[0] if recipe.steps else "quantize"
    if first not in ("train", "distill") and not recipe.model.name.startswith("file:"):
        raise ConfigError(
            f"{where}: {first} needs a trained model, and model.name is {recipe.model.name!r}",
            fix='put "train" or "distill" first, or name a trained model: "file:PATH.keras"',
        )
    if "distill" in recipe.steps and not recipe.distill.teacher:
        raise ConfigError(
            f"{where}: distill.teacher is missing",
            fix='name one: "file:PATH.keras", "recipe:PATH.toml" or "recipe:NAME"',
        )
    _check_prune(recipe, where)
    if "qat" in recipe.steps:
        _check_qat(recipe, where)
    _check_quantize(recipe, where)


def _check_quantize(recipe: Recipe, where: str) -> None:
    """Keys that only int8 has a meaning for."""
    given = recipe.quantize
    if given.mode == "int8":
        return
    for key, default in (("calibration", "minmax"), ("float_layers", ())):
        if (value := getattr(given, key)) != default:
            raise ConfigError(
                f"{where}: quantize.{key} = {json.dumps(as_dict(value))} has no meaning in mode "
                f'"{given.mode}"',
                fix=f'remove quantize.{key}, or set quantize.mode = "int8"',
            )


def _check_prune(recipe: Recipe, where: str) -> None:
    """What goes with a prune step, and what only with one."""
    after = recipe.steps[recipe.steps.index("prune") :] if "prune" in recipe.steps else ()
    if recipe.distill.teacher == "unpruned" and "distill" not in after:
        raise ConfigError(
            f'{where}: distill.teacher is "unpruned", and no prune step comes before distill',
            fix='put "prune" before "distill" in steps, or name "file:PATH.keras", '
            '"recipe:PATH.toml" or "recipe:NAME"',
        )
    if recipe.prune.unit == "channels":
        return
    if recipe.prune.rank == "entropy":
        raise ConfigError(
            f'{where}: prune.rank is "entropy", which ranks channels; prune.unit is "weights"',
            fix='set prune.rank = "l1", or prune.unit = "channels"',
        )
    for step in ("distill", "qat"):
        if step in after:
            raise ConfigError(
                f'{where}: {step} after prune.unit = "weights" trains the zeros away',
                fix=f'remove "{step}", or set prune.unit = "channels"',
            )


def _check_qat(recipe: Recipe, where: str) -> None:
    """What cannot go with a qat step: it trains the ranges and kernels of one int8 model."""
    if recipe.steps[-1] != "qat":
        raise ConfigError(
            f'{where}: step "{recipe.steps[-1]}" stands after "qat", whose model is ready to be '
            "converted",
            fix='put "qat" last in steps',
        )
    if "cluster" in recipe.steps:
        raise ConfigError(
            f'{where}: step "qat" after "cluster" trains the shared values apart',
            fix='remove "cluster" or "qat" from steps',
        )
    given = recipe.quantize
    for key, needed in (("mode", "int8"), ("calibration", "minmax"), ("float_layers", ())):
        if (value := getattr(given, key)) != needed:
            raise ConfigError(
                f"{where}: quantize.{key} = {json.dumps(as_dict(value))} does not go with the step "
                '"qat", which trains all of an int8 model, ranges included',
                fix=f'remove quantize.{key}, or remove "qat" from steps',
            )


def _refuse_later(table: Any, where: str, path: str = "") -> None:
    """Any key of `table` that differs from its default and is not built yet is an error."""
    for entry in dataclasses.fields(table):
        value = getattr(table, entry.name)
        here = f"{path}.{entry.name}" if path else entry.name
        if dataclasses.is_dataclass(value):
            _refuse_later(value, where, here)
        elif entry.metadata.get("later") and value != entry.default:
            raise NotAvailableYet(
                f"{where}: {here} = {json.dumps(as_dict(value))} is not available yet",
                fix=f"leave {here} at its default, {json.dumps(as_dict(entry.default))}",
            )


def _used_tables(recipe: Recipe) -> set[str]:
    """Those of `_TABLES` that have a meaning in this recipe."""
    used: set[str] = {*recipe.steps, *recipe.quantize.repair}
    if recipe.steps:
        used.add("train")  # batch size, rate, schedule and loss are those of [train]
    if recipe.task == "sequence":
        used.add("sequence")
    if recipe.preprocess is not None:
        used.add("input")
    return used
