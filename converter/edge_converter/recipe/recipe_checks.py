"""Checks of a whole recipe: values that contradict each other, and what is not available yet."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from edge_converter.recipe.schema import STEPS, Augment, RecipeTables, SequenceTable
from edge_sdk.bundle.manifest import check_name
from edge_sdk.configuration import as_dict
from edge_sdk.data.sources import split_spec
from edge_sdk.errors import ConfigError, NotAvailableYet
from edge_sdk.preprocess import fed_values
from edge_sdk.tasks import task_of


def check(recipe: RecipeTables, data: Mapping[str, Any], where: str) -> None:
    """data: as it was written; where: its file, for the message. Raises ConfigError,
    NotAvailableYet.
    """
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


def _check_task(recipe: RecipeTables, data: Mapping[str, Any], where: str) -> None:
    """Images, clips and features each have their sources, tables and models."""
    kind, features = split_spec(recipe.data.source)[0], recipe.model.name == "features"
    sequence = kind in ("csv", "video")
    if sequence != task_of(recipe).sequential:
        task = "sequence" if sequence else "classify"
        raise ConfigError(
            f'{where}: data.source {recipe.data.source!r} does not go with task "{recipe.task}"',
            fix=f'set task = "{task}"',
        )
    if features != (kind == "csv"):
        raise ConfigError(
            f"{where}: model.name {recipe.model.name!r} does not go with data.source "
            f"{recipe.data.source!r}",
            fix='set model.name = "features" for csv:, a network that sees images otherwise',
        )
    # A default may be written out; [input] of features would promise images.
    unused = "sequence" if not sequence and recipe.sequence != SequenceTable() else ""
    if features and "input" in data:
        unused = "input"
    if features and recipe.augment != Augment():
        unused = "augment"
    if unused:
        raise ConfigError(
            f"{where}: [{unused}] does not apply to this data and model", fix=f"remove [{unused}]"
        )


def _check_steps(recipe: RecipeTables, data: Mapping[str, Any], where: str) -> None:
    if len(set(recipe.steps)) != len(recipe.steps):
        raise ConfigError(f"{where}: steps names a step twice", fix="name each step once")
    for step in STEPS:
        if step in data and step not in recipe.used_tables:
            raise ConfigError(
                f"{where}: [{step}] is not used", fix=f'add "{step}" to steps, or remove the table'
            )
    if "train" in recipe.steps[1:]:
        raise ConfigError(
            f'{where}: step "train" comes after {recipe.steps[0]!r}: it would start over',
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
    if "cluster" in recipe.steps[:-1]:
        raise ConfigError(
            f'{where}: step "{recipe.steps[-1]}" after "cluster" would break up the shared values',
            fix='put "cluster" last in steps',
        )
    if "qat" in recipe.steps:
        _check_qat(recipe, where)
    _check_quantize(recipe, where)


def _check_quantize(recipe: RecipeTables, where: str) -> None:
    """Keys that apply only to int8, and lists that name something twice."""
    given = recipe.quantize
    for name in ("repair", "float_layers"):
        if len(set(getattr(given, name))) != len(getattr(given, name)):
            raise ConfigError(
                f"{where}: quantize.{name} names one of them twice", fix="name each once"
            )
    if given.mode == "int8":
        return
    for key, default in (("calibration", "minmax"), ("float_layers", ())):
        if (value := getattr(given, key)) != default:
            raise ConfigError(
                f"{where}: quantize.{key} = {json.dumps(as_dict(value))} does not apply in mode "
                f'"{given.mode}"',
                fix=f'remove quantize.{key}, or set quantize.mode = "int8"',
            )


def _check_prune(recipe: RecipeTables, where: str) -> None:
    """Values that contradict a prune step, or need one."""
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


def _check_qat(recipe: RecipeTables, where: str) -> None:
    """Values that contradict a qat step, which trains the ranges and kernels of one int8 model."""
    if recipe.steps[-1] != "qat":
        raise ConfigError(
            f'{where}: step "{recipe.steps[-1]}" comes after "qat", which must be the last step',
            fix='put "qat" last in steps',
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
