"""Over time: what a net sees in each frame, or rows of features, through an LSTM or a GRU.

Frames are folded into the batch, so that one copy of the net sees all of them: under
TimeDistributed the converted model would hold a copy for each frame. The cell is unrolled: rolled,
it is no builtin operator of TensorFlow Lite, and converting it to int8 ends the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_converter.recipe.schema import Options, SequenceTable


def features(rows: Any, options: Options) -> Any:
    """The rows, each feature brought to mean 0 and variance 1 by a batch norm.

    Features come in any unit. Fed as they are, values far below 1 train slowly and leave the cell
    states of an int8 model a few steps of their range: 0.65 instead of 0.98 on finger paths whose
    median is 0.017.
    """
    from keras import layers

    # Keras' momentum of 0.99 would need more steps than a small set has before the averages hold.
    return layers.BatchNormalization(momentum=0.9, name="normalize")(rows)


def over_frames(frames: Any, net: Callable[[Any], Any]) -> Any:
    """frames: Keras tensor (batch, frames, height, width, channels); net: (batch, height, width,
    channels) to (batch, n). Returns (batch, frames, n).
    """
    from keras import ops

    found = net(ops.reshape(frames, (-1, *frames.shape[2:])))
    return ops.reshape(found, (-1, frames.shape[1], found.shape[-1]))


def cell(rows: Any, settings: SequenceTable) -> Any:
    """rows: Keras tensor (batch, frames, n). Returns (batch, units): the state after the last."""
    from keras import layers

    kind = {"lstm": layers.LSTM, "gru": layers.GRU}[settings.cell]
    return kind(settings.units, unroll=True, name=settings.cell)(rows)
