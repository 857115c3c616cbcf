"""The golden rule: may this engine, here, stand for the one that the bundle was proven on?

exact      the engine is the manifest's, the model int8 with no post-process built in: every output
           byte must be equal
tolerance  another interpreter of the same kind: a few output steps, and the same best class; for a
           detector the same detections
unproven   anything else: no bound is known until a device accepts it
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.manifest import Manifest
from edge_sdk.bundle.reading import Bundle, Golden
from edge_sdk.engines import Engine, EngineInfo
from edge_sdk.errors import GateFailed, ModelError
from edge_sdk.inference.golden_detections import Bounds, Detections, answered, compare_detections
from edge_sdk.model.interface import OutputEntry
from edge_sdk.tensors import TensorSpec, dequantize

if TYPE_CHECKING:
    from edge_sdk.documents.common import GoldenOutcome
    from edge_sdk.documents.golden import GoldenFailed

MIN_STEPS = 4
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
_STEPS_OF_RANGE = 255
"""Steps of 8 bits: what was computed in them has them still where it is handed over as floats."""

_IN_FLOATS = ("float32", "float16", "int16x8")
"""Precisions whose activations have more than 8 bits."""

_RAW = ("raw_boxes", "raw_scores")
"""What a detector's network answers: numbers of any size, of which boxes are made."""

_IOU = 0.9
"""Least overlap of two boxes that were computed in floats, and are one."""

_MEASURED = Bounds(32 / _STEPS_OF_RANGE, iou=_IOU)
"""Which detections are surely the same, where it is asked how many steps they differ by."""

Rule = Literal["exact", "tolerance", "unproven"]


@dataclass(frozen=True)
class GoldenCheck:
    """What came out. passed is None for an unproven engine: nothing was asked of it.

    largest: the largest difference seen, in output steps (int8, uint8) or as a number (float; of
    detections the score's); inf (null in JSON) where an output is not a number.
    """

    rule: Rule
    passed: bool | None
    samples: int
    largest: float
    because: str

    def as_dict(self) -> GoldenOutcome:
        """The JSON form."""
        return {
            "rule": self.rule,
            "passed": self.passed,
            "samples": self.samples,
            "largest": self.largest if math.isfinite(self.largest) else None,
            "because": self.because,
        }


def rule_for(manifest: Manifest, info: EngineInfo) -> Rule:
    """The rule that holds for an engine (docs/contracts.md, "Golden rule"). A post-process that is
    built in computes in floats, whatever the network does: it is never exact.
    """
    golden = manifest.golden
    same = (info.name, info.version, info.resolver, info.delegate) == (
        golden.engine,
        golden.version,
        golden.resolver,
        golden.delegate,
    )
    whole = manifest.models["litert"].precision == "int8" and not _built_in(manifest.outputs)
    if same and whole:
        return "exact"
    return "tolerance" if info.name in ("litert", "tflite-runtime") else "unproven"


def check_golden(manifest: Manifest, golden: Golden, engine: Engine) -> GoldenCheck:
    """Run every golden sample through `engine` and compare by the rule that holds for it.

    Raises ModelError when the engine's tensors are not the manifest's.
    """
    check_tensors(manifest, engine)
    rule = rule_for(manifest, engine.info)
    outputs = answers(engine, golden.inputs)
    largest, because = _compare(manifest, golden.outputs, outputs)
    count = len(golden.inputs[0])
    if rule == "unproven":
        because = f"no bound is known for engine {engine.info.name}"
        return GoldenCheck(rule, None, count, largest, because)
    if rule == "exact":
        equal = all(map(np.array_equal, golden.outputs, outputs))
        because = "" if equal else "outputs differ where they must be equal"
    return GoldenCheck(rule, not because, count, largest, because)


def require_golden(bundle: Bundle, engine: Engine) -> GoldenCheck:
    """`check_golden`, raising GateFailed (exit status 3) where it fails."""
    check = check_golden(bundle.manifest, bundle.golden(), engine)
    if check.passed is False:
        info = engine.info
        document: GoldenFailed = {
            "schema": "edge-sdk/golden/1",
            "bundle": bundle.identity,
            "engine": info.as_dict(),
            "golden": check.as_dict(),
        }
        raise GateFailed(
            f"{bundle.path}: golden outputs do not match on {info.name} {info.version} "
            f"({info.delegate}): {check.because} (largest difference {check.largest:g})",
            fix=_remedy(bundle, engine),
            document=dict(document),
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
    with np.errstate(invalid="ignore"):
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


def steps_apart(
    outputs: Sequence[OutputEntry],
    precision: str,
    wanted: Sequence[NDArray[Any]],
    found: Sequence[NDArray[Any]],
) -> float:
    """The largest difference in steps, where the rule counts steps; 0 where it does not."""
    if _built_in(outputs):
        one, other = _detections(outputs, wanted), _detections(outputs, found)
        gap, _ = compare_detections(one, other, _MEASURED)
        return 0.0 if precision in _IN_FLOATS else gap * _STEPS_OF_RANGE
    gaps = [
        difference(*pair) / step
        for output, *pair in zip(outputs, wanted, found, strict=True)
        if (step := _step(output, precision, pair[0]))
    ]
    return max(gaps, default=0.0)


def _built_in(outputs: Sequence[OutputEntry]) -> bool:
    """Whether the outputs are those of TFLite_Detection_PostProcess."""
    return any(output.role == "count" for output in outputs)


def _compare(
    manifest: Manifest, wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]
) -> tuple[float, str]:
    """The largest difference, and why `found` is outside the tolerance, or ""."""
    precision, steps = manifest.models["litert"].precision, manifest.golden.steps
    if _built_in(manifest.outputs):
        one, other = (_detections(manifest.outputs, values) for values in (wanted, found))
        return compare_detections(one, other, _bounds(manifest))
    both = list(zip(manifest.outputs, wanted, found, strict=True))
    reasons = [_outside(output, precision, one, other, steps) for output, one, other in both]
    return max(difference(*pair) for _, *pair in both), next(filter(None, reasons), "")


def _bounds(manifest: Manifest) -> Bounds:
    post = manifest.postprocess
    least = min(post.min_score, *post.min_scores.values(), 1.0)
    if manifest.models["litert"].precision in _IN_FLOATS:
        return Bounds(_ABSOLUTE, _RELATIVE, _IOU, post.iou, least)
    return Bounds(manifest.golden.steps / _STEPS_OF_RANGE, 0.0, post.iou, post.iou, least)


def _detections(outputs: Sequence[OutputEntry], values: Sequence[NDArray[Any]]) -> list[Detections]:
    """What a built-in post-process found in each sample."""
    real = {
        output.role: dequantize(stored, output.tensor.spec).reshape(len(stored), -1)
        for output, stored in zip(outputs, values, strict=True)
    }
    boxes = real["boxes"].reshape(len(real["boxes"]), -1, 4)
    rows = zip(boxes, real["classes"], real["scores"], real["count"][:, 0], strict=True)
    return [answered(*row) for row in rows]


def _step(output: OutputEntry, precision: str, wanted: NDArray[Any]) -> float:
    """How large a step is, as the output's numbers go; 0 where floats are compared as floats.

    What a detector computed in 8 bits and hands over as floats has steps of at least a 255th of
    the range that was seen.
    """
    if np.issubdtype(wanted.dtype, np.integer):
        return 1.0
    if output.role not in _RAW or precision in _IN_FLOATS:
        return 0.0
    return _range(wanted) / _STEPS_OF_RANGE


def _range(values: NDArray[Any]) -> float:
    """The largest value less the smallest; 0, so that nothing may differ, where there is none."""
    if not np.all(np.isfinite(values)):
        return 0.0
    return float(np.ptp(values.astype(np.float64)))


def _outside(
    output: OutputEntry, precision: str, wanted: NDArray[Any], found: NDArray[Any], steps: int
) -> str:
    """Why `found` is outside the tolerance, or ""."""
    real, seen = wanted.astype(np.float64), found.astype(np.float64)
    step = _step(output, precision, wanted)
    what = output.role if output.role in _RAW else "outputs"
    if step:
        allowed: Any = steps * step
        kind = "steps" if step == 1.0 else "255ths of their range"
        reason = f"{what} differ by more than {steps} {kind}"
    elif output.role in _RAW:
        # Offsets near 0 are sums of large numbers: their errors are those of the large ones.
        allowed = _ABSOLUTE + _RELATIVE * _range(wanted)
        reason = f"{what} differ by more than {_RELATIVE:g} of their range"
    else:
        allowed = _ABSOLUTE + _RELATIVE * np.abs(real)
        reason = f"outputs differ by more than {_RELATIVE:g} relative, {_ABSOLUTE:g} absolute"
    if not np.all(np.isfinite(seen)) or not np.all(np.abs(real - seen) <= allowed):
        return reason
    if output.role == "scores" and real.shape[-1] > 1 and _another_best(real, seen, allowed):
        return "another best class"
    return ""


def _another_best(real: NDArray[Any], seen: NDArray[Any], allowed: Any) -> bool:
    """Whether the best class is another one where the golden margin is larger than `allowed`."""
    rows, seen_rows = real.reshape(-1, real.shape[-1]), seen.reshape(-1, real.shape[-1])
    bounds = np.broadcast_to(allowed, real.shape).reshape(rows.shape)
    best = rows.argmax(1)
    ordered = np.sort(rows, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    bound = np.take_along_axis(bounds, best[:, None], 1)[:, 0]
    return bool(np.any((margin > bound) & (best != seen_rows.argmax(1))))
