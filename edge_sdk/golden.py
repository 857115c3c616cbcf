"""The golden rule: may this engine, here, stand for the one that the bundle was proven on?

exact      the engine is the manifest's: every output byte must be equal
tolerance  another interpreter of the same kind: a few output steps, and the same best class
unproven   anything else: no bound is known until a device accepts it
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle import Bundle, Golden
from edge_sdk.engines import Engine, EngineInfo
from edge_sdk.errors import GateFailed, ModelError
from edge_sdk.manifest import Manifest
from edge_sdk.tensors import TensorSpec

LEAST_STEPS = 4
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5

Rule = Literal["exact", "tolerance", "unproven"]


@dataclass(frozen=True)
class GoldenCheck:
    """What came out. passed is None for an unproven engine: nothing was asked of it.

    largest: the largest difference seen, in output steps (int8, uint8) or as a number (float); inf
    (null in JSON) where an output is not a number.
    """

    rule: Rule
    passed: bool | None
    samples: int
    largest: float
    because: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "rule": self.rule,
            "passed": self.passed,
            "samples": self.samples,
            "largest": self.largest if math.isfinite(self.largest) else None,
            "because": self.because,
        }


def rule_for(manifest: Manifest, info: EngineInfo) -> Rule:
    """Which rule holds for an engine (CONTRACTS.md, "Golden rule")."""
    golden = manifest.golden
    same = (info.name, info.version, info.resolver, info.delegate) == (
        golden.engine,
        golden.version,
        golden.resolver,
        golden.delegate,
    )
    if same and manifest.models["litert"].precision == "int8":
        return "exact"
    return "tolerance" if info.name in ("litert", "tflite-runtime") else "unproven"


def check_golden(manifest: Manifest, golden: Golden, engine: Engine) -> GoldenCheck:
    """Run every golden sample through `engine` and compare by the rule that holds for it.

    Raises ModelError when the engine's tensors are not the manifest's.
    """
    check_tensors(manifest, engine)
    rule = rule_for(manifest, engine.info)
    outputs = answers(engine, golden.inputs)
    pairs = list(zip(golden.outputs, outputs, strict=True))
    largest = max(difference(wanted, found) for wanted, found in pairs)
    count = len(golden.inputs[0])
    if rule == "unproven":
        because = f"no bound is known for engine {engine.info.name}"
        return GoldenCheck(rule, None, count, largest, because)
    if rule == "exact":
        equal = all(np.array_equal(wanted, found) for wanted, found in pairs)
        because = "" if equal else "outputs differ where they must be equal"
        return GoldenCheck(rule, equal, count, largest, because)
    because = next(
        (
            reason
            for (wanted, found), output in zip(pairs, manifest.outputs, strict=True)
            if (reason := _outside(wanted, found, manifest.golden.steps, output.role))
        ),
        "",
    )
    return GoldenCheck(rule, not because, count, largest, because)


def require_golden(bundle: Bundle, engine: Engine) -> GoldenCheck:
    """`check_golden`, raising GateFailed (exit status 3) where it fails."""
    check = check_golden(bundle.manifest, bundle.golden(), engine)
    if check.passed is False:
        info = engine.info
        raise GateFailed(
            f"{bundle.path}: golden outputs do not match on {info.name} {info.version} "
            f"({info.delegate}): {check.because} (largest difference {check.largest:g})",
            fix=_remedy(bundle, engine),
            document={
                "schema": "edge-sdk/golden/1",
                "bundle": bundle.identity,
                "engine": info.as_dict(),
                "golden": check.as_dict(),
            },
        )
    return check


def unproven_warning(check: GoldenCheck | None) -> str | None:
    """The line that goes with answers of an engine that nothing was asked of; None for others."""
    if check is None or check.passed is not None:
        return None
    return f"answers are unproven on this engine: {check.because}"


def check_tensors(manifest: Manifest, engine: Engine) -> None:
    """Raises ModelError when the engine's inputs and outputs are not those of the manifest."""
    wanted = (manifest.input.tensor.spec, *(output.tensor.spec for output in manifest.outputs))
    found = (*engine.inputs, *engine.outputs)
    one_input = len(engine.inputs) == 1
    if not one_input or len(wanted) != len(found) or not all(map(_alike, wanted, found)):
        raise ModelError(
            f"the manifest's tensors {wanted} are not the model's {found}",
            fix="build the bundle again",
        )


def _remedy(bundle: Bundle, engine: Engine) -> str:
    golden = bundle.manifest.golden
    if (engine.info.name, engine.info.version) == (golden.engine, golden.version):
        return "build the bundle again: it was not proven with the model that it holds"
    return (
        "rebuild the bundle with this engine version, or install version "
        f"{golden.version} of {golden.engine}"
    )


def answers(engine: Engine, inputs: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
    """The engine's outputs for stacked inputs: arrays of (samples, *tensor shape)."""
    rows = [engine(*sample) for sample in zip(*inputs, strict=True)]
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest absolute difference; inf where one of them is not a number."""
    gap = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
    return float(np.max(np.where(np.isnan(gap), np.inf, gap), initial=0.0))


def _alike(wanted: TensorSpec, found: TensorSpec) -> bool:
    """Same shape, dtype and quantization, by any name; a scale may have lost digits as text."""
    if (wanted.shape, wanted.dtype) != (found.shape, found.dtype):
        return False
    if wanted.quant is None or found.quant is None:
        return wanted.quant is found.quant
    near = abs(wanted.quant.scale - found.quant.scale) <= 1e-6 * found.quant.scale
    return near and wanted.quant.zero_point == found.quant.zero_point


def _outside(wanted: NDArray[Any], found: NDArray[Any], steps: int, role: str) -> str:
    """Why `found` is outside the tolerance, or ""."""
    integers = np.issubdtype(wanted.dtype, np.integer)
    real, seen = wanted.astype(np.float64), found.astype(np.float64)
    if integers:
        allowed: Any = float(steps)
        if difference(wanted, found) > steps:
            return f"outputs differ by more than {steps} steps"
    else:
        allowed = _ABSOLUTE + _RELATIVE * np.abs(real)
        if not np.all(np.abs(real - seen) <= allowed):
            return f"outputs differ by more than {_RELATIVE:g} relative, {_ABSOLUTE:g} absolute"
    if role == "scores" and real.shape[-1] > 1:
        rows, seen_rows = real.reshape(-1, real.shape[-1]), seen.reshape(-1, real.shape[-1])
        ordered = np.sort(rows, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
        bound = allowed if integers else _ABSOLUTE + _RELATIVE * np.abs(ordered[:, -1])
        clear = margin > bound
        if np.any(clear & (rows.argmax(1) != seen_rows.argmax(1))):
            return "another best class"
    return ""
