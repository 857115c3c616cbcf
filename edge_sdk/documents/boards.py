"""edge-sdk/boards/1: boards and accelerators, each figure with its source."""

from typing import Literal, TypedDict


class PublishedWatts(TypedDict):
    """Published power of a whole board."""

    watts: float  # W
    source: str


class PublishedPower(TypedDict):
    """Published power of a board in each state; null where nobody published it."""

    idle: PublishedWatts | None
    active: PublishedWatts | None  # the maker's typical figure
    stress: PublishedWatts | None  # all cores busy


class CpuFigure(TypedDict):
    """Published time of one inference on all cores."""

    network: str
    precision: Literal["float32", "int8"]
    ms: float
    source: str


class PublishedFact(TypedDict):
    """A published number."""

    what: str
    value: float  # in `unit`
    unit: str
    source: str


class AcceleratorEntry(TypedDict):
    """An inference accelerator."""

    name: str
    title: str
    interface: Literal["usb", "pcie"]
    facts: list[PublishedFact]


class BoardEntry(TypedDict):
    """A board."""

    name: str
    title: str
    soc: str
    cpu: str
    cores: int
    clock_mhz: int  # MHz
    ram_mb: list[int]  # MB, each variant
    interfaces: list[Literal["usb", "pcie"]]
    power_meter: str  # SPEC of the meter built into the board; "" for none
    undervoltage_detector: bool
    source: str
    power: PublishedPower
    cpu_figures: list[CpuFigure]
    accelerator: AcceleratorEntry | None
    energy_model_because: str | None  # why there is no MODEL energy; null: there is
    latency_model_because: str | None  # why there is no MODEL latency; null: there is


class Boards(TypedDict):
    """Printed by `boards`."""

    schema: Literal["edge-sdk/boards/1"]
    boards: list[BoardEntry]
    accelerators: list[AcceleratorEntry]
