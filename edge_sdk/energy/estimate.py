"""MODEL latency and energy of one inference on a board, from published figures alone.

    latency = MACs x seconds per MAC        seconds per MAC = ms / MACs of a published network
    energy  = watts under stress x latency

Of the board's published CPU figures the median counts. They differ by network and precision, so
the interval reaches as far as the one furthest from the median, and at least 30 % either way.
Nothing here is measured: whatever shows a value writes MODEL beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edge_sdk.configuration import limits
from edge_sdk.statistics import median

if TYPE_CHECKING:
    from edge_sdk.documents.common import EnergyModel

MIN_UNCERTAINTY = 0.3
"""Least half-width of a MODEL interval, as a share of the value."""

REFERENCE_MACS = {
    "MobileNet v1 1.0 224": (569_000_000, "Howard et al. 2017, arXiv:1704.04861"),
    "MobileNet v2 1.0 224": (300_000_000, "Sandler et al. 2018, arXiv:1801.04381"),
    "MobileNet v3 Large 1.0 224": (219_000_000, "Howard et al. 2019, arXiv:1905.02244"),
    "MobileNet v3 Small 1.0 224": (56_000_000, "Howard et al. 2019, arXiv:1905.02244"),
}
"""Multiply-adds of the networks that boards are published with, and who counted them."""


@dataclass(frozen=True)
class Fact:
    """A published number: what it is, its value and unit, and who published it."""

    what: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Watts:
    """Published power of a whole board in W."""

    watts: float = field(metadata=limits(gt=0))
    source: str


@dataclass(frozen=True)
class Power:
    """idle: booted, nothing to do. active: the maker's typical figure. stress: all cores busy."""

    idle: Watts | None = None
    active: Watts | None = None
    stress: Watts | None = None


@dataclass(frozen=True)
class CpuFigure:
    """Published time of one inference on all cores; `network` is a key of REFERENCE_MACS."""

    network: str
    precision: Literal["float32", "int8"]
    ms: float = field(metadata=limits(gt=0))
    source: str

    @property
    def seconds_per_mac(self) -> float:
        """The time of the inference over the network's multiply-adds."""
        return self.ms / 1000 / REFERENCE_MACS[self.network][0]


@dataclass(frozen=True)
class Accelerator:
    """An inference accelerator and what is published about it."""

    name: str
    title: str
    interface: Literal["usb", "pcie"]
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Board:
    """A board's facts. `source` stands for the fields without one of their own.

    interfaces: where an accelerator can be plugged in. power_meter: the meter SPEC built into the
    board, "" for none. undervoltage_detector: whether the firmware can see a weak supply.
    """

    name: str
    title: str
    soc: str
    cpu: str
    cores: int = field(metadata=limits(ge=1))
    clock_mhz: int = field(metadata=limits(ge=1))
    ram_mb: tuple[int, ...] = field(metadata=limits(ge=1))
    interfaces: tuple[Literal["usb", "pcie"], ...]
    power_meter: str
    undervoltage_detector: bool
    source: str
    power: Power = Power()
    cpu_figures: tuple[CpuFigure, ...] = ()
    accelerator: Accelerator | None = None


@dataclass(frozen=True)
class Estimate:
    """A MODEL value, the half-width of the interval of published figures, or why there is none.

    value, uncertainty: J for energy, ms for latency.
    """

    board: str
    value: float | None = None
    uncertainty: float | None = None
    formula: str = ""
    source: str = ""
    because: str = ""

    def as_dict(self) -> EnergyModel | None:
        """The JSON form of an energy; None where there is no value (`because` says why)."""
        if self.value is None or self.uncertainty is None:
            return None
        return {
            "label": "MODEL",
            "board": self.board,
            "joules_per_inference": self.value,
            "uncertainty": self.uncertainty,
            "formula": self.formula,
            "source": self.source,
        }


def energy_model(board: Board, macs: int) -> Estimate:
    """MODEL joules of one inference of `macs` multiply-adds: watts under stress x MODEL latency.

    No value for a board without published watts under stress or without published CPU figures,
    with an accelerator, or for a model whose MACs are not known (0).
    """
    stress = board.power.stress
    because = _missing(board, macs, needs_stress=True)
    if because or stress is None:
        return Estimate(board.name, because=because)
    pace, spread = _pace(board)
    value = stress.watts * macs * pace
    return Estimate(
        board.name,
        value,
        spread * value,
        f"{stress.watts:g} W under stress × {_time(board, macs)}",
        f"watts: {stress.source}; {_sources(board)}",
    )


def latency_model(board: Board, macs: int) -> Estimate:
    """MODEL milliseconds of one inference of `macs` multiply-adds on all cores of the board.

    No value for a board without published CPU figures, with an accelerator, or for a model whose
    MACs are not known (0).
    """
    because = _missing(board, macs, needs_stress=False)
    if because:
        return Estimate(board.name, because=because)
    pace, spread = _pace(board)
    value = 1000 * macs * pace
    return Estimate(
        board.name,
        value,
        spread * value,
        _time(board, macs),
        _sources(board),
    )


def _missing(board: Board, macs: int, *, needs_stress: bool) -> str:
    """The reason why there is no estimate, or ""."""
    if macs < 1:
        return "the model's MACs are not known"
    if board.accelerator is not None:
        return f"{board.name}: the published figures are the CPU's, not {board.accelerator.title}'s"
    lacks = []
    if needs_stress and board.power.stress is None:
        lacks.append("watts under stress")
    if not board.cpu_figures:
        lacks.append("CPU figures")
    return f"{board.name}: no published {' and no published '.join(lacks)}" if lacks else ""


def _pace(board: Board) -> tuple[float, float]:
    """Seconds per MAC, and the half-width of its interval as a share of it."""
    paces = [figure.seconds_per_mac for figure in board.cpu_figures]
    middle = median(paces)
    return middle, max(MIN_UNCERTAINTY, *(abs(pace - middle) / middle for pace in paces))


def _time(board: Board, macs: int) -> str:
    """The formula of the latency, in words."""
    pace, spread = _pace(board)
    precisions = " and ".join(sorted({figure.precision for figure in board.cpu_figures}))
    why = "as far as they scatter" if spread > MIN_UNCERTAINTY else "the least stated"
    return (
        f"{macs:,} MACs / {1e-9 / pace:.2f}e9 MACs/s (the median of {len(board.cpu_figures)}"
        f" published {precisions} figures; interval ±{spread:.0%}, {why})"
    )


def _sources(board: Board) -> str:
    figures = dict.fromkeys(figure.source for figure in board.cpu_figures)
    counts = dict.fromkeys(REFERENCE_MACS[figure.network][1] for figure in board.cpu_figures)
    return f"CPU figures: {'; '.join(figures)}; MACs: {'; '.join(counts)}"
