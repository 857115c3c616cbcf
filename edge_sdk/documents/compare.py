"""edge-sdk/compare/1: bundles, models and recorded runs side by side."""

from typing import Any, Literal, NotRequired, TypedDict

from edge_sdk.documents.common import BundleIdentity, Engine, Range


class Times(TypedDict):
    """Time of one call over the interleaved rounds, in ms."""

    median: float
    min: float  # fastest round
    max: float  # slowest round
    interval: Range | None  # of the median; null for fewer than 6 rounds


class DominatedIn(TypedDict):
    """Paths of the rows that dominate this one in accuracy and one cost; null: not ranked."""

    latency: list[str] | None
    bytes: list[str] | None
    macs: list[str] | None


class Results(TypedDict):
    """The fields that measuring fills in. All but `invoke_ms` need images: without, they are null
    or empty.
    """

    invoke_ms: NotRequired[Times]  # the engine alone; not in a recorded row
    accuracy: float | None
    interval: Range | None  # of the accuracy
    n: int | None  # images answered
    part: str | None  # the split that was evaluated
    seen_in_training: int | None  # images that are in the bundle's training record
    unreadable: list[str]
    warnings: list[str]
    cost_ms: Times | None  # preprocess + invoke
    group: int | None  # rows of one group (task, labels, images) are ranked against each other
    dominated_by: list[str] | None  # paths of the rows that dominate this one; null: not ranked
    dominated_in: DominatedIn


class MeasuredRow(Results):
    """A bundle or a .tflite model, measured now."""

    path: str
    kind: Literal["bundle", "model"]
    precision: str
    bytes: int  # of the model
    stored_bytes: int  # of the model as it is stored in the bundle
    bundle_bytes: int | None  # of the bundle; null for a model
    macs: int  # multiply-accumulates of one inference
    engine: Engine


class RecordedRow(Results):
    """A run.json or bench.json, as it was recorded; its parts are not checked."""

    path: str
    kind: Literal["recorded run", "recorded bench"]
    bundle: BundleIdentity
    engine: Engine
    fps: float | None
    latency: dict[str, Any]
    stages: dict[str, Any]
    valid: bool
    bytes: None
    stored_bytes: None
    bundle_bytes: None
    macs: None
    precision: None


class Compare(TypedDict):
    """Printed by `compare`, and written as compare.json."""

    schema: Literal["edge-sdk/compare/1"]
    rounds: int  # interleaved rounds
    data: str | None  # the SOURCE of the images
    rows: list[MeasuredRow | RecordedRow]
