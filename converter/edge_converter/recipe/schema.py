"""The tables of recipe.toml as frozen dataclasses: every key with its default and its bounds.

A field marked `later` is read and checked, but any value other than its default is refused with
NotAvailableYet: a recipe never silently does less than it says.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from edge_sdk.configuration import as_dict, limits
from edge_sdk.model.interface import SequenceEntry
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tasks import task_of

T = TypeVar("T")
Step = Literal["train", "distill", "prune", "cluster", "qat"]
STEPS: tuple[Step, ...] = ("train", "distill", "prune", "cluster", "qat")
OPTIONAL_TABLES = (*STEPS, "sequence", "input")
"""Tables that do not apply to every recipe."""
Repair = Literal["calibration", "qat", "float_layers"]
Mode = Literal["float32", "float16", "dynamic", "int8", "int16x8", "int4"]
Io = Literal["int8", "uint8", "float32"]
Calibration = Literal["minmax", "percentile"]


def later(default: T, **bounds: float) -> T:
    """A field that is part of the recipe and not built yet."""
    metadata = {**limits(**bounds), "later": True}
    result: T = field(default=default, metadata=metadata)
    return result


@dataclass(frozen=True)
class Data:
    """The source of images and labels, and how they are split."""

    source: str
    split: tuple[float, float, float] = field(
        default=(0.70, 0.15, 0.15), metadata=limits(ge=0, le=1)
    )
    labels: tuple[str, ...] = ()
    balance: Literal["none", "class-weights", "oversample"] = "none"
    max_unreadable: float = field(default=0.01, metadata=limits(ge=0, le=1))
    golden: Literal["test", "synthetic"] = "test"


@dataclass(frozen=True)
class Input(PreprocessSpec):
    """The input of the model; goes unchanged into the manifest."""

    width: int = field(default=96, metadata=limits(ge=1, le=4096))
    height: int = field(default=96, metadata=limits(ge=1, le=4096))

    @property
    def preprocess(self) -> PreprocessSpec:
        """Without the size."""
        return PreprocessSpec(self.color, self.fit, self.resize, self.mean, self.std)


@dataclass(frozen=True)
class SequenceTable:
    """Only for task = "sequence"."""

    frames: int = field(default=16, metadata=limits(ge=1))
    stride: int = field(default=4, metadata=limits(ge=1))
    cell: Literal["lstm", "gru"] = "lstm"
    units: int = field(default=32, metadata=limits(ge=1))


@dataclass(frozen=True)
class Options:
    """Options of the architecture; seed_cnn has none."""

    width: float = field(default=0.5, metadata=limits(gt=0))
    depth: float = field(default=1.0, metadata=limits(gt=0))
    space_to_depth: bool = False


@dataclass(frozen=True)
class Model:
    """The architecture and the weights it starts from."""

    name: str
    weights: str = "none"
    options: Options = Options()


@dataclass(frozen=True)
class Train:
    """The train step."""

    epochs: int = field(default=30, metadata=limits(ge=1, le=100_000))
    batch_size: int = field(default=32, metadata=limits(ge=1, le=65_536))
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    learning_rate: float = field(default=0.001, metadata=limits(gt=0))
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: int = field(default=0, metadata=limits(ge=0))
    patience: int = field(default=5, metadata=limits(ge=0))
    head_epochs: int = field(default=0, metadata=limits(ge=0))
    unfreeze_layers: int = field(default=0, metadata=limits(ge=0))
    fine_tune_learning_rate: float = field(default=0.0001, metadata=limits(gt=0))


@dataclass(frozen=True)
class Augment:
    """Changes to training images only."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotate_degrees: float = field(default=0.0, metadata=limits(ge=0, le=180))
    crop: float = field(default=0.0, metadata=limits(ge=0, le=1))
    zoom: float = field(default=0.0, metadata=limits(ge=0, le=1))
    shift: float = field(default=0.0, metadata=limits(ge=0, le=1))
    brightness: float = field(default=0.0, metadata=limits(ge=0, le=1))
    contrast: float = field(default=0.0, metadata=limits(ge=0, le=1))
    noise: float = field(default=0.0, metadata=limits(ge=0, le=1))
    cutout: float = field(default=0.0, metadata=limits(ge=0, le=1))
    mixup: float = field(default=0.0, metadata=limits(ge=0))


@dataclass(frozen=True)
class Distill:
    """The distill step."""

    teacher: str = ""
    temperature: float = field(default=4.0, metadata=limits(gt=0))
    alpha: float = field(default=0.7, metadata=limits(ge=0, le=1))
    features: tuple[tuple[str, str], ...] = ()
    epochs: int = field(default=10, metadata=limits(ge=1))


@dataclass(frozen=True)
class Prune:
    """The prune step."""

    unit: Literal["channels", "weights"] = "channels"
    rank: Literal["l1", "entropy"] = "l1"
    ratio: float = field(default=0.5, metadata=limits(gt=0, lt=1))
    epochs: int = field(default=5, metadata=limits(ge=1))


@dataclass(frozen=True)
class Cluster:
    """The cluster step."""

    clusters: int = field(default=16, metadata=limits(ge=2))
    epochs: int = field(default=3, metadata=limits(ge=1))


@dataclass(frozen=True)
class Qat:
    """The qat step."""

    epochs: int = field(default=3, metadata=limits(ge=1))
    learning_rate: float = field(default=0.0001, metadata=limits(gt=0))


@dataclass(frozen=True)
class Quantize:
    """The conversion of the trained model to .tflite."""

    mode: Mode = "int8"
    io: Io = "int8"
    calibration: Calibration = "minmax"
    calibration_samples: int = field(default=200, metadata=limits(ge=1))
    float_layers: tuple[str, ...] = ()
    repair: tuple[Repair, ...] = ("calibration", "qat", "float_layers")


@dataclass(frozen=True)
class Target:
    """The target of the model. `board` adds figures labelled MODEL."""

    engine: Literal["litert", "edgetpu"] = later("litert")
    board: str = ""


@dataclass(frozen=True)
class RecipeBudget:
    """Limits; exit status 3 when one is exceeded."""

    accuracy_loss: float = field(default=0.01, metadata=limits(ge=0, le=1))
    bytes: int | None = field(default=None, metadata=limits(ge=1))
    mapped: float | None = later(None, ge=0, le=1)
    latency_ms: float | None = field(default=None, metadata=limits(gt=0))


@dataclass(frozen=True)
class RecipeTables:
    """A whole recipe.toml, as it is written."""

    name: str
    data: Data
    model: Model
    version: str = "1.0.0"
    task: Literal["classify", "sequence"] = "classify"
    seed: int = field(default=0, metadata=limits(ge=0, le=2**32 - 1))
    steps: tuple[Step, ...] = ("train",)
    input: Input = field(default_factory=Input)
    sequence: SequenceTable = field(default_factory=SequenceTable)
    train: Train = field(default_factory=Train)
    augment: Augment = field(default_factory=Augment)
    distill: Distill = field(default_factory=Distill)
    prune: Prune = field(default_factory=Prune)
    cluster: Cluster = field(default_factory=Cluster)
    qat: Qat = field(default_factory=Qat)
    quantize: Quantize = field(default_factory=Quantize)
    target: Target = field(default_factory=Target)
    budget: RecipeBudget = field(default_factory=RecipeBudget)

    @property
    def cut(self) -> SequenceEntry | None:
        """Length and stride of the sequences; None where the model takes single images."""
        if not task_of(self).sequential:
            return None
        return SequenceEntry(self.sequence.frames, self.sequence.stride)

    @property
    def preprocess(self) -> PreprocessSpec | None:
        """The preprocessing of images on their way into the model; None for features."""
        return None if self.model.name == "features" else self.input.preprocess

    @property
    def used_tables(self) -> set[str]:
        """Those of `OPTIONAL_TABLES` that apply to this recipe."""
        used: set[str] = {*self.steps}
        if self.quantize.mode == "int8":
            used.update(self.quantize.repair)
        if self.steps:
            used.add("train")  # batch size, rate, schedule and loss are those of [train]
        if task_of(self).sequential:
            used.add("sequence")
        if self.preprocess is not None:
            used.add("input")
        return used

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the recipe's meaning: its values, not its layout or its folder."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The plain form, which `Recipe.parse` reads back: tables that apply, without None."""
        data = {f.name: as_dict(getattr(self, f.name)) for f in fields(RecipeTables)}
        data["budget"] = {k: v for k, v in data["budget"].items() if v is not None}
        unused = {*OPTIONAL_TABLES} - self.used_tables
        return {key: value for key, value in data.items() if key not in unused}
