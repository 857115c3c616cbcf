"""edge-sdk/inspect/1: the contents of a bundle, a .tflite model, a recipe or a folder of images."""

from typing import Any, Literal, TypedDict

from edge_sdk.documents.common import BundleIdentity


class Quantization(TypedDict):
    """real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int


class Tensor(TypedDict):
    """An input or output of a model."""

    name: str
    shape: list[int]
    dtype: str
    quant: Quantization | None


class Graph(TypedDict):
    """The graph of a model."""

    precision: str  # of weights and activations, whatever the I/O
    macs: int  # multiply-accumulates of one inference
    operators: dict[str, int]  # how many of each
    subgraphs: int
    inputs: list[Tensor]
    outputs: list[Tensor]


class SideAccuracy(TypedDict):
    """Accuracy from the bundle's build record; null where it has none."""

    float: Any
    converted: Any


class InspectBundle(TypedDict):
    """A bundle."""

    schema: Literal["edge-sdk/inspect/1"]
    path: str
    kind: Literal["bundle"]
    bytes: int  # of the model
    graph: Graph
    bundle: BundleIdentity
    manifest: dict[str, Any]  # as in "Bundle", every default filled in
    labels: list[str]
    accuracy: SideAccuracy


class Metadata(TypedDict):
    """Facts from the TFLite metadata of a model."""

    labels: int  # how many
    mean: list[float] | None
    std: list[float] | None


class InspectModel(TypedDict):
    """A .tflite model."""

    schema: Literal["edge-sdk/inspect/1"]
    path: str
    kind: Literal["model"]
    bytes: int
    graph: Graph
    metadata: Metadata


class InspectRecipe(TypedDict):
    """A recipe."""

    schema: Literal["edge-sdk/inspect/1"]
    path: str
    kind: Literal["recipe"]
    sha256: str  # of the recipe's values, not of its layout
    recipe: dict[str, Any]  # every default filled in


class NearDuplicate(TypedDict):
    """Two images that look alike."""

    picture: str
    other: str
    bits: int  # of 64 that differ


class Split(TypedDict):
    """Images of a class in each split."""

    train: int
    val: int
    test: int


class InspectFolder(TypedDict):
    """A folder of images."""

    schema: Literal["edge-sdk/inspect/1"]
    path: str
    kind: Literal["folder"]
    pictures: int  # in all
    classes: dict[str, int]  # images of each class
    parts: dict[str, dict[str, int]]  # images of each class in train/, val/, test/
    sizes: dict[str, int]  # images of each "WIDTHxHEIGHT" in pixels, ten most frequent
    unreadable: list[str]
    duplicates: int  # images equal to another
    compared: int  # images whose looks were compared
    near_duplicates: int | None  # pairs that look alike; null where nothing was compared
    near: list[NearDuplicate]  # the first 20 of them
    splits: dict[str, Split]  # as a recipe with default values splits each class
    left_out: list[str]  # files of another kind, or in no class folder
    warnings: list[str]


Inspect = InspectBundle | InspectModel | InspectRecipe | InspectFolder
"""Printed by `inspect`, and written as inspect.json; `kind` says which it is."""
