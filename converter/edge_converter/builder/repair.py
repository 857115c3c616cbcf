"""[quantize] repair: attempts of a build when int8 costs more accuracy than the budget allows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_converter.builder.float_models import float_models
from edge_converter.builder.gates import accuracy_exceeded
from edge_converter.recipe.loading import Recipe
from edge_converter.recipe.schema import Step
from edge_sdk.documents.build import LayerError, RepairTry, Unrepaired
from edge_sdk.errors import ConfigError, ModelError, TrainingError
from edge_sdk.events import Event, Listener
from edge_sdk.formatting import share

MAX_FLOAT = 5
"""The most layers that "float_layers" takes from the list of the worst, one more in each try."""

MORE_SAMPLES = 5
"""So many times the recipe's calibration_samples does "calibration" look at."""


@dataclass(frozen=True)
class Candidate:
    """A converted model: the recipe that made it, {step: its model.keras}, the convert stage."""

    recipe: Recipe
    steps: Mapping[str, Path]
    converted: Path


Make = Callable[[Recipe, str], Candidate]
Verify = Callable[[Candidate, str, str], Path]


def repair(
    plain: Candidate, verified: Path, make: Make, verify: Verify, listen: Listener
) -> tuple[Candidate, Path, list[RepairTry]]:
    """Try the recipe's repairs in order until one is within the budget, where `plain` is not.

    plain: what the recipe itself made; verified: its evaluation on the test part. make(recipe,
    label) trains and converts; verify(candidate, part, label) evaluates on "val" or "test" and
    returns its folder; `label` keeps their stages apart. Returns the repaired model (`plain` where
    nothing is to be repaired or nothing helped), its evaluation on the test part, and the tries:
    [{name, accuracy, accuracy_loss, n, bytes, test_accuracy, test_accuracy_loss, passed,
    float_layers, note}].

    accuracy and accuracy_loss are those on the validation part: to choose among tries by their
    test accuracy would make the winner's look better than it is. The test part is asked only about
    a try that validation has accepted, nearly always one, and only whether it passes the gate.
    """
    if not _needs_repair(plain.recipe, verified, listen):
        return plain, verified, []
    _report_loss(plain, verified, listen)
    tries: list[RepairTry] = []
    for name, variant in _variants(plain):
        label = f"repair{len(tries) + 1}-"
        entry = _untried(name, variant)
        tries.append(entry)
        try:
            _check(variant)
            candidate = make(variant, label)
        except (ConfigError, ModelError, TrainingError) as error:
            entry["note"] = str(error)
            listen(Event("note", "repair", f"{name} is not possible: {error}"))
            continue
        accepted = _judge(entry, candidate, verify(candidate, "val", label))
        result = f"{name} {share(entry['accuracy'])}, {_loss(entry['accuracy_loss'] or 0)} lost"
        listen(Event("note", "repair", result))
        if not accepted:
            continue
        tested = verify(candidate, "test", label)
        if _test(entry, candidate, tested):
            return candidate, tested, tries
    return plain, verified, tries


def worst_layers(plain: Candidate) -> list[LayerError]:
    """The worst layers of the recipe's own int8 model (layer_error.py); empty where it has none."""
    found: list[LayerError] = json.loads((plain.converted / "worst_layers.json").read_text())
    return found


def unrepaired(tested: Path) -> Unrepaired:
    """{accuracy, accuracy_loss, n, bytes} on the test part, before any repair. tested: that
    evaluation.
    """
    floats, model = (_read(tested, name) for name in ("float", "model"))
    return {
        "accuracy": model["accuracy"],
        "accuracy_loss": floats["accuracy"] - model["accuracy"],
        "n": model["n"],
        "bytes": model["bytes"],
    }


def _needs_repair(recipe: Recipe, verified: Path, listen: Listener) -> bool:
    """qat has trained the ranges already: there is nothing left to try. Nor is there where a step
    before the conversion has lost too much in float.
    """
    floats, model = (_read(verified, name) for name in ("float", "model"))
    if recipe.quantize.mode != "int8" or "qat" in recipe.steps or not recipe.quantize.repair:
        return False
    if not accuracy_exceeded(recipe.budget, floats, model):
        return False
    last = recipe.steps[-1] if recipe.steps else ""
    (name,) = (name for name, step in float_models(recipe).items() if step == last)
    if lost := accuracy_exceeded(recipe.budget, floats, _read(verified, name)):
        reason = f'not tried: "{last}" alone, in float32, loses more than allowed'
        listen(Event("note", "repair", reason))
    return not lost


def _report_loss(plain: Candidate, verified: Path, listen: Listener) -> None:
    floats, model = (_read(verified, name) for name in ("float", "model"))
    worst = [f"{one['name']} ({one['sqnr_db']:.1f} dB)" for one in worst_layers(plain)[:3]]
    loss = _loss(floats["accuracy"] - model["accuracy"])
    allowed = _loss(plain.recipe.budget.accuracy_loss)
    message = f"int8 loses {loss}, {allowed} allowed; worst layers: {', '.join(worst)}"
    listen(Event("note", "repair", message))


def _untried(name: str, variant: Recipe) -> RepairTry:
    """The entry of an attempt that has not been measured yet."""
    return {
        "name": name,
        "accuracy": None,
        "accuracy_loss": None,
        "n": None,
        "bytes": None,
        "test_accuracy": None,
        "test_accuracy_loss": None,
        "passed": False,
        "note": "",
        "float_layers": list(variant.quantize.float_layers),
    }


def _variants(plain: Candidate) -> Iterator[tuple[str, Recipe]]:
    """The name and the recipe of each try."""
    recipe = plain.recipe
    for name in recipe.quantize.repair:
        if name == "calibration":
            samples = MORE_SAMPLES * recipe.quantize.calibration_samples
            yield name, _with(recipe, calibration="percentile", calibration_samples=samples)
        elif name == "qat":
            # It trains the ranges of all layers: what the recipe says of them is void.
            steps: tuple[Step, ...] = (*recipe.steps, "qat")
            yield name, _with(recipe, steps, calibration="minmax", float_layers=())
        else:
            for layers in _one_more(recipe.quantize.float_layers, worst_layers(plain)):
                yield name, _with(recipe, float_layers=layers)


def _one_more(kept: Sequence[str], worst: Sequence[LayerError]) -> Iterator[tuple[str, ...]]:
    """float_layers with the worst layer, with the two worst, and so on. A layer whose output is to
    be in float brings along those that share it.
    """
    found = tuple(kept)
    for one in worst[:MAX_FLOAT]:
        longer = tuple(dict.fromkeys((*found, *one["together"])))
        if longer != found:
            found = longer
            yield found


def _with(recipe: Recipe, steps: tuple[Step, ...] = (), **quantize: Any) -> Recipe:
    """The recipe with other steps or other values in [quantize]."""
    return dataclasses.replace(
        recipe,
        steps=steps or recipe.steps,
        quantize=dataclasses.replace(recipe.quantize, **quantize),
    )


def _check(recipe: Recipe) -> None:
    """Raises ConfigError for what cannot go together, e.g. qat after pruned weights."""
    Recipe.parse(recipe.as_dict(), where="this try")


def _judge(entry: RepairTry, candidate: Candidate, checked: Path) -> bool:
    """Fill in the result of validation. True where it is within the budget."""
    floats, model = (_read(checked, name) for name in ("float", "model"))
    entry |= {
        "accuracy": model["accuracy"],
        "accuracy_loss": floats["accuracy"] - model["accuracy"],
        "n": model["n"],
        "bytes": model["bytes"],
    }
    return not accuracy_exceeded(candidate.recipe.budget, floats, model)


def _test(entry: RepairTry, candidate: Candidate, tested: Path) -> bool:
    """Fill in the result of the test. True where it is within the budget."""
    floats, model = (_read(tested, name) for name in ("float", "model"))
    entry |= {
        "test_accuracy": model["accuracy"],
        "test_accuracy_loss": floats["accuracy"] - model["accuracy"],
        "passed": not accuracy_exceeded(candidate.recipe.budget, floats, model),
    }
    return entry["passed"]


def _read(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def _loss(value: float) -> str:
    return f"{100 * value:.2f} points"
