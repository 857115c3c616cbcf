"""edge-sdk/models/1: the architectures that a recipe can name."""

from typing import Literal, TypedDict


class SizeOptions(TypedDict, total=False):
    """Options that this size was counted with."""

    width: float


class ModelSize(TypedDict):
    """The cost of an architecture at one input size."""

    shape: list[int]  # of the input: (height, width, channels), or (frames, …)
    options: SizeOptions
    parameters: int
    macs: int  # multiply-accumulates of one inference


class PretrainedInput(TypedDict):
    """[input] that the ImageNet weights demand."""

    color: Literal["rgb"]
    mean: list[float]
    std: list[float]


class ModelEntry(TypedDict):
    """One architecture."""

    name: str
    suits: str
    sizes: list[ModelSize]
    least: int  # smallest input, in pixels
    options: dict[str, str]  # name and meaning
    pretrained: PretrainedInput | None  # null: no ImageNet weights


class Models(TypedDict):
    """Printed by `models`."""

    schema: Literal["edge-sdk/models/1"]
    classes: int  # that parameters and MACs are counted with
    models: list[ModelEntry]
    own: dict[str, str]  # other values of model.name, and their meaning
