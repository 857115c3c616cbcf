"""Sequences: the frames of a clip, or rows of features, into one input tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.data.samples import Clip, FeatureRow, Sample
from edge_sdk.errors import BundleError, ModelError
from edge_sdk.frames import Frame
from edge_sdk.model.interface import ModelInterface, TaskName
from edge_sdk.preprocess import Preprocessor, PreprocessSpec
from edge_sdk.tasks.checks import REBUILD, check_pixels, require
from edge_sdk.tasks.classify import Classify
from edge_sdk.tensors import TensorSpec, quantize


class ClipPreprocessor:
    """Writes frames into a tensor of shape (1, frames, height, width, channels), each as
    `Preprocessor` does. Raises ModelError, ConfigError as that one.
    """

    def __init__(self, spec: PreprocessSpec, tensor: TensorSpec) -> None:
        self.tensor = tensor
        self.frames = tensor.shape[1]
        shape = (tensor.shape[0], *tensor.shape[2:])
        self._one = Preprocessor(spec, TensorSpec(tensor.name, shape, tensor.dtype, tensor.quant))

    def __call__(self, frames: Sequence[Frame], out: NDArray[Any]) -> None:
        """Fill `out` (the tensor itself) from as many frames as it has. Raises ModelError for
        another number of them.
        """
        _check(len(frames) == self.frames, f"{len(frames)} frames", self.tensor)
        for step, frame in enumerate(frames):
            self._one(frame, out[:, step])

    def step(self, frame: Frame, out: NDArray[Any]) -> None:
        """One frame of a clip: fills `out` (1, height, width, channels; the tensor's dtype)."""
        self._one(frame, out)

    def pixels(self, frames: Sequence[Frame], out: NDArray[np.uint8]) -> None:
        """The same before normalisation: fills `out` (frames, height, width, channels; uint8)."""
        _check(len(frames) == self.frames, f"{len(frames)} frames", self.tensor)
        for step, frame in enumerate(frames):
            self._one.pixels(frame, out[step])


class FeaturePreprocessor:
    """Writes features into a tensor of shape (1, frames, features), quantized as it asks."""

    def __init__(self, tensor: TensorSpec) -> None:
        self.tensor = tensor

    def __call__(self, values: NDArray[np.float32], out: NDArray[Any]) -> None:
        """Fill `out` (the tensor itself) from (frames, features). Raises ModelError for another
        shape, and for NaN or an infinity.
        """
        shape = "x".join(map(str, values.shape))
        _check(values.shape == self.tensor.shape[1:], f"{shape} features", self.tensor)
        out[0] = quantize(_finite(values), self.tensor)

    def step(self, values: NDArray[np.float32], out: NDArray[Any]) -> None:
        """One row of features: fills `out` (1, features; the tensor's dtype). Raises ModelError for
        another number of them, and for NaN or an infinity.
        """
        shape = "x".join(map(str, values.shape))
        _check(values.shape == self.tensor.shape[2:], f"{shape} features a step", self.tensor)
        out[0] = quantize(_finite(values), self.tensor)


class Window:
    """The newest steps of a stream as the input tensor stores them, in a ring: each frame or row of
    features is preprocessed once, when it comes.
    """

    def __init__(self, preprocessor: ClipPreprocessor | FeaturePreprocessor) -> None:
        tensor = preprocessor.tensor
        self._write: Any = preprocessor.step
        self._steps = np.empty((tensor.shape[1], 1, *tensor.shape[2:]), tensor.dtype)
        self._count = 0

    @property
    def full(self) -> bool:
        """True once there are as many steps as the model wants."""
        return self._count >= len(self._steps)

    def push(self, value: Frame | NDArray[np.float32]) -> None:
        """Take the next step: a frame, or features of shape (features,). Raises ModelError."""
        self._write(value, self._steps[self._count % len(self._steps)])
        self._count += 1

    def write(self, out: NDArray[Any]) -> None:
        """Fill `out` (the tensor itself) with the steps, oldest first."""
        oldest = self._count % len(self._steps)
        behind = len(self._steps) - oldest
        out[0, :behind] = self._steps[oldest:, 0]
        out[0, behind:] = self._steps[:oldest, 0]


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.all(np.isfinite(values)):
        raise ModelError(
            "the features hold NaN or an infinity", fix="put a number there, or leave the step out"
        )
    return values


def _check(fits: bool, what: str, tensor: TensorSpec) -> None:
    if not fits:
        raise ModelError(
            f"{what} do not fit input {tensor.name} of shape {list(tensor.shape)}",
            fix="feed what the manifest's input and sequence say",
        )


class ClassifySequence(Classify):
    """Tells which class the frames of a clip, or rows of features, belong to."""

    name: ClassVar[TaskName] = "sequence"
    kind = "a sequence classifier"
    sequential = True

    def check(self, interface: ModelInterface, labels: int, where: str) -> None:
        """Scores for the labels; [1, frames, height, width, channels] or [1, frames, features] for
        input.
        """
        self._check_scores(interface, labels, where)
        sequence, shape = interface.sequence, list(interface.input.tensor.shape)
        if sequence is None:
            raise BundleError(f'{where}: task "sequence" needs "sequence"', fix=REBUILD)
        require(
            len(shape) >= 3 and shape[1] == sequence.frames,
            f"{where}: input shape {shape} does not fit sequence.frames {sequence.frames}",
        )
        check_pixels(interface, 5, where)
        require(
            interface.input.preprocess is not None or len(shape) == 3,
            f"{where}: input shape {shape} is not [1, frames, features]",
        )

    def sample_type(self, interface: ModelInterface) -> type[Sample]:
        """Clips, or features where nothing is preprocessed."""
        return FeatureRow if interface.input.preprocess is None else Clip
