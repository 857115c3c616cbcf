"""The contents of a bundle: golden samples with the steps they may differ by, and the manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_converter.datasets import Dataset
from edge_converter.recipe.schema import RecipeTables
from edge_sdk.bundle.manifest import (
    MIN_SAMPLES,
    Budget,
    GoldenEntry,
    LabelsEntry,
    Manifest,
    ModelEntry,
)
from edge_sdk.bundle.reading import Golden
from edge_sdk.data.samples import Sample, Value
from edge_sdk.engines import AUTO, Engine, EngineInfo, open_engine
from edge_sdk.errors import ModelError
from edge_sdk.frames import Frame
from edge_sdk.inference.golden import MIN_STEPS, answers
from edge_sdk.inference.recognizer import open_preprocessor
from edge_sdk.model.interface import (
    PLAIN,
    InputEntry,
    ModelInterface,
    OutputEntry,
    SequenceEntry,
    TaskName,
    TensorEntry,
)
from edge_sdk.model.postprocess import Postprocess, Role
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tasks import task_of
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.graph import read_graph

Origin = Literal["test", "synthetic", "data"]


@dataclass(frozen=True)
class BundleContents:
    """The facts of a manifest that the model itself does not tell. roles: of the model's outputs,
    in order.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    preprocess: PreprocessSpec | None
    budget: Budget = field(default_factory=Budget)
    postprocess: Postprocess = field(default_factory=Postprocess)
    sequence: SequenceEntry | None = None
    roles: tuple[Role, ...] = ("scores",)
    task: TaskName = "classify"


def labels_text(labels: Sequence[str]) -> bytes:
    """labels.txt: one label a line, UTF-8."""
    return "".join(f"{label}\n" for label in labels).encode()


def manifest_and_golden(
    recipe: RecipeTables, data: Dataset, model: bytes
) -> tuple[Manifest, Golden]:
    """The manifest and the golden samples of a recipe's converted model. Raises as `make_golden`
    and `manifest_for` do.
    """
    budget, preprocess = recipe.budget, recipe.preprocess
    limits = Budget(budget.accuracy_loss, budget.bytes, budget.mapped, budget.latency_ms)
    contents = BundleContents(
        *(recipe.name, recipe.version, data.labels, preprocess, limits),
        sequence=recipe.cut,
        task=recipe.task,
    )
    golden, origin = make_golden(model, preprocess, data.test, recipe.data.golden, seed=recipe.seed)
    return manifest_for(model, contents, golden, origin), golden


def compresses_well(recipe: RecipeTables) -> bool:
    """True where the model is worth compressing in the bundle: its weights repeat."""
    zeros = "prune" in recipe.steps and recipe.prune.unit == "weights"
    return zeros or "cluster" in recipe.steps


def manifest_for(
    model: bytes, contents: BundleContents, golden: Golden, origin: Origin
) -> Manifest:
    """The manifest of a classifier or a detector. Raises ModelError, BundleError where things do
    not fit.
    """
    graph = read_graph(model)
    with open_engine(AUTO, model) as engine:
        info = engine.info
        tensor = TensorEntry.of(engine.inputs[0])
        outputs = tuple(
            OutputEntry(role, TensorEntry.of(spec))
            for role, spec in zip(contents.roles, engine.outputs, strict=True)
        )
    entry, post, sequence = (
        InputEntry(tensor, contents.preprocess),
        contents.postprocess,
        contents.sequence,
    )
    interface = ModelInterface(contents.name, contents.task, (entry,), outputs, post, sequence)
    steps = _steps(model, golden, interface, graph.precision)
    return Manifest(
        contents.name,
        contents.version,
        contents.task,
        {PLAIN: ModelEntry("model.tflite", graph.precision, graph.macs)},
        entry,
        outputs,
        LabelsEntry("labels.txt", len(contents.labels)),
        _golden_entry(info, golden, origin, steps),
        post,
        contents.budget,
        sequence=sequence,
    )


def make_golden(
    model: bytes,
    preprocess: PreprocessSpec | None,
    samples: Sequence[Sample],
    origin: Origin,
    *,
    seed: int = 0,
) -> tuple[Golden, Origin]:
    """10 samples with the outputs litert gives them, and where they are from.

    They are taken in turns over the classes. With fewer than 10 of them, or `origin`
    "synthetic", the samples are drawn from `seed` instead. Raises ModelError when an output is not
    finite.
    """
    with open_engine(AUTO, model) as engine:
        preprocessor = open_preprocessor(preprocess, engine.inputs[0])
        values: Sequence[Value]
        if origin == "synthetic" or len(samples) < MIN_SAMPLES:
            values, origin = _synthetic(engine.inputs[0], preprocess, seed), "synthetic"
        else:
            values = [sample.read() for sample in in_turns(samples)[:MIN_SAMPLES]]
        inputs = (_stacked(preprocessor, values, engine),)
        outputs = answers(engine, inputs)
    if not all(np.isfinite(values).all() for values in outputs):
        raise ModelError(
            "the model answers NaN or infinity",
            fix="check --mean and --std; convert the model again if they are right",
        )
    return Golden(inputs, outputs), origin


def _stacked(preprocessor: Any, values: Sequence[Value], engine: Engine) -> NDArray[Any]:
    spec = engine.inputs[0]
    out = np.empty((len(values), *spec.shape), spec.dtype)
    for row, value in enumerate(values):
        preprocessor(value, out[row])
    return out


def in_turns(samples: Sequence[Sample]) -> list[Sample]:
    """One of each class, then the next of each, so that the first ten show ten classes."""
    rank: dict[int, int] = {}
    keyed = []
    for position, sample in enumerate(samples):
        turn = rank[sample.label] = rank.get(sample.label, -1) + 1
        keyed.append((turn, sample.label, position, sample))
    return [entry[3] for entry in sorted(keyed, key=lambda entry: entry[:3])]


def _synthetic(tensor: TensorSpec, preprocess: PreprocessSpec | None, seed: int) -> Sequence[Value]:
    """Images, clips or features, as the tensor takes them."""
    random = np.random.default_rng(seed)
    if preprocess is None:
        rows = random.normal(size=(MIN_SAMPLES, *tensor.shape[1:]))
        return list(rows.astype(np.float32))
    height, width = tensor.shape[-3:-1]
    if len(tensor.shape) == 4:
        return patches(random, preprocess, height, width, MIN_SAMPLES)
    return [
        tuple(patches(random, preprocess, height, width, tensor.shape[1]))
        for _ in range(MIN_SAMPLES)
    ]


def patches(
    random: np.random.Generator, preprocess: PreprocessSpec, height: int, width: int, count: int
) -> list[Frame]:
    """Patches of colour with noise, at the size of the model: plain noise would hardly move it."""
    shape = (height, width) if preprocess.color == "gray" else (height, width, 3)
    frames = []
    for index in range(count):
        coarse = random.integers(0, 256, (4, 4, *shape[2:]))
        rows = np.arange(height) * 4 // height
        columns = np.arange(width) * 4 // width
        noise = random.integers(-32, 33, shape)
        pixels = np.clip(coarse[rows][:, columns] + noise, 0, 255).astype(np.uint8)
        frames.append(Frame(pixels, preprocess.color, index=index))
    return frames


def _steps(model: bytes, golden: Golden, interface: ModelInterface, precision: str) -> int:
    """max(4, 1 + the largest difference between XNNPACK and no delegate), in output steps
    (docs/contracts.md); for float outputs the rule needs none and 4 stands.
    """
    with open_engine(AUTO, model, resolver="builtin-without-delegates") as engine:
        other = answers(engine, golden.inputs)
    seen = task_of(interface).steps_apart(interface, golden.outputs, other, precision)
    return max(MIN_STEPS, 1 + math.ceil(seen))


def _golden_entry(info: EngineInfo, golden: Golden, origin: Origin, steps: int) -> GoldenEntry:
    return GoldenEntry(
        "golden.npz",
        len(golden.inputs[0]),
        origin,
        info.name,
        info.version,
        info.resolver,
        info.delegate,
        steps,
    )
