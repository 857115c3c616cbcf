"""The models of a build in float32: what its losses are counted from."""

from __future__ import annotations

import itertools

from edge_converter.recipe.schema import RecipeTables

COMPRESSION_STEPS = ("prune", "cluster", "qat")
"""Steps that make a trained model smaller or fit for int8, at a cost that the budget limits."""


def float_models(recipe: RecipeTables) -> dict[str, str]:
    """{name: step} of the models that a build has in float32: the step that left it, "" for the
    file that the recipe starts from. "float" is the last that no step has compressed: a build's
    losses are counted from there.
    """
    plain = list(itertools.takewhile(lambda step: step not in COMPRESSION_STEPS, recipe.steps))
    reference = plain[-1] if plain else ""
    others = [step for step in recipe.steps if step not in (reference, "qat")]
    return {"float": reference, **{f"step-{step}": step for step in others}}
