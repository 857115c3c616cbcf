"""What a build tries when int8 loses too much, in which order, and what decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_converter import Recipe
from edge_converter.builder.repair import MORE_SAMPLES, Candidate, repair
from edge_sdk.errors import ModelError
from listeners import Lines

N = 100
WORST = [
    {"name": "mix", "op": "CONV_2D", "sqnr_db": 1.0, "together": ["mix", "pool"]},
    {"name": "stem", "op": "CONV_2D", "sqnr_db": 9.0, "together": ["stem"]},
]


def outcome(right: int) -> dict[str, Any]:
    return {"accuracy": right / N, "correct": right, "n": N, "bytes": 1000 + right}


@dataclass
class Workshop:
    """Makes and verifies by a table: {(calibration, qat?, float layers): right of N on validation,
    on test}. Float is right for all; what the table lacks is right for none.
    """

    folder: Path
    table: Mapping[tuple[str, bool, tuple[str, ...]], tuple[int, int]]
    impossible: tuple[str, ...] = ()
    pruned: int = N
    recipes: list[Recipe] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lines: Lines = field(default_factory=lambda: Lines("note"))

    def make(self, recipe: Recipe, label: str) -> Candidate:
        self.recipes.append(recipe)
        if set(self.impossible) & set(recipe.steps):
            raise ModelError("no rule for layer 'odd'", fix="leave it out")
        return Candidate(recipe, {}, self._folder(f"{label}convert"))

    def verify(self, made: Candidate, part: str, label: str) -> Path:
        self.asked.append(f"{label}{part}")
        given = made.recipe.quantize
        known = (given.calibration, "qat" in made.recipe.steps, given.float_layers)
        folder = self._folder(f"{label}verify-{part}")
        right = self.table.get(known, (0, 0))[part == "test"]
        (folder / "float.json").write_text(json.dumps(outcome(N)))
        (folder / "step-prune.json").write_text(json.dumps(outcome(self.pruned)))
        (folder / "model.json").write_text(json.dumps(outcome(right)))
        return folder

    def repaired(
        self, steps: tuple[str, ...] = ("train",), **quantize: Any
    ) -> tuple[Candidate, list[dict[str, Any]]]:
        """What is kept of a recipe with these keys in [quantize], and the tries."""
        recipe = Recipe.parse(
            {
                "name": "doors",
                "data": {"source": "folder:images"},
                "model": {"name": "seed_cnn"},
                "steps": list(steps),
                **({"distill": {"teacher": "file:t.keras"}} if "distill" in steps else {}),
                "quantize": quantize,
                "budget": {"accuracy_loss": 0.01},
            }
        )
        plain = Candidate(recipe, {}, self._folder("convert"))
        (plain.converted / "worst_layers.json").write_text(json.dumps(WORST))
        tested = self.verify(plain, "test", "")
        final, verified, tries = repair(plain, tested, self.make, self.verify, self.lines)
        kept = json.loads((verified / "model.json").read_text())
        if any(one["passed"] for one in tries):
            assert kept["accuracy"] == tries[-1]["test_accuracy"]
        else:
            assert (final, verified) == (plain, tested)
        return final, tries

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder


PLAIN = ("minmax", False, ())
PERCENTILE = ("percentile", False, ())
QAT = ("minmax", True, ())


def test_nothing_is_tried_within_the_budget(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PLAIN: (0, N - 1)})
    assert shop.repaired()[1] == [] and shop.recipes == []


def test_it_says_what_is_wrong(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PLAIN: (0, 70)})
    shop.repaired()
    assert shop.lines[0] == (
        "repair: int8 loses 30.00 points, 1.00 points allowed; worst layers: mix (1.0 dB), "
        "stem (9.0 dB)"
    )


def test_what_a_step_lost_in_float_is_not_int8s_to_repair(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PLAIN: (0, 70), PERCENTILE: (N, N)}, pruned=80)
    assert shop.repaired(steps=("train", "prune"))[1] == []
    assert shop.lines == [
        'repair: not tried: "prune" alone, in float32, loses more than allowed',
    ]
    shop = Workshop(tmp_path, {PLAIN: (0, 70), PERCENTILE: (N, N)}, pruned=N)
    assert len(shop.repaired(steps=("train", "prune"))[1]) == 1
    # What was trained before distilling is no reference.
    assert len(shop.repaired(steps=("train", "distill"))[1]) == 1


def test_qat_takes_the_place_of_what_the_recipe_says_of_ranges(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {QAT: (N, N)})
    shop.repaired(calibration="percentile", float_layers=["stem"], repair=["qat"])
    (tried,) = shop.recipes
    assert (tried.quantize.calibration, tried.quantize.float_layers) == ("minmax", ())
    assert tried.steps == ("train", "qat")


def test_an_empty_list_never_tries(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PLAIN: (0, 0), PERCENTILE: (N, N)})
    assert shop.repaired(repair=[])[1] == [] and shop.recipes == []


def test_qat_in_steps_leaves_nothing_to_try(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {})
    recipe = Recipe.parse(
        {
            "name": "doors",
            "steps": ["train", "qat"],
            "data": {"source": "folder:images"},
            "model": {"name": "seed_cnn"},
        }
    )
    plain = Candidate(recipe, {}, tmp_path)
    tested = shop.verify(plain, "test", "")
    assert repair(plain, tested, shop.make, shop.verify, shop.lines)[2] == []


def test_the_first_that_helps_is_kept(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PERCENTILE: (50, 0), QAT: (N, N)})
    final, tries = shop.repaired()
    assert [one["name"] for one in tries] == ["calibration", "qat"]
    assert [one["passed"] for one in tries] == [False, True]
    assert (tries[0]["accuracy"], tries[0]["test_accuracy"]) == (0.5, None)
    assert (tries[1]["accuracy"], tries[1]["test_accuracy"]) == (1.0, 1.0)
    assert final.recipe.steps == ("train", "qat")
    assert shop.recipes[0].quantize.calibration_samples == MORE_SAMPLES * 200
    assert any("calibration 50.00 %" in line for line in shop.lines)


def test_the_test_part_is_asked_only_about_what_validation_accepted(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PERCENTILE: (0, N), QAT: (N, N)})
    shop.repaired()
    assert shop.asked == ["test", "repair1-val", "repair2-val", "repair2-test"]


def test_layers_turn_float_one_more_at_a_time(tmp_path: Path) -> None:
    both = ("mix", "pool", "stem")
    shop = Workshop(tmp_path, {("minmax", False, both): (N, N)})
    final, tries = shop.repaired(repair=["float_layers"])
    assert [one["float_layers"] for one in tries] == [["mix", "pool"], list(both)]
    assert final.recipe.quantize.float_layers == both


def test_a_try_that_is_not_possible_says_why(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, {PERCENTILE: (N, N)}, impossible=("qat",))
    _, tries = shop.repaired(repair=["qat", "calibration"])
    assert tries[0]["note"] == "no rule for layer 'odd'" and tries[0]["accuracy"] is None
    assert tries[1]["passed"]


@pytest.mark.parametrize("table", [{}, {QAT: (N, 0)}], ids=["nothing helps", "the test says no"])
def test_without_help_the_plain_model_stays(tmp_path: Path, table: dict[Any, Any]) -> None:
    shop = Workshop(tmp_path, table)
    _, tries = shop.repaired()
    assert [one["name"] for one in tries] == ["calibration", "qat", "float_layers", "float_layers"]
    assert not any(one["passed"] for one in tries)
