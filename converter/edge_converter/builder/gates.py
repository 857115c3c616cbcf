"""The gates of a build: the limits of [budget] that can be checked on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_converter.recipe.schema import RecipeBudget


def budget_failures(
    budget: RecipeBudget, reference: Mapping[str, Any], converted: Mapping[str, Any]
) -> list[str]:
    """One line for each limit that the converted model exceeds.

    reference, converted: "float" and "converted" of a build document, evaluated on the same images.
    """
    failures = []
    if accuracy_exceeded(budget, reference, converted):
        loss = reference["accuracy"] - converted["accuracy"]
        failures.append(
            f"accuracy loss {loss:.4f} exceeds {budget.accuracy_loss:g} "
            f"(float {reference['accuracy']:.4f}, converted {converted['accuracy']:.4f}, "
            f"{converted['n']} test images)"
        )
    if budget.bytes is not None and converted["bytes"] > budget.bytes:
        failures.append(
            f"model.tflite has {converted['bytes']} bytes, the budget is {budget.bytes}"
        )
    return failures


def accuracy_exceeded(
    budget: RecipeBudget, reference: Mapping[str, Any], converted: Mapping[str, Any]
) -> bool:
    """True where the converted model loses more than `budget.accuracy_loss` on the same images."""
    # Counted in images: 0.99 - 0.98 is a little more than 0.01 in floating point.
    lost = reference["correct"] - converted["correct"]
    return bool(lost > budget.accuracy_loss * converted["n"] + 1e-9)
