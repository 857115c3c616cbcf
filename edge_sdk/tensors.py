"""Descriptions of tensors: name, shape, dtype, and how integers stand for real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class QuantParams:
    """Affine quantization of a whole tensor: `real = scale * (stored - zero_point)`.

    Source: LiteRT 8-bit quantization specification.
    """

    scale: float
    zero_point: int


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model. `dtype` is numpy's name ("int8", "uint8", "float32")."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: QuantParams | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def quantize(values: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Real `values` (any shape, float) as `spec` stores them: rounded half to even, clipped.

    Without quantization floats only change their dtype, integers stand for themselves.
    """
    if not np.issubdtype(spec.dtype, np.integer):
        return values.astype(spec.dtype)
    info = np.iinfo(spec.dtype)
    quant = spec.quant or QuantParams(1.0, 0)
    steps = np.rint(values.astype(np.float64) / quant.scale) + quant.zero_point
    stored: NDArray[Any] = np.clip(steps, info.min, info.max).astype(spec.dtype)
    return stored


def dequantize(stored: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    """Stored values (any shape, `spec.dtype`) as real float32 numbers.

    The subtraction is done in int64: in the stored type it would wrap (int8 127 - -128).
    """
    if spec.quant is None:
        return stored.astype(np.float32)
    steps = stored.astype(np.int64) - spec.quant.zero_point
    return (steps * np.float64(spec.quant.scale)).astype(np.float32)
