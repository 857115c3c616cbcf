"""The rows of a comparison: the groups that are ranked, and the dominance in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_sdk.comparison.dominance import COSTS, Candidate, Cost, dominators
from edge_sdk.comparison.rounds import Call
from edge_sdk.comparison.timing import Timing
from edge_sdk.model.interface import SequenceEntry

if TYPE_CHECKING:
    from edge_sdk.documents.compare import MeasuredRow, Results

RANKED_BY: tuple[Cost, ...] = ("latency", "bytes")
"""The costs that count for `dominated_by`, beside accuracy. MACs are no end in themselves: they
have their own plot and count only there.
"""

Timed = Literal["invoke_ms", "cost_ms"]
"""The fields of a row that take a time: the engine alone, and preprocess + invoke."""


class EvaluationSetup(NamedTuple):
    """The task, labels and images of an evaluation: comparable where all are equal."""

    task: str
    labels: tuple[str, ...]
    sequence: SequenceEntry | None
    unreadable: tuple[str, ...]


@dataclass(eq=False)
class ComparisonEntry:
    """A row with what it is ranked by. calls: by the row's key that takes the time."""

    row: MeasuredRow
    calls: dict[Timed, Call]
    right: NDArray[np.bool_] | None = None
    setup: EvaluationSetup | None = None
    times: dict[Timed, Timing] = field(default_factory=dict)

    def candidate(self) -> Candidate:
        """Accuracy, preprocess + invoke, and size in the bundle's file, as they are ranked."""
        cost = self.times.get("cost_ms")
        return Candidate(
            self.right,
            [time / 1e6 for time in cost.rounds_ns] if cost else (),
            self.row["stored_bytes"],
            self.row["macs"],
            self.setup,
        )


def rank(entries: Sequence[ComparisonEntry]) -> None:
    """Fill in the dominating rows of each; warn of rows that cannot be ranked against the first."""
    candidates = [one.candidate() for one in entries]
    asked = [one for one in entries if one.setup is not None]
    setups = list(dict.fromkeys(one.setup for one in asked))

    def by(*costs: Cost) -> list[list[str] | None]:
        return [
            None if found is None else [entries[index].row["path"] for index in found]
            for found in dominators(candidates, costs)
        ]

    for one, paths in zip(entries, by(*RANKED_BY), strict=True):
        one.row["dominated_by"] = paths
    for cost in COSTS:
        for one, paths in zip(entries, by(cost), strict=True):
            one.row["dominated_in"][cost] = paths
    for one in asked:
        one.row["group"] = setups.index(one.setup)
        if one.row["group"]:
            one.row["warnings"].append(_not_ranked(one, asked[0]))


def _not_ranked(one: ComparisonEntry, first: ComparisonEntry) -> str:
    assert one.setup is not None and first.setup is not None
    differ = [
        name.replace("unreadable", "images")
        for name, mine, other in zip(EvaluationSetup._fields, one.setup, first.setup, strict=True)
        if mine != other
    ]
    return f"not ranked against {first.row['path']}: its {' and '.join(differ)} are not the same"


def unranked() -> Results:
    """The fields that only a bundle with images has, before they are filled in."""
    return {
        "accuracy": None,
        "interval": None,
        "n": None,
        "part": None,
        "seen_in_training": None,
        "unreadable": [],
        "warnings": [],
        "cost_ms": None,
        "group": None,
        "dominated_by": None,
        "dominated_in": {"latency": None, "bytes": None, "macs": None},
    }
