"""LSTM and GRU written out step by step: what the converter makes of an unrolled cell, but with
every tensor in reach. The state before the first step is zero, so what multiplies it is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_converter.compression.fake_quant.activations import activated
from edge_converter.compression.fake_quant.keras_graph import refusal
from edge_converter.compression.fake_quant.weighted import affine
from edge_converter.compression.fake_quant.writer import Array, Writer


def lstm(writer: Writer, call: Any, x: Any) -> Any:
    """LSTM. (batch, steps, n) to (batch, units), or (batch, steps, units)."""
    cell = _Cell(writer, call.operation, x)
    kernel, recurrent, bias = cell.weights(4)
    rows = cell.dense("kernel", kernel, bias)(x)
    again = cell.dense("recurrent", recurrent, np.zeros_like(bias))
    states: list[Any] = []
    carry = None
    for step in range(x.shape[1]):
        gates = rows[:, step] if not states else rows[:, step] + again(states[-1])
        let_in, keep, new, let_out = cell.split(gates, 4)
        fresh = cell.gate(let_in) * cell.new(new)
        carry = fresh if carry is None else cell.gate(keep) * carry + fresh
        states.append(cell.gate(let_out) * cell.new(carry))
    return cell.answer(states)


def gru(writer: Writer, call: Any, x: Any) -> Any:
    """GRU. (batch, steps, n) to (batch, units), or (batch, steps, units)."""
    cell = _Cell(writer, call.operation, x)
    if not call.operation.reset_after:
        raise refusal(call.operation, "has reset_after=False")
    kernel, recurrent, biases = cell.weights(3)
    first, second = biases if biases.ndim == 2 else (biases, np.zeros_like(biases))
    # Of the second bias only the new state's is multiplied by the reset gate: the rest is moved.
    of_new = second * (np.arange(len(second)) >= 2 * cell.units)
    rows = cell.dense("kernel", kernel, first + second - of_new)(x)
    again = cell.dense("recurrent", recurrent, of_new)
    states: list[Any] = []
    for step in range(x.shape[1]):
        keep, reset, new = cell.split(rows[:, step], 3)
        if not states:
            reset = cell.gate(reset)
            fresh = cell.new(new + affine(writer, call.operation, reset, of_new[-cell.units :], 0))
            states.append(fresh - cell.gate(keep) * fresh)
            continue
        keep_too, reset_too, new_too = cell.split(again(states[-1]), 3)
        fresh = cell.new(new + cell.gate(reset + reset_too) * new_too)
        states.append(fresh + cell.gate(keep + keep_too) * (states[-1] - fresh))
    return cell.answer(states)


class _Cell:
    """The part that both have in common. Raises ConfigError for a cell that is not written out
    here.
    """

    def __init__(self, writer: Writer, operation: Any, x: Any) -> None:
        if operation.stateful or operation.go_backwards or operation.return_state:
            raise refusal(operation, "is stateful, goes backwards or returns its state")
        if x.shape[1] is None:
            raise refusal(operation, "has no fixed number of steps")
        self.writer, self.operation, self.units = writer, operation, operation.units

    def weights(self, gates: int) -> tuple[Array, Array, Array]:
        """(kernel, recurrent kernel, bias)."""
        kernel, recurrent, *rest = self.operation.get_weights()
        return kernel, recurrent, rest[0] if rest else np.zeros(gates * self.units, np.float32)

    def dense(self, name: str, kernel: Array, bias: Array) -> Any:
        """A dense layer with these weights, to be called as often as there are steps."""
        from keras import layers

        layer = layers.Dense(len(bias), name=self.writer.name(f"{self.operation.name}_{name}"))
        layer.build((None, len(kernel)))
        layer.set_weights([kernel, bias])
        return layer

    def split(self, gates: Any, count: int) -> list[Any]:
        """The parts of each gate: (batch, units)."""
        units = self.units
        return [gates[:, number * units : (number + 1) * units] for number in range(count)]

    def gate(self, x: Any) -> Any:
        """Between 0 and 1."""
        return activated(self.writer, self.operation, self.operation.recurrent_activation, x)

    def new(self, x: Any) -> Any:
        """Through the activation."""
        return activated(self.writer, self.operation, self.operation.activation, x)

    def answer(self, states: list[Any]) -> Any:
        """The last state, or all of them, as the layer's user wanted it."""
        from keras import layers

        if not self.operation.return_sequences:
            return states[-1]
        rows = [layers.Reshape((1, self.units))(state) for state in states]
        return layers.Concatenate(axis=1)(rows)
