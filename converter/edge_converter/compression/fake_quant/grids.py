"""Grids of 256 values: the tensors of a plain model that share one, and its range."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.compression.fake_quant.keras_graph import calls, users
from edge_converter.compression.fake_quant.layers import FakeQuant

KEEPING = frozenset(
    {
        *("MaxPooling2D", "GlobalMaxPooling2D", "Flatten", "Reshape", "Permute", "ZeroPadding2D"),
        *("Cropping2D", "SpaceToDepth", "Dropout", "SpatialDropout2D", "GaussianNoise", "GetItem"),
        "Concatenate",
    }
)
"""Layers whose outputs are values of their inputs: they are on a grid already."""

ON_INPUT_GRID = KEEPING | {"AveragePooling2D"}
"""Layers that TensorFlow Lite computes on their inputs' grid (its 8-bit quantization
specification).
"""

FUSING = frozenset({"Conv2D", "DepthwiseConv2D", "Dense", "Add", "Subtract", "Multiply"})
"""Operators of TensorFlow Lite that take up a relu or relu6 behind them."""

PRESCRIBED = {"softmax": (0.0, 255 / 256), "sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
"""Ranges of steps of 1/256, 1/256 and 1/128: the same specification."""

BATCH = 8
"""Samples at a time while ranges are measured: all activations of each are in memory."""


@dataclass(eq=False)
class Grid:
    """A grid of 256 values. tensors: those whose values make its range. prescribed: its range where
    TensorFlow Lite decides; learned: whether training may move the range. step: between two of its
    values, as a Keras tensor, once a tensor is on it.
    """

    name: str
    tensors: list[Any] = field(default_factory=list)
    prescribed: tuple[float, float] | None = None
    learned: bool = True
    step: Any = None

    @cached_property
    def layer(self) -> FakeQuant:
        """The layer that puts a tensor on this grid."""
        return FakeQuant(fixed=not self.learned, name=self.name)

    def put(self, tensor: Any) -> Any:
        """The tensor on this grid."""
        found, self.step = self.layer(tensor)
        return found


class Grids:
    """The grids of a plain model."""

    def __init__(self, model: Any) -> None:
        self._of: dict[int, Grid] = {}
        self._users = users(model)
        for number, tensor in enumerate(model.inputs):
            # What is fed has its range from the preprocessing: nothing that training may move.
            self._of[id(tensor)] = Grid(f"fed_{number}", [tensor], learned=False)
        for call, number in zip(calls(model), itertools.count()):
            self._place(call, f"grid_{number}_{call.operation.name}")

    def __iter__(self) -> Iterator[Grid]:
        return iter(dict.fromkeys(self._of.values()))

    def of(self, tensor: Any) -> Grid | None:
        """The grid of a tensor; None where the converter fuses what is behind it, or where it is an
        output whose range is prescribed: rounded probabilities of 0 would have no gradient.
        """
        return self._of.get(id(tensor))

    def put(self, old: Any, new: Any) -> Any:
        """`new`, which stands for `old`, on the grid of `old`; as it is where there is none."""
        grid = self.of(old)
        return new if grid is None else grid.put(new)

    def step(self, tensor: Any) -> Any:
        """Between two values of a tensor that has a grid and is on it."""
        return self._of[id(tensor)].step

    def _place(self, call: Any, name: str) -> None:
        tensor, kind = call.outputs[0], type(call.operation).__name__
        if kind == "Concatenate":
            self._join(call, Grid(name, [tensor]))
        elif kind in ON_INPUT_GRID:
            self._of[id(tensor)] = self._of[id(call.input_tensors[0])]
        elif kind == "Activation" and (bounds := PRESCRIBED.get(_function(call.operation))):
            if self._users[id(tensor)] != [None]:
                self._of[id(tensor)] = Grid(name, prescribed=bounds, learned=False)
        elif not (kind in FUSING and self._ends_in_relu(tensor)):
            self._of[id(tensor)] = Grid(name, [tensor])

    def _join(self, call: Any, whole: Grid) -> None:
        """One grid for all parts that are not bound to another."""
        parts = {self._of[id(tensor)] for tensor in call.input_tensors}
        free = {part for part in parts if part.learned}
        whole.tensors += [t for part in free for t in part.tensors]
        for key, grid in self._of.items():
            if grid in free:
                self._of[key] = whole
        self._of[id(call.outputs[0])] = whole

    def _ends_in_relu(self, tensor: Any) -> bool:
        kinds = [call and type(call.operation).__name__ for call in self._users[id(tensor)]]
        return kinds == ["ReLU"]


def measure(model: Any, grids: Sequence[Grid], samples: NDArray[np.float32]) -> None:
    """Set each grid's range to what its tensors span on the samples, (n, *input shape)."""
    import keras
    import tensorflow as tf

    wanted = [(grid, tensor) for grid in grids for tensor in grid.tensors]
    whole = keras.Model(model.inputs, [tensor for _, tensor in wanted])

    @tf.function(input_signature=[tf.TensorSpec((None, *samples.shape[1:]))])  # type: ignore[untyped-decorator]
    def extremes(batch: Any) -> Any:
        found = keras.tree.flatten(whole(batch, training=False))
        return tf.stack([(tf.reduce_min(t), tf.reduce_max(t)) for t in found])

    batches = [extremes(samples[i : i + BATCH]).numpy() for i in range(0, len(samples), BATCH)]
    low, high = np.min(batches, axis=0)[:, 0], np.max(batches, axis=0)[:, 1]
    for grid in grids:
        rows = [row for row, (owner, _) in enumerate(wanted) if owner is grid]
        bounds = grid.prescribed or (low[rows].min(), high[rows].max())
        grid.layer.set_range(*map(float, bounds))


def _function(activation: Any) -> str:
    from keras import activations

    return str(activations.serialize(activation.activation))
