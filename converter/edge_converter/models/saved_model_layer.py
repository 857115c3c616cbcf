"""A TensorFlow SavedModel as a Keras model, so that it takes the road of every other.

The other process gets a small JSON file that names the folder, the signature and the shape.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge_converter.tf.setup import load_tensorflow

POINTER = "saved_model.json"


@dataclass(frozen=True)
class Pointer:
    """A signature of the SavedModel in `folder`, and what it is fed: height, width, channels."""

    folder: str
    signature: str
    shape: tuple[int, int, int]

    def write(self, folder: Path) -> Path:
        """The file in `folder` that says it."""
        path = folder / POINTER
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Pointer:
        """Read the file that `write` wrote."""
        told = json.loads(path.read_text())
        return cls(told["folder"], told["signature"], tuple(told["shape"]))

    def load(self) -> Any:
        """The Keras model: images of `shape` in any batch, rows of scores out."""
        load_tensorflow()
        import keras

        image = keras.Input(self.shape, name="image")
        return keras.Model(image, _layer()(self.folder, self.signature, name="saved_model")(image))


@cache
def _layer() -> Any:
    import keras
    import tensorflow as tf

    class SavedModel(keras.layers.Layer):  # type: ignore[misc]
        """One signature of a SavedModel. keras.layers.TFSMLayer takes positional tensors only, and
        cannot be cloned without Keras' safe mode switched off.
        """

        def __init__(self, folder: str, signature: str, **common: Any) -> None:
            super().__init__(**common)
            self.folder, self.signature = folder, signature
            self.loaded = tf.saved_model.load(folder)
            self.function = self.loaded.signatures[signature]
            (self.takes,) = self.function.structured_input_signature[1]
            (self.gives,) = self.function.structured_outputs

        def call(self, images: Any) -> Any:
            # One by one: the signature may take no other batch than 1.
            if images.shape[0] == 1:
                return self._one(images)
            return tf.map_fn(lambda image: self._one(image[None])[0], images)

        def _one(self, images: Any) -> Any:
            return self.function(**{self.takes: images})[self.gives]

        def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
            return (shape[0], *self.function.structured_outputs[self.gives].shape[1:])

        def get_config(self) -> dict[str, Any]:
            config: dict[str, Any] = super().get_config()
            return {**config, "folder": self.folder, "signature": self.signature}

    return SavedModel
