"""edge-sdk/build/1: the record of a build or a conversion; build.json in the bundle too."""

from typing import Any, Literal, NotRequired, TypedDict

from edge_sdk.documents.common import EnergyModel, Range
from edge_sdk.documents.evaluate import ClassAccuracy, Mistake


class NearPair(TypedDict):
    """A sample that looks like one in another split."""

    name: str
    part: str
    other: str
    other_part: str
    bits: int  # of 64 that differ


class SplitCount(TypedDict):
    """Samples of a class in each split."""

    train: int
    val: int
    test: int


class BuildDataset(TypedDict):
    """The data of a build or a conversion."""

    source: str
    n_train: int
    n_val: int
    n_test: int
    sha256: str  # of all samples
    unreadable: list[str]  # one line each; in the bundle only how many
    duplicates: int
    n_calibration: NotRequired[int]  # `convert`: images that calibrated
    across_parts: NotRequired[int]  # samples that are in several splits
    compared: NotRequired[int]  # images whose looks were compared
    near_duplicates: NotRequired[list[NearPair]]  # not in the bundle
    left_out: NotRequired[list[str]]  # files of a kind that is not read; not in the bundle
    per_class: NotRequired[dict[str, SplitCount]]
    train_sha256_prefixes: NotRequired[str]  # of the training samples, packed


class Outcome(TypedDict):
    """A model's size, and its answers to the test samples where there were any."""

    accuracy: float | None
    bytes: int  # of the .tflite file
    correct: NotRequired[int]
    n: NotRequired[int]  # test samples
    interval: NotRequired[Range]  # of the accuracy, after Wilson
    macro_f1: NotRequired[float]
    per_class: NotRequired[dict[str, ClassAccuracy]]
    confusion: NotRequired[list[list[int]] | None]  # rows truth, columns answers; null above 100
    confusions: NotRequired[list[list[str | int]]]  # [truth, answer, samples]
    mistakes: NotRequired[list[Mistake]]  # not in the bundle
    quantization: NotRequired[str]  # `converted`: the mode, or "mixed"
    macs: NotRequired[int]  # `converted`: multiply-accumulates of one inference
    bundle_bytes: NotRequired[int]  # `converted`: of the model as it is stored in the bundle


class BuildStage(TypedDict):
    """A stage of the build."""

    name: str
    seconds: float  # s
    cached: bool


class BuildStep(TypedDict):
    """The model that a step of the recipe left, in float32."""

    name: str
    accuracy: float
    bytes: int
    macs: int
    note: str


class Agreement(TypedDict):
    """Distance between the answers of a converted model and the model that it was made from."""

    samples: int
    distance: float  # mean total variation distance, 0..1
    bound: float  # largest distance that is accepted
    same_class: float  # share with the same best class, 0..1


class ChangedAnswers(TypedDict):
    """Test samples that only one of the two models answers rightly."""

    lost: int
    won: int


class Phase(TypedDict):
    """A phase of the training."""

    name: str
    epochs: int


class History(TypedDict):
    """Training curves, one value per epoch."""

    loss: list[float]
    accuracy: list[float]
    val_loss: list[float]
    val_accuracy: list[float]
    phases: list[Phase]


class RepairTry(TypedDict):
    """One attempt to repair int8; accuracies are those of the validation split unless named."""

    name: str
    accuracy: float | None
    accuracy_loss: float | None
    n: int | None  # validation samples
    bytes: int | None
    test_accuracy: float | None
    test_accuracy_loss: float | None
    passed: bool
    note: str
    float_layers: list[str]


class Unrepaired(TypedDict):
    """The int8 model before any repair, on the test split."""

    accuracy: float
    n: int
    bytes: int
    accuracy_loss: float


class LayerError(TypedDict):
    """An int8 operator and its loss."""

    name: str
    op: str
    sqnr_db: float  # signal-to-quantization-noise ratio, dB
    together: list[str]  # layers that have to be float together with this one


class BuildBudget(TypedDict):
    """Limits of the recipe; null: none."""

    accuracy_loss: float
    bytes: int | None
    mapped: float | None  # share of MACs
    latency_ms: float | None


class Build(TypedDict):
    """Printed by `build` and `convert`, written as build.json, and carried by the bundle."""

    schema: Literal["edge-sdk/build/1"]
    name: str
    version: str
    recipe_sha256: str | None  # null where a .tflite was packed as it was
    recipe: dict[str, Any] | None  # every default filled in
    labels: list[str]
    dataset: BuildDataset | None  # null where no image calibrated or measured
    stages: NotRequired[list[BuildStage]]  # not in a bundle that `build` made
    steps: list[BuildStep]
    float: Outcome | None  # null where nothing was converted
    converted: Outcome
    macs: int  # multiply-accumulates of one inference
    accuracy_loss: float | None  # float minus converted, same samples, -1..1; null: not measured
    accuracy_loss_interval: NotRequired[Range]
    changed_answers: NotRequired[ChangedAnswers]
    warnings: list[str]
    left_in_float: list[str]  # kinds of operators that are not int8
    agreement: dict[str, Agreement]
    history: NotRequired[History | None]
    budget: BuildBudget | None
    passed: bool  # every limit that a build can check was kept
    tries: list[RepairTry]
    worst_layers: list[LayerError]
    unrepaired: NotRequired[Unrepaired | None]  # null where nothing was repaired
    energy_model: NotRequired[EnergyModel | None]
    energy_model_because: NotRequired[
        str | None
    ]  # why there is no MODEL; null: there is, or no board
    source_sha256: NotRequired[str]  # `convert`: of the model that was given
    source_format: NotRequired[str]  # `convert`
    golden: NotRequired[Literal["test", "synthetic", "data"]]  # `convert`: origin of the samples
    versions: dict[str, str]  # of Python and of each package
