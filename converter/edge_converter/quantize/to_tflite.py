"""From a Keras model to .tflite: in a child process, and compared with the Keras model afterwards.

TensorFlow's converter can crash the process (a rolled LSTM in int8) or return a model full of NaN
without a word. So it runs in a child, and what it returns must agree with the Keras model on real
samples before anything else is done with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_converter.quantize.job import ConversionJob
from edge_converter.quantize.worker_pool import run_child
from edge_sdk.data.samples import Sample
from edge_sdk.documents.build import Agreement as AgreementRecord
from edge_sdk.engines import DEFAULT, EngineSpec, open_spec
from edge_sdk.errors import TrainingError
from edge_sdk.preprocess import PreprocessSpec, fed_values
from edge_sdk.tensors import dequantize, quantize
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.probabilities import ends_in_probabilities

_CHILD = "edge_converter.quantize.worker"
CALIBRATED = ("int8", "int16x8")
"""Modes in which activations are integers: their ranges come from images."""
AGREEMENT_SAMPLES = 32
AGREEMENT_BOUNDS = {
    **{"float32": 1e-4, "float16": 1e-2},
    **dict.fromkeys(("dynamic", "int8", "int16x8", "int4"), 0.25),
}
"""Largest mean total variation distance, half the sum of |converted - Keras| over the classes, that
passes. Quantized bounds only catch a conversion gone wrong; what quantization costs in accuracy is
the budget's business.
"""
GATED = ("int8", "int4")
"""Modes that may rightly lose much: AGREEMENT_BOUNDS is for models of which nobody measures it."""

CONSTANT_BELOW = 0.01
"""A Keras model that moves less than this between samples may answer alike once converted: it is
two to three steps of an int8 output (1/256).
"""


@dataclass(frozen=True)
class Agreement:
    """The distance of a converted model from the Keras model on `samples` real images.

    distance: mean total variation distance (0..1); same_class: share with the same best class.
    """

    samples: int
    distance: float
    bound: float
    same_class: float

    def as_dict(self) -> AgreementRecord:
        """The JSON form."""
        return {
            "samples": self.samples,
            "distance": self.distance,
            "bound": self.bound,
            "same_class": self.same_class,
        }


def convert_model(
    job: ConversionJob,
    model: Path,
    calibration: Sequence[Sample],
    checks: Sequence[Sample],
    folder: Path,
    log: Path,
    floats: Mapping[str, Path] | None = None,
    *,
    gated: bool = False,
) -> dict[str, Agreement]:
    """Write model.tflite (the job's mode) and NAME.tflite (float32) of `floats` into `folder`.

    model: the .keras file to convert. calibration: samples of the training part only. checks: real
    samples to compare on. log: the file that takes whatever TensorFlow prints. floats: .keras files
    to have in float32 by name; {"float": model} when left out. gated: whether
    accuracy is measured and gated afterwards, and repair tried: then a model in one of GATED only
    has to answer.
    Returns the agreement of each with its Keras model: {"converted", *floats}. Raises
    TrainingError, FileError (disk full).
    """
    floats = floats or {"float": model}
    np.save(folder / "calibration.npy", pinned(job.input.stack(calibration), job.input.preprocess))
    np.save(folder / "checks.npy", job.input.stack(checks[:AGREEMENT_SAMPLES]))
    task = {
        "model": str(model),
        "floats": {name: str(path) for name, path in floats.items()},
        "mode": job.mode,
        "io": job.io,
        "calibration": job.calibration,
        "float_layers": job.float_layers,
        "name": job.model_name,
        "folder": str(job.folder),
    }
    (folder / "job.json").write_text(json.dumps(task))
    # What a python: model imports stays: the next one may have other files of that name.
    run_child(folder, log, _CHILD, reusable=not job.model_name.startswith("python:"))
    samples = np.load(folder / "checks.npy")
    made = {name: ("float32", f"{name}.tflite") for name in floats}
    made["converted"] = (job.mode, "model.tflite")
    found = {}
    for name, (mode, file) in made.items():
        reference = np.load(folder / f"{name}.npy")
        judged = not (gated and mode in GATED)
        found[name] = check_agreement(folder / file, mode, samples, reference, judged=judged)
        (folder / f"{name}.npy").unlink()
    for name in ("calibration.npy", "checks.npy", "job.json"):
        (folder / name).unlink()
    return found


def calibration_samples(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """Up to `count` of the training samples, the same for the same seed, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(samples))[:count]
    return [samples[i] for i in sorted(chosen)]


def pinned(samples: NDArray[np.float32], preprocess: PreprocessSpec | None) -> NDArray[np.float32]:
    """The samples, with the darkest and the brightest fed value in two corner pixels of the first.

    Calibration then sees the whole range a camera can deliver, whatever the images are, and the
    input's scale and zero point come out as the fast input path needs them (preprocess.py). A
    fake-quant node on the input would do the same, but stays in the graph as two operators.
    Features have no such range: they are left as they are.
    """
    if preprocess is None:
        return samples
    fed = fed_values(preprocess)
    samples[0, ..., 0, 0, :] = fed.min()
    samples[0, ..., -1, -1, :] = fed.max()
    return samples


def check_agreement(
    path: Path,
    mode: str,
    samples: NDArray[np.float32],
    reference: NDArray[np.float32],
    *,
    given: str = "the Keras model",
    judged: bool = True,
) -> Agreement:
    """Run the .tflite at `path` on fed `samples` (n, height, width, channels) and hold it against
    `reference` (n, classes), the answers of the `given` one. Logits count as the probabilities
    that they stand for.

    Raises TrainingError for another shape, NaN, and, where it is `judged`, one answer to everything
    or a distance above the bound of `mode`; ModelError, EngineError where it cannot run.
    """
    model = path.read_bytes()
    found = answers(model, samples)
    bound = AGREEMENT_BOUNDS[mode]
    what = f"{path.name} ({mode})"
    fix = 'try another quantize.mode (convert: --quantize), e.g. "float32", and report the model'
    if found.shape != reference.shape:
        shapes = f"{list(found.shape[1:])}, {given} {list(reference.shape[1:])}"
        raise TrainingError(f"{what} answers with shape {shapes}", fix=fix)
    if not np.all(np.isfinite(found)):
        raise TrainingError(f"{what} answers NaN or infinity", fix=fix)
    if not ends_in_probabilities(read_graph(model)):
        found, reference = _softmax(found), _softmax(reference)
    moves = np.ptp(reference, axis=0).max() > CONSTANT_BELOW
    if judged and moves and np.ptp(found, axis=0).max() == 0:
        raise TrainingError(f"{what} gives the same answer whatever it is fed", fix=fix)
    distance = float(np.mean(np.abs(found - reference).sum(axis=1)) / 2)
    if judged and distance > bound:
        raise TrainingError(
            f"{what} is {distance:.3g} from {given} on {len(samples)} images "
            f"(mean total variation distance, at most {bound:g})",
            fix=fix,
        )
    same = float(np.mean(found.argmax(axis=1) == reference.argmax(axis=1)))
    return Agreement(len(samples), distance, bound, same)


def answers(model: bytes, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The answers of a .tflite to fed `samples` (n, *input): float32 (n, classes).

    Raises ModelError, EngineError where it cannot run.
    """
    with open_spec(EngineSpec(DEFAULT, isolated=True), model) as engine:
        spec, out = engine.inputs[0], engine.outputs[0]
        rows = [
            dequantize(engine(quantize(samples[i : i + 1], spec))[0], out).reshape(-1)
            for i in range(len(samples))
        ]
    return np.stack(rows)


def _softmax(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities that rows (n, classes) of logits stand for."""
    exponents = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = exponents / exponents.sum(axis=1, keepdims=True)
    return shares
