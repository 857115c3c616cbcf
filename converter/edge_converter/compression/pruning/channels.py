"""Groups of channels that belong together, from one walk through a network's graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_converter.compression.pruning.rules import (
    INPUT,
    KINDS,
    OUTPUT,
    Channels,
    Numbers,
    passage,
)


@dataclass(frozen=True, eq=False)
class Passage:
    """A layer on the channels' way. reads, writes: the numbers of the channels of its first input
    and of its output. multiplier: channels that a depthwise kernel makes of one.
    """

    layer: str
    kind: str
    reads: Numbers
    writes: Numbers
    multiplier: int = 1

    @property
    def size(self) -> str:
        """The argument that says how many channels the layer makes; "" where it only passes them
        on.
        """
        return KINDS[self.kind].size if self.kind in KINDS else ""

    def axes(self, weight: str) -> dict[int, Numbers]:
        """The channels along each axis of the layer's weight of that name."""
        sides = KINDS[self.kind].axes.get(weight, {}) if self.kind in KINDS else {}
        both = {"reads": self.reads, "writes": self.writes}
        if weight == "pointwise_kernel":  # it reads what the depthwise kernel made
            both["reads"] = np.repeat(self.reads, self.multiplier)
        return {axis: both[side] for axis, side in sides.items()}


@dataclass(frozen=True, eq=False)
class Trace:
    """All channels of a network.

    passages: by the layer's name. roots: for each channel one that stands for all that can only
    stay or go with it. groups: the roots that are ranked together, a group each time: the channels
    of a layer, and of all layers coupled to it. whole: {layer that keeps all its channels: the
    layer that wants it, which may be itself, or INPUT}, without the layers that make the output.
    """

    passages: dict[str, Passage]
    roots: Numbers
    groups: tuple[Numbers, ...]
    whole: dict[str, str]


def trace(model: Any) -> Trace:
    """Walk through a functional Keras model, which stays as it is."""
    import keras

    walk = _Walk()
    walked = keras.models.clone_model(graph_of(model), call_function=walk.call)
    for tensor in walked.outputs:
        walk.channels.leave(walk.numbers(tensor), OUTPUT)
    return _traced(walk)


def graph_of(model: Any) -> Any:
    """The same layers as a functional model of one input and one output: a Sequential is none."""
    import keras

    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


class _Walk:
    """Findings on the way through the graph."""

    def __init__(self) -> None:
        self.channels = Channels()
        self.passages: dict[str, Passage] = {}
        self.blocked: dict[str, str] = {}
        """Layers with weights and without a rule, {name: name}."""
        self._numbers: dict[int, Numbers] = {}
        self._seen: list[Any] = []  # so that no other tensor takes an id over

    def call(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a layer, and note what it does to channels."""
        import keras

        made = op(*args, **kwargs)
        values = keras.tree.flatten((args, kwargs))
        tensors = [value for value in values if isinstance(value, keras.KerasTensor)]
        constants = [value for value in values if not isinstance(value, keras.KerasTensor)]
        given = [self.numbers(tensor) for tensor in tensors]
        writes = None
        if isinstance(made, keras.KerasTensor) and op.name not in self.passages:
            writes = passage(op, constants, given, made, self.channels)
        if writes is None:
            self._block(op, given, made)
        else:
            multiplier = getattr(op, "depth_multiplier", 1)
            self.passages[op.name] = Passage(
                op.name, type(op).__name__, given[0], writes, multiplier
            )
            self._note(made, writes)
        return made

    def numbers(self, tensor: Any) -> Numbers:
        """Of a tensor's last axis: new ones that must stay, where nothing is known of it."""
        if id(tensor) not in self._numbers:
            count = tensor.shape[-1] if tensor.shape else None
            found = self.channels.new(count or 0)
            self.channels.leave(found, INPUT)
            self._note(tensor, found)
        return self._numbers[id(tensor)]

    def _note(self, tensor: Any, numbers: Numbers) -> None:
        self._numbers[id(tensor)] = numbers
        self._seen.append(tensor)

    def _block(self, op: Any, given: Sequence[Numbers], made: Any) -> None:
        """No rule, or called before: all that it touches must stay."""
        import keras

        touched = [*given, *(self.numbers(tensor) for tensor in keras.tree.flatten(made))]
        if before := self.passages.get(op.name):
            touched += [before.reads, before.writes]
        for numbers in touched:
            self.channels.leave(numbers, op.name)
        if getattr(op, "weights", None):
            self.blocked[op.name] = op.name


def _traced(walk: _Walk) -> Trace:
    roots = walk.channels.roots()
    makers = [one for one in walk.passages.values() if one.size]
    ranked = Channels()
    ranked.new(len(roots))
    for one in makers:
        mine = roots[one.writes]
        ranked.couple(mine, np.full_like(mine, mine[0]))
    group = ranked.roots()[roots]
    why: dict[int, str] = {}
    for number, reason in walk.channels.whole.items():
        if reason != OUTPUT or int(group[number]) not in why:
            why[int(group[number])] = reason
    own = {one.layer: int(group[one.writes[0]]) for one in makers}
    whole = {layer: why[number] for layer, number in own.items() if number in why}
    made = sorted(set(own.values()) - why.keys())
    return Trace(
        walk.passages,
        roots,
        tuple(np.unique(roots[group == one]) for one in made),
        {layer: reason for layer, reason in whole.items() if reason != OUTPUT} | walk.blocked,
    )
