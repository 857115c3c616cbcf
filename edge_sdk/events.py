"""Events: what a long operation reports while it runs, to a terminal, a page or a parent process.

An operation takes `listen: Listener = ignore` and calls it; it prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["progress", "epoch", "note", "warning"]


@dataclass(frozen=True)
class Event:
    """One report.

    kind: "progress" replaces the progress shown before it; "epoch" ends an epoch of training, with
    `metrics`; "note" and "warning" are lines that stay.
    stage: what is running: "data", "train", "convert", "evaluate"; "" where there is only one.
    message: for people, without the stage.
    done, total: how many of `unit` ("images", "epochs") are done; None where nobody counts.
    metrics: measured values by name, e.g. {"loss": 0.31, "val_accuracy": 0.97}.
    """

    kind: Kind
    stage: str = ""
    message: str = ""
    done: int | None = None
    total: int | None = None
    unit: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """For people: "train: 3 of 30 epochs, loss 0.31", "data: 120 of 500 images"."""
        counted = ""
        if self.done is not None:
            whole = "" if self.total is None else f" of {self.total}"
            counted = f"{self.done}{whole} {self.unit}".rstrip()
        words = ", ".join(part for part in (counted, self.message) if part)
        return f"{self.stage}: {words}" if self.stage else words

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: `Event(**event.as_dict())` is the same event."""
        return asdict(self)


Listener = Callable[[Event], None]
"""Takes each event as it happens, in the thread of the operation; must return quickly."""


def ignore(_event: Event) -> None:
    """The listener of whoever does not listen."""
