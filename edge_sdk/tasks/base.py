"""The port of tasks: what each of them decides for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from numpy.typing import NDArray

from edge_sdk.frames import Frame
from edge_sdk.model.interface import ModelInterface, TaskName
from edge_sdk.preprocess import Placement
from edge_sdk.results import Classification, Detection
from edge_sdk.tensors import TensorSpec

if TYPE_CHECKING:
    from edge_sdk.data.samples import Sample

Metric = Literal["accuracy", "mAP"]
"""The unit of a budget's accuracy_loss. Both are shares, and more is better."""

Output = Callable[[int], NDArray[Any]]
"""The stored output tensor of a number, after an invoke."""

Outputs = Sequence[NDArray[Any]]
"""The outputs of several samples, in the model's order: (samples, *tensor shape) each."""


class Answer(NamedTuple):
    """classes: best first. detections: best first; None where the task is not to find objects."""

    classes: tuple[Classification, ...] = ()
    detections: tuple[Detection, ...] | None = None


Decoder = Callable[[Output, Placement | None, Frame], Answer]
"""Makes an answer of the outputs of one invoke. The placement says where the frame lies in the
input; None where the input is not one image.
"""


class Threshold(NamedTuple):
    """min_score: answers below it are left out; None takes what the manifest says. top: at most so
    many classes.
    """

    min_score: float | None = None
    top: int = 5


class Tolerance(NamedTuple):
    """The largest difference allowed between two engines' outputs for one model. precision: of the
    model's weights and activations; steps: of 8-bit outputs.
    """

    precision: str
    steps: int


class Task(ABC):
    """The meaning of a model's outputs. Stateless; edge_sdk.tasks has the one instance of each.

    name: as the manifest says it. kind: for people, "a classifier". sequential: whether one sample
    is several frames or rows of features. metric: the measure by which models of the task are
    compared. classes: the noun for what has one label each. keys: of the manifest's postprocess.
    fit, min_score: defaults of a conversion.
    """

    name: ClassVar[TaskName]
    kind: ClassVar[str]
    metric: ClassVar[Metric]
    sequential: ClassVar[bool] = False
    classes: ClassVar[Literal["scores", "classes"]] = "scores"
    keys: ClassVar[tuple[str, ...]] = ("activation", "min_score")
    fit: ClassVar[Literal["stretch", "crop", "letterbox"]] = "crop"
    min_score: ClassVar[float] = 0.0

    @property
    def finds_objects(self) -> bool:
        """True for detectors, whose answers can be tracked and drawn as boxes."""
        return self.metric == "mAP"

    @abstractmethod
    def check(self, interface: ModelInterface, labels: int, where: str) -> None:
        """Raises BundleError where tensors, settings and the number of labels do not belong
        together. where: what the message begins with.
        """

    @abstractmethod
    def sample_type(self, interface: ModelInterface) -> type[Sample]:
        """The kind of sample that the model answers about."""

    @abstractmethod
    def decoder(
        self,
        interface: ModelInterface,
        labels: Sequence[str],
        specs: Sequence[TensorSpec],
        threshold: Threshold,
    ) -> Decoder:
        """A decoder of the engine's outputs `specs`. Raises ModelError for thresholds of a label
        that the model does not have.
        """

    @abstractmethod
    def bit_exact(self, interface: ModelInterface) -> bool:
        """True where an int8 model computes in integers up to its outputs."""

    @abstractmethod
    def compare(
        self, interface: ModelInterface, wanted: Outputs, found: Outputs, tolerance: Tolerance
    ) -> tuple[float, str]:
        """The largest difference between two models' outputs for the same samples, and why it is
        outside the tolerance, or "".
        """

    @abstractmethod
    def steps_apart(
        self, interface: ModelInterface, wanted: Outputs, found: Outputs, precision: str
    ) -> float:
        """The largest difference in steps, where `compare` counts steps; 0 where it does not."""

    def shows_something(
        self, interface: ModelInterface, labels: Sequence[str], outputs: Outputs
    ) -> bool:
        """True where at least one of these samples has an answer above the interface's own
        thresholds. Raises ModelError for a class without a label.
        """
        return True
