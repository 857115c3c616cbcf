"""Parts that several documents share."""

from typing import Literal, TypedDict

Range = list[float]
"""[low, high]: a 95 % interval, in the unit of the value beside it."""


class BundleIdentity(TypedDict):
    """The bundle that a document is about."""

    name: str
    version: str
    sha256: str  # hex, of the whole file
    path: str  # as it was given


class Engine(TypedDict):
    """The interpreter that answered."""

    name: str
    version: str
    resolver: str
    delegate: str  # found running after the model was prepared: "xnnpack", "none"
    threads: int
    mapped: float | None  # share of MACs on an accelerator, 0..1; null without one


class GoldenOutcome(TypedDict):
    """The comparison with the bundle's golden samples (docs/contracts.md, "Golden rule")."""

    rule: Literal["exact", "tolerance", "unproven"]
    passed: bool | None  # null where the rule is "unproven"
    samples: int
    largest: float | None  # largest difference, in output steps or as a number; null: not a number
    because: str  # "" where it passed


class EnergyModel(TypedDict):
    """MODEL energy from published figures; nothing here is measured."""

    label: Literal["MODEL"]
    board: str
    joules_per_inference: float  # J
    uncertainty: float  # J, half the width of the interval of published figures
    formula: str
    source: str
