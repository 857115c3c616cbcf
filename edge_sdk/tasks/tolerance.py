"""Outputs of one model on two engines, compared number by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.model.interface import OutputEntry
from edge_sdk.tasks.base import Outputs, Tolerance

RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""The tolerance of floats."""

STEPS_OF_RANGE = 255
"""Steps of 8 bits: what was computed in them has them still where it is handed over as floats."""

IN_FLOATS = ("float32", "float16", "int16x8")
"""Precisions whose activations have more than 8 bits."""

_RAW = ("raw_boxes", "raw_scores")
"""Roles of a detector's undecoded outputs: numbers of any size."""


def difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest absolute difference; inf where one of them is not a number."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
    return float(np.max(np.where(np.isnan(gap), np.inf, gap), initial=0.0))


def compare_numbers(
    outputs: Sequence[OutputEntry], wanted: Outputs, found: Outputs, tolerance: Tolerance
) -> tuple[float, str]:
    """The largest difference, and why `found` is outside the tolerance, or ""."""
    both = list(zip(outputs, wanted, found, strict=True))
    reasons = [_outside(output, one, other, tolerance) for output, one, other in both]
    return max(difference(*pair) for _, *pair in both), next(filter(None, reasons), "")


def numbers_apart(
    outputs: Sequence[OutputEntry], wanted: Outputs, found: Outputs, precision: str
) -> float:
    """The largest difference in steps; 0 where floats are compared as floats."""
    gaps = [
        difference(*pair) / step
        for output, *pair in zip(outputs, wanted, found, strict=True)
        if (step := _step(output, precision, pair[0]))
    ]
    return max(gaps, default=0.0)


def _step(output: OutputEntry, precision: str, wanted: NDArray[Any]) -> float:
    """The size of a step in units of the output; 0 where floats are compared as floats.

    What a detector computed in 8 bits and hands over as floats has steps of at least a 255th of
    the range that was seen.
    """
    if np.issubdtype(wanted.dtype, np.integer):
        return 1.0
    if output.role not in _RAW or precision in IN_FLOATS:
        return 0.0
    return _range(wanted) / STEPS_OF_RANGE


def _range(values: NDArray[Any]) -> float:
    """The largest value less the smallest; 0, so that nothing may differ, where there is none."""
    if not np.all(np.isfinite(values)):
        return 0.0
    return float(np.ptp(values.astype(np.float64)))


def _outside(
    output: OutputEntry, wanted: NDArray[Any], found: NDArray[Any], tolerance: Tolerance
) -> str:
    """Why `found` is outside the tolerance, or ""."""
    real, seen = wanted.astype(np.float64), found.astype(np.float64)
    step, steps = _step(output, tolerance.precision, wanted), tolerance.steps
    what = output.role if output.role in _RAW else "outputs"
    if step:
        allowed: Any = steps * step
        kind = "steps" if step == 1.0 else "255ths of their range"
        reason = f"{what} differ by more than {steps} {kind}"
    elif output.role in _RAW:
        # Offsets near 0 are sums of large numbers: their errors are those of the large ones.
        allowed = ABSOLUTE + RELATIVE * _range(wanted)
        reason = f"{what} differ by more than {RELATIVE:g} of their range"
    else:
        allowed = ABSOLUTE + RELATIVE * np.abs(real)
        reason = f"outputs differ by more than {RELATIVE:g} relative, {ABSOLUTE:g} absolute"
    if not np.all(np.isfinite(seen)) or not np.all(np.abs(real - seen) <= allowed):
        return reason
    if output.role == "scores" and real.shape[-1] > 1 and _another_best(real, seen, allowed):
        return "another best class"
    return ""


def _another_best(real: NDArray[Any], seen: NDArray[Any], allowed: Any) -> bool:
    """True where the best class differs although the golden margin is larger than `allowed`."""
    rows, seen_rows = real.reshape(-1, real.shape[-1]), seen.reshape(-1, real.shape[-1])
    bounds = np.broadcast_to(allowed, real.shape).reshape(rows.shape)
    best = rows.argmax(1)
    ordered = np.sort(rows, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    bound = np.take_along_axis(bounds, best[:, None], 1)[:, 0]
    return bool(np.any((margin > bound) & (best != seen_rows.argmax(1))))
