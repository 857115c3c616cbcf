"""Anchors of single-shot detectors, from a few parameters instead of thousands of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from edge_sdk.configuration import limits

_LOWEST = ((1.0, 0.1), (2.0, None), (0.5, None))
"""Aspect ratios of the reduced first layer with their scales; None: the layer's own."""


@dataclass(frozen=True)
class Anchors:
    """Boxes that a detector's answers are relative to. Names and meanings are those of MediaPipe's
    SsdAnchorsCalculatorOptions; defaults those of TensorFlow's SSD MobileNet for COCO (300 x 300).

    strides: pixels of the input from one cell of a layer to the next. min_scale, max_scale: shares
    of the image in the first and the last layer. interpolated: aspect ratio of one more anchor
    between a layer's scale and the next one's; 0 for none. reduced: three anchors only in the first
    layer. unit: only centres count, width and height are 1.
    """

    strides: tuple[int, ...] = field(
        default=(16, 32, 64, 128, 256, 512), metadata=limits(ge=1, le=4096)
    )
    min_scale: float = field(default=0.2, metadata=limits(gt=0, le=1))
    max_scale: float = field(default=0.95, metadata=limits(gt=0, le=1))
    aspect_ratios: tuple[float, ...] = field(
        default=(1.0, 2.0, 0.5, 3.0, 0.3333), metadata=limits(gt=0)
    )
    interpolated: float = field(default=1.0, metadata=limits(ge=0))
    reduced: bool = True
    unit: bool = False

    def count(self, height: int, width: int) -> int:
        """The number of anchors for an input of `height` x `width` pixels."""
        return sum(
            math.ceil(height / stride) * math.ceil(width / stride) * len(self._shapes(layer))
            for layer, stride in enumerate(self.strides)
        )

    def grid(self, height: int, width: int) -> NDArray[np.float32]:
        """All of them for an input of `height` x `width` pixels: shape (count, 4), float32, as
        centre x, centre y, width, height in shares of the image; in the order of the model's
        outputs: by layer, row, column, and layers of one stride together in each cell.
        """
        layers = enumerate(self.strides)
        parts = [
            self._layer([number for number, _ in group], stride, height, width)
            for stride, group in groupby(layers, key=lambda layer: layer[1])
        ]
        return np.concatenate(parts).astype(np.float32)

    def _layer(
        self, numbers: list[int], stride: int, height: int, width: int
    ) -> NDArray[np.float64]:
        shapes = np.array([shape for number in numbers for shape in self._shapes(number)])
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        cells = np.empty((rows, columns, len(shapes), 4))
        cells[..., 0] = ((np.arange(columns) + 0.5) / columns)[None, :, None]
        cells[..., 1] = ((np.arange(rows) + 0.5) / rows)[:, None, None]
        cells[..., 2:] = 1.0 if self.unit else shapes
        return cells.reshape(-1, 4)

    def _shapes(self, layer: int) -> list[tuple[float, float]]:
        """Width and height of the anchors in each cell of a layer."""
        scale = self._scale(layer)
        if layer == 0 and self.reduced:
            shapes = [(ratio, own or scale) for ratio, own in _LOWEST]
        else:
            shapes = [(ratio, scale) for ratio in self.aspect_ratios]
            if self.interpolated:
                shapes.append((self.interpolated, math.sqrt(scale * self._scale(layer + 1))))
        return [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for ratio, scale in shapes]

    def _scale(self, layer: int) -> float:
        last = len(self.strides) - 1
        if layer > last:
            return 1.0
        share = layer / last if last else 0.5
        return self.min_scale + (self.max_scale - self.min_scale) * share


BLAZEFACE = Anchors(
    strides=(8, 16, 16, 16),
    min_scale=0.1484375,
    max_scale=0.75,
    aspect_ratios=(1.0,),
    reduced=False,
    unit=True,
)
"""Source: MediaPipe, face_detection_short_range_common.pbtxt."""
