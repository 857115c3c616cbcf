"""Frames made ready for a model while it is busy with another: in a second thread.

What is left for the thread that invokes is one copy of the input tensor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_sdk.frames import Frame
from edge_sdk.preprocess import Placement, Preprocessor, PreprocessSpec
from edge_sdk.tensors import TensorSpec

MAX_BYTES = 16 * 1024 * 1024
"""Of tensors that wait: a hundred of 224 x 224 x 3 in 8 bits, three of 640 x 640 x 3 floats."""


class Prepared(NamedTuple):
    """A frame as the model is fed it: `tensor` of the input's shape and dtype; where the image
    lies in it; what making it took, ns.
    """

    tensor: NDArray[Any]
    placement: Placement
    took_ns: int

    def write(self, tensor: NDArray[Any]) -> Placement:
        """Fill the engine's own tensor."""
        # numpy lets other threads run while it copies, and then waits for them to stop; the invoke
        # that follows lets them run, too.
        tensor.data.cast("B")[:] = self.tensor.data.cast("B")
        return self.placement


class Preparer:
    """Prepares frames for one input. `release` what is done with: its memory is used again, so
    that in steady state nothing is allocated, and never more than MAX_BYTES (but one tensor).

    One thread prepares; any may release.
    """

    def __init__(
        self,
        spec: PreprocessSpec,
        tensor: TensorSpec,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._preprocessor = Preprocessor(spec, tensor)
        self._now_ns = now_ns
        self._free: deque[NDArray[Any]] = deque()
        self._more = max(1, MAX_BYTES // max(1, tensor.nbytes))

    def __call__(self, frame: Frame) -> Prepared | None:
        """The frame's tensor, in memory that `release` gave back where there is some; None where
        too much of it waits already.
        """
        started = self._now_ns()
        tensor = self._take()
        if tensor is None:
            return None
        placement = self._preprocessor(frame, tensor)
        return Prepared(tensor, placement, self._now_ns() - started)

    def release(self, prepared: Prepared) -> None:
        """Nobody reads it any more."""
        self._free.append(prepared.tensor)

    def _take(self) -> NDArray[Any] | None:
        if self._free:  # only this thread takes: what is there stays there
            return self._free.pop()
        if not self._more:
            return None
        self._more -= 1
        spec = self._preprocessor.tensor
        return np.empty(spec.shape, spec.dtype)
