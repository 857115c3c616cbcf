"""Samples as a model is fed them: through the decoder and the preprocessing of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_converter.recipe.schema import RecipeTables
from edge_sdk.data.samples import Sample
from edge_sdk.inference.recognizer import open_preprocessor
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tensors import TensorSpec


@dataclass(frozen=True)
class ModelInput:
    """The input of a model.

    shape: of one sample: (height, width, channels); (frames, height, width, channels) for clips;
    (frames, features) for features. preprocess: None for features.
    """

    shape: tuple[int, ...]
    preprocess: PreprocessSpec | None

    @classmethod
    def of(cls, recipe: RecipeTables, samples: Sequence[Sample]) -> ModelInput:
        """The input that a recipe describes. The number of features is only known from the first
        of the samples. Raises FileError, ImageError.
        """
        if recipe.preprocess is None:
            values = samples[0].read()
            assert isinstance(values, np.ndarray)
            return cls(tuple(values.shape), None)
        settings = recipe.input
        image = (settings.height, settings.width, settings.channels)
        shape = image if recipe.cut is None else (recipe.cut.frames, *image)
        return cls(shape, recipe.preprocess)

    def open_preprocessor(self) -> Any:
        """A preprocessor into float32 [1, *shape]: fed values, not quantized."""
        return open_preprocessor(self.preprocess, TensorSpec("input", (1, *self.shape), "float32"))

    def stack(self, samples: Sequence[Sample]) -> NDArray[np.float32]:
        """Fed values of each sample: float32 [samples, *shape]. Raises FileError, ImageError."""
        preprocessor = self.open_preprocessor()
        out = np.empty((len(samples), *self.shape), np.float32)
        for row, sample in enumerate(samples):
            preprocessor(sample.read(), out[row : row + 1])
        return out
