"""Events: what people read of them, and that they travel as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.events import Event, Kind, ignore


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("progress", "data", done=3, total=5, unit="images"), "data: 3 of 5 images"),
        (Event("progress", "scan", done=3, unit="files"), "scan: 3 files"),
        (Event("epoch", "train", "loss 0.3", 2, 30, "epochs"), "train: 2 of 30 epochs, loss 0.3"),
        (Event("warning", message="few images"), "few images"),
        (Event("note", "pack", "doors-1.0.0.edge"), "pack: doors-1.0.0.edge"),
    ],
)
def test_the_text_of_an_event(event: Event, text: str) -> None:
    assert event.text == text


@given(
    kind=st.sampled_from(["progress", "epoch", "note", "warning"]),
    stage=st.text(),
    message=st.text(),
    done=st.none() | st.integers(),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False)),
)
def test_an_event_is_the_same_after_a_journey_as_json(
    kind: Kind, stage: str, message: str, done: int | None, metrics: dict[str, float]
) -> None:
    event = Event(kind, stage, message, done=done, metrics=metrics)
    assert Event(**json.loads(json.dumps(event.as_dict()))) == event
    ignore(event)
