"""Rules by which channels get through each kind of Keras layer. Every array is channels-last.

A rule is given the numbers of the channels of each input, and returns those of the output; None
where the layer, set up as it is, does something to channels that the rule does not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
"""The number of the channel at each place of a tensor's last axis."""
Side = Literal["reads", "writes"]
INPUT, OUTPUT = "the input", "the output"


@dataclass(frozen=True)
class Kind:
    """A layer with weights. axes: of each weight, by its name, those along which the channels lie
    that it reads or writes. size: the argument that says how many channels it makes, "" where it
    makes none of its own.
    """

    axes: dict[str, dict[int, Side]]
    size: str = ""


_BIAS: dict[str, dict[int, Side]] = {"bias": {-1: "writes"}}
_CONVOLUTION = Kind({"kernel": {-2: "reads", -1: "writes"}, **_BIAS}, "filters")
KINDS = {
    "Conv1D": _CONVOLUTION,
    "Conv2D": _CONVOLUTION,
    "Dense": Kind(_CONVOLUTION.axes, "units"),
    "DepthwiseConv2D": Kind({"kernel": {-2: "reads"}, **_BIAS}),
    "SeparableConv2D": Kind(
        {
            "depthwise_kernel": {-2: "reads"},
            "pointwise_kernel": {-2: "reads", -1: "writes"},
            **_BIAS,
        },
        "filters",
    ),
    "BatchNormalization": Kind(
        {name: {-1: "writes"} for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    ),
}
"""The layers with weights that can be made narrower."""

_ELEMENTWISE = (
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish"),
    *("hard_silu", "hard_swish", "sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softplus"),
    *("softsign", "exponential", "mish", "tanh_shrink", "soft_shrink", "hard_shrink"),
)
"""Activations that look at one channel at a time: a softmax does not."""

_PASSING = (
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Relu", "Relu6", "Silu", "Sigmoid", "HardSigmoid"),
    *("HardSilu", "Tanh", "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D"),
    *("GaussianNoise", "GaussianDropout", "ActivityRegularization"),
    *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D"),
    *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D"),
)
_COUPLING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide", "TrueDivide")


class Channels:
    """Numbers of channels, and which of them can only stay or go together."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self.whole: dict[int, str] = {}
        """Channels that must stay, and the layer that wants it, or INPUT or OUTPUT."""

    def new(self, count: int) -> Numbers:
        """Numbers for `count` channels more."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def couple(self, one: Numbers, other: Numbers) -> None:
        """Pair by pair."""
        for a, b in zip(one, other, strict=True):
            self._parents[self._root(a)] = self._root(b)

    def leave(self, numbers: Numbers, why: str) -> None:
        """They must stay."""
        self.whole |= dict.fromkeys(map(int, numbers), why)

    def roots(self) -> Numbers:
        """For each channel one that stands for all that it is coupled to."""
        return np.array([self._root(number) for number in range(len(self._parents))], np.int64)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return int(number)


def passage(
    op: Any, constants: Sequence[Any], given: Sequence[Numbers], made: Any, channels: Channels
) -> Numbers | None:
    """The channels of `made`, the output of a Keras layer or operation `op`; None: no rule.

    constants: arguments that are no tensors of the graph. given: the channels of those that are.
    """
    ours = type(op).__module__.startswith("keras.")
    rule = _RULES.get(type(op).__name__) if ours else None
    if rule is None or getattr(op, "data_format", "channels_last") != "channels_last":
        return None
    if any(np.size(value) > 1 for value in constants if not isinstance(value, str)):
        return None
    return rule(op, given, made, channels)


def _produced(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    if getattr(op, "groups", 1) != 1:
        return None
    own = channels.new(made.shape[-1])
    if not _elementwise(op):
        channels.leave(own, op.name)
    return own


def _depthwise(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    return np.repeat(given[0], op.depth_multiplier) if _elementwise(op) else None


def _normalised(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    return given[0] if op.axis in (-1, len(made.shape) - 1) else None


def _passed(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    sized = getattr(op, "noise_shape", None)  # a dropout's, which may count channels
    return given[0] if _elementwise(op) and sized is None else None


def _coupled(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    """Along the last axis; a single channel is spread over all those of the others."""
    first, *others = sorted(given, key=len, reverse=True)
    for other in others:
        if len(other) == len(first):
            channels.couple(first, other)
    return first


def _joined(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    last = op.axis in (-1, len(made.shape) - 1)
    return np.concatenate(given) if last else _coupled(op, given, made, channels)


def _reshaped(op: Any, given: Sequence[Numbers], made: Any, channels: Channels) -> Numbers | None:
    """Plain: channels stay the last axis, alone or with whole places before them."""
    if hasattr(op, "newshape") or made.shape[-1] is None:  # keras.ops.reshape: a fixed shape
        return None
    places, rest = divmod(made.shape[-1], len(given[0]))
    return None if rest else np.tile(given[0], places)


def _elementwise(op: Any) -> bool:
    """True where the activation of `op`, if any, is one of Keras', a channel at a time."""
    function = getattr(op, "activation", None)
    known = getattr(function, "__module__", "").startswith("keras.")
    return function is None or (known and getattr(function, "__name__", "") in _ELEMENTWISE)


_Rule = Callable[[Any, Sequence[Numbers], Any, Channels], Numbers | None]
_RULES: dict[str, _Rule] = {
    **{name: _produced for name, kind in KINDS.items() if kind.size},
    "DepthwiseConv2D": _depthwise,
    "BatchNormalization": _normalised,
    **dict.fromkeys(_PASSING, _passed),
    **dict.fromkeys(_COUPLING, _coupled),
    "Concatenate": _joined,
    **dict.fromkeys(("Flatten", "Reshape"), _reshaped),
}
