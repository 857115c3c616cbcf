"""The interface of a model: its tensors, and what is done before and after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge_sdk.configuration import limits
from edge_sdk.model.postprocess import Postprocess, Role
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tensors import QuantParams, TensorSpec

TaskName = Literal["classify", "sequence", "detect"]

PLAIN = "litert"
"""The key, among a bundle's models, of the one that needs no accelerator."""


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in the manifest: scale and zero_point are null for floats."""

    name: str
    shape: tuple[int, ...] = field(metadata=limits(ge=1))
    dtype: Literal["int8", "uint8", "float32", "int16", "int32", "int64"]
    scale: float | None = field(default=None, metadata=limits(gt=0))
    zero_point: int | None = None

    @property
    def spec(self) -> TensorSpec:
        """The same as a TensorSpec."""
        quantized = self.scale is not None and self.zero_point is not None
        quant = QuantParams(self.scale, self.zero_point) if quantized else None  # type: ignore[arg-type]
        return TensorSpec(self.name, self.shape, self.dtype, quant)

    @classmethod
    def of(cls, spec: TensorSpec) -> TensorEntry:
        """The entry for an engine's tensor."""
        quant = spec.quant
        return cls(
            spec.name,
            spec.shape,
            spec.dtype,  # type: ignore[arg-type]
            quant.scale if quant else None,
            quant.zero_point if quant else None,
        )


@dataclass(frozen=True)
class InputEntry:
    """The input tensor and what is done to an image on its way there (null: features)."""

    tensor: TensorEntry
    preprocess: PreprocessSpec | None


@dataclass(frozen=True)
class SequenceEntry:
    """Only for task "sequence". frames: how many make one input; stride: frames between the
    beginnings of two inputs.
    """

    frames: int = field(metadata=limits(ge=1, le=4096))
    stride: int = field(metadata=limits(ge=1, le=4096))


@dataclass(frozen=True)
class OutputEntry:
    """An output tensor and its role."""

    role: Role
    tensor: TensorEntry


@dataclass(frozen=True)
class ModelInterface:
    """A model's inputs and outputs and their meaning, without its provenance.

    name: for error messages. sequence: None where one sample is one image.
    """

    name: str
    task: TaskName
    inputs: tuple[InputEntry, ...]
    outputs: tuple[OutputEntry, ...]
    postprocess: Postprocess
    sequence: SequenceEntry | None = None

    @property
    def takes_single_images(self) -> bool:
        """True where one sample is one image."""
        return self.sequence is None and self.input.preprocess is not None

    @property
    def input(self) -> InputEntry:
        """The input of a model that has one."""
        return self.inputs[0]

    def output(self, role: Role) -> int:
        """The number of the output with this role. Raises ValueError where there is none."""
        return [output.role for output in self.outputs].index(role)
