"""A functional Keras model as a graph: walked in order, and rebuilt call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edge_sdk.errors import ConfigError

Rule = Callable[..., Any]
"""(call, *args, **kwargs) -> outputs: what stands in the new graph for a call of the old one, given
the new tensors in its arguments."""


def calls(model: Any) -> Iterator[Any]:
    """Each call of a layer or an operation in the model, inputs before what uses them: Keras nodes
    with `operation`, `arguments`, `input_tensors` and `outputs`. Nested models are one call.
    """
    import keras

    by_depth = keras.Function(model.inputs, model.outputs)._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if node.operation and not node.is_input:
                yield node


def run(model: Any, inputs: list[Any], rule: Rule) -> list[Any]:
    """The new outputs of `model` on new inputs, each of its calls replaced by the rule's."""
    import keras

    new = {id(old): tensor for old, tensor in zip(model.inputs, inputs, strict=True)}
    for call in calls(model):
        args, kwargs = call.arguments.fill_in(new)
        found = keras.tree.flatten(rule(call, *args, **kwargs))
        new.update({id(old): tensor for old, tensor in zip(call.outputs, found, strict=True)})
    return [new[id(old)] for old in model.outputs]


def rebuilt(model: Any, rule: Rule, start: Rule = lambda old, new: new) -> Any:
    """A model of the same inputs and name with each call replaced. start: (old input, new input)
    to what stands for it in the new graph.
    """
    import keras

    inputs = [keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in model.inputs]
    outputs = run(model, [start(*pair) for pair in zip(model.inputs, inputs, strict=True)], rule)
    return keras.Model(_one_or_all(inputs), _one_or_all(outputs), name=model.name)


def users(model: Any) -> dict[int, list[Any]]:
    """{id of a tensor: the calls that use it}, None standing for an output of the model."""
    found: dict[int, list[Any]] = {}
    for call in calls(model):
        for tensor in call.input_tensors:
            found.setdefault(id(tensor), []).append(call)
    for tensor in model.outputs:
        found.setdefault(id(tensor), []).append(None)
    return found


def _one_or_all(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def is_keras(operation: Any) -> bool:
    """True for a class of Keras' own: what another class of that name does is not known."""
    return type(operation).__module__.partition(".")[0] == "keras"


def refusal(
    operation: Any, why: str = "has no rule for quantization-aware training"
) -> ConfigError:
    """The error for a layer or an operation that cannot be fake-quantized."""
    return ConfigError(
        f"layer {operation.name!r} ({type(operation).__name__}) {why}",
        fix='put another layer in its place, or remove "qat" from steps',
    )
