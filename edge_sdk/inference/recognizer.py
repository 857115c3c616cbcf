"""One frame in, one answer out: preprocess, engine, postprocess, each timed.

The converter's verification, `predict`, `evaluate` and the device's runtime all answer through this
class; that is why what was verified is what runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.reading import Bundle
from edge_sdk.engines import AUTO, Engine, EngineInfo
from edge_sdk.errors import ConfigError, NotAvailableYet
from edge_sdk.frames import Frame
from edge_sdk.inference.admission import open_bundle_engine
from edge_sdk.inference.golden import GoldenCheck, check_tensors
from edge_sdk.inference.prefetch import Prepared, Preparer
from edge_sdk.model.interface import ModelInterface
from edge_sdk.preprocess import Placement, Preprocessor, PreprocessSpec
from edge_sdk.results import Result, StageTimes
from edge_sdk.tasks import task_of
from edge_sdk.tasks.base import Threshold
from edge_sdk.tensors import TensorSpec

if TYPE_CHECKING:
    from edge_sdk.data.samples import Value

Fill = Callable[[NDArray[Any]], Placement | None]
"""Writes the input tensor (its shape and dtype); says where an image lies in it."""

TOP = 5
_NO_FRAME = Frame(np.zeros((0, 0), np.uint8), "gray")


class Recognizer:
    """An engine with the preprocessing and postprocessing that the model's interface asks for.

    min_score: answers below it are left out; None takes what the interface says. top: at most so
    many classes. golden: how the bundle's samples came out on this engine, None where not asked.
    Not thread-safe. Raises ConfigError for a min_score that is none, NotAvailableYet for a model
    with several inputs, ModelError when the engine's tensors are not the interface's.
    """

    def __init__(
        self,
        interface: ModelInterface,
        labels: tuple[str, ...],
        engine: Engine,
        *,
        min_score: float | None = None,
        top: int = TOP,
        golden: GoldenCheck | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if min_score is not None and not 0 <= min_score <= 1:
            raise ConfigError(f"min_score is {min_score}", fix="use 0 to 1")
        self.interface = interface
        self.labels = labels
        self.engine = engine
        self.golden = golden
        self.min_score = interface.postprocess.min_score if min_score is None else min_score
        self.top = top
        self._now_ns = now_ns
        _require_one_input(interface)
        check_tensors(interface, engine)
        self.preprocessor = open_preprocessor(interface.input.preprocess, engine.inputs[0])
        self._decode = task_of(interface).decoder(
            interface, labels, engine.outputs, Threshold(min_score, top)
        )

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        engine: str = AUTO,
        *,
        threads: int = 1,
        prove: bool = False,
        min_score: float | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> Recognizer:
        """Open a bundle's model in an engine, proven by its golden samples. prove: by all of them,
        also where that was done before.

        Raises what `admission.open_bundle_engine` raises.
        """
        opened, golden = open_bundle_engine(bundle, engine, threads=threads, prove=prove)
        try:
            return cls(
                bundle.manifest.interface,
                bundle.labels,
                opened,
                min_score=min_score,
                golden=golden,
                now_ns=now_ns,
            )
        except BaseException:
            opened.close()
            raise

    @property
    def info(self) -> EngineInfo:
        """The interpreter that answers."""
        return self.engine.info

    def __call__(
        self, value: Value, *, capture_ns: int = 0, prepared: Prepared | None = None
    ) -> Result:
        """Answer about one frame; for task "sequence" about frames or features (sources.Value).
        `capture_ns`: what getting it cost, for the record. prepared: the frame, by `preparer`.
        """
        if prepared is not None and isinstance(value, Frame):
            return self.answer(prepared.write, value, capture_ns, prepared.took_ns)
        frame = value if isinstance(value, Frame) else _last(value)
        return self.answer(lambda tensor: self.preprocessor(value, tensor), frame, capture_ns)

    def preparer(self) -> Preparer | None:
        """A preparer of frames in another thread; None for models that take no single images."""
        spec = self.interface.input.preprocess
        if spec is None or not self.interface.takes_single_images:
            return None
        return Preparer(spec, self.engine.inputs[0], self._now_ns)

    def answer(self, fill: Fill, frame: Frame, capture_ns: int = 0, prepared_ns: int = 0) -> Result:
        """The same with the input tensor written by `fill`; `frame` is what the answer is about.
        prepared_ns: the preprocessing that was done before.
        """
        started = self._now_ns()
        placement = self.engine.fill(0, fill)
        filled = self._now_ns()
        self.engine.invoke()
        invoked = self._now_ns()
        classes, detections = self._decode(self.engine.output, placement, frame)
        done = self._now_ns()
        stages = StageTimes(
            capture_ns, prepared_ns + filled - started, invoked - filled, done - invoked
        )
        return Result(classes, frame.index, frame.sensor_ns, done, stages, frame.source, detections)

    def scores(self) -> NDArray[np.float32]:
        """All scores of a classifier's last invoke: float32, shape (classes,)."""
        from edge_sdk.tasks.classify import all_scores  # a detector has none

        return all_scores(self.interface, self.engine.output, self.engine.outputs)

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def require_images(interface: ModelInterface) -> None:
    """Raises NotAvailableYet for a model that does not answer about single images."""
    if interface.sequence is not None:
        streamed = "stream frames through it with `edge-sdk run`, or "
        raise NotAvailableYet(
            f"{interface.name} answers about sequences of {interface.sequence.frames} frames; that "
            "is not available yet here",
            fix=f"{streamed if interface.input.preprocess else ''}use `edge-sdk evaluate`",
        )


def _require_one_input(interface: ModelInterface) -> None:
    if len(interface.inputs) > 1:
        names = ", ".join(entry.tensor.name for entry in interface.inputs)
        raise NotAvailableYet(
            f"{interface.name} takes {len(interface.inputs)} inputs ({names}); that is not "
            "available yet here",
            fix="feed it from Python (edge_sdk.open_engine), or build a model with one input",
        )


def open_preprocessor(spec: PreprocessSpec | None, tensor: TensorSpec) -> Any:
    """A preprocessor that fills `tensor` from a Frame, from the frames of a clip, or, without
    `spec`, from features.

    Raises ModelError, ConfigError where they do not fit.
    """
    if spec is not None and len(tensor.shape) != 5:
        return Preprocessor(spec, tensor)
    from edge_sdk.tasks.sequence import ClipPreprocessor, FeaturePreprocessor  # most need neither

    return FeaturePreprocessor(tensor) if spec is None else ClipPreprocessor(spec, tensor)


def _last(value: Value) -> Frame:
    """The newest frame of a clip; features have none."""
    return value[-1] if isinstance(value, tuple) else _NO_FRAME


def open_recognizer(path: str | Path, engine: str = AUTO, *, threads: int = 1) -> Recognizer:
    """A Recognizer straight from a bundle's file. Raises EdgeError."""
    with Bundle.open(path, verify=False) as bundle:  # the next line does, if it must
        return Recognizer.open(bundle, engine, threads=threads)
