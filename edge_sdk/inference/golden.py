"""The golden rule: may this engine, here, stand for the one that the bundle was proven on?

exact      the engine is the manifest's, the model int8 with no post-process built in: every output
           byte must be equal
tolerance  another interpreter of the same kind: a few output steps, and the same best class; for a
           detector the same detections
unproven   anything else: no bound is known until a device accepts it
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.manifest import Manifest
from edge_sdk.bundle.reading import Bundle, Golden
from edge_sdk.engines import BACKENDS, Engine, EngineInfo
from edge_sdk.errors import GateFailed, ModelError
from edge_sdk.model.interface import ModelInterface
from edge_sdk.tasks import task_of
from edge_sdk.tasks.base import Tolerance
from edge_sdk.tensors import TensorSpec

if TYPE_CHECKING:
    from edge_sdk.documents.common import GoldenOutcome
    from edge_sdk.documents.golden import GoldenFailed

MIN_STEPS = 4

Rule = Literal["exact", "tolerance", "unproven"]


@dataclass(frozen=True)
class GoldenCheck:
    """The outcome of the golden rule. passed: None for an unproven engine, which is not checked.

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
    int8 = manifest.plain.precision == "int8"
    if same and int8 and task_of(manifest).bit_exact(manifest.interface):
        return "exact"
    backend = BACKENDS.get(info.name)
    return "tolerance" if backend is not None and backend.tolerance else "unproven"


def check_golden(
    manifest: Manifest, golden: Golden, engine: Engine, *, samples: int | None = None
) -> GoldenCheck:
    """Run golden samples through `engine` and compare by the rule that holds for it. samples: only
    the first so many; None is all.

    Raises ModelError when the engine's tensors are not the manifest's.
    """
    check_tensors(manifest.interface, engine)
    rule = rule_for(manifest, engine.info)
    inputs, wanted = (
        tuple(values[:samples] for values in side) for side in (golden.inputs, golden.outputs)
    )
    outputs = answers(engine, inputs)
    tolerance = Tolerance(manifest.plain.precision, manifest.golden.steps)
    largest, because = task_of(manifest).compare(manifest.interface, wanted, outputs, tolerance)
    count = len(inputs[0])
    if rule == "unproven":
        because = f"no bound is known for engine {engine.info.name}"
        return GoldenCheck(rule, None, count, largest, because)
    if rule == "exact":
        equal = all(map(np.array_equal, wanted, outputs))
        because = "" if equal else "outputs differ where they must be equal"
    return GoldenCheck(rule, not because, count, largest, because)


def require_golden(bundle: Bundle, engine: Engine, *, samples: int | None = None) -> GoldenCheck:
    """`check_golden`, raising GateFailed (exit status 3) where it fails."""
    check = check_golden(bundle.manifest, bundle.golden(), engine, samples=samples)
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


def check_tensors(interface: ModelInterface, engine: Engine) -> None:
    """Raises ModelError when the engine's inputs and outputs are not those of the interface."""
    inputs, outputs = interface.inputs, interface.outputs
    wanted = [tensor.spec for tensor in (*(i.tensor for i in inputs), *(o.tensor for o in outputs))]
    found = (*engine.inputs, *engine.outputs)
    same = len(engine.inputs) == len(inputs)
    if not same or len(wanted) != len(found) or not all(map(_alike, wanted, found)):
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


def _alike(wanted: TensorSpec, found: TensorSpec) -> bool:
    """Same shape, dtype and quantization, by any name; a scale may have lost digits as text."""
    if (wanted.shape, wanted.dtype) != (found.shape, found.dtype):
        return False
    if wanted.quant is None or found.quant is None:
        return wanted.quant is found.quant
    near = abs(wanted.quant.scale - found.quant.scale) <= 1e-6 * found.quant.scale
    return near and wanted.quant.zero_point == found.quant.zero_point
