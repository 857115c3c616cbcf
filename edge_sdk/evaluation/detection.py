"""COCO's mAP of a detector, in all and for each label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.samples import LabelledImages, Sample, Truth
from edge_sdk.engines import AUTO, EngineInfo
from edge_sdk.errors import DataError
from edge_sdk.evaluation.average_precision import AveragePrecision
from edge_sdk.evaluation.result import EvaluationResult, common
from edge_sdk.evaluation.scoring import EvaluationPass, Evaluator, Scorer, evaluate_with
from edge_sdk.events import Listener, ignore
from edge_sdk.formatting import share, table
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Result
from edge_sdk.tasks import task_of

if TYPE_CHECKING:
    from edge_sdk.documents.common import BundleIdentity
    from edge_sdk.documents.evaluate import EvaluateDetector, LabelPrecision


@dataclass(frozen=True)
class ClassPrecision:
    """One label. n: annotated objects. ap: COCO's average precision, IoU .50:.95; None without
    objects.
    """

    n: int
    ap: float | None

    def as_dict(self) -> LabelPrecision:
        """The JSON form."""
        return {"n": self.n, "ap": self.ap}


@dataclass(frozen=True, eq=False)
class DetectionEvaluation(EvaluationResult):
    """The outcome for a detector. Precisions are 0..1.

    mean_ap: mAP, the mean over the labels that have objects, at IoU .50:.95; mean_ap_50: at .50
    alone. per_class: each label of the bundle; labels that are equal are one class. The rest is as
    in EvaluationResult.
    """

    metric: ClassVar[str] = "mAP"

    labels: tuple[str, ...]
    n: int
    mean_ap: float
    mean_ap_50: float
    per_class: dict[str, ClassPrecision]
    unreadable: tuple[str, ...] = ()
    seen_in_training: int = 0
    part: str = "all"
    engine: EngineInfo | None = None
    golden: GoldenCheck | None = None

    def as_dict(self, *, bundle: BundleIdentity) -> EvaluateDetector:
        """The evaluate document of docs/contracts.md; fields of classifiers are null."""
        return {
            **common(self, bundle),
            "accuracy": None,
            "interval": None,
            "top5": None,
            "macro_f1": None,
            "per_class": {label: score.as_dict() for label, score in self.per_class.items()},
            "mAP": self.mean_ap,
            "mAP_50": self.mean_ap_50,
        }

    def describe(self) -> str:
        """The outcome for people: mAP, then each label that has objects."""
        summary = [
            ["mAP (IoU .50:.95)", share(self.mean_ap)],
            ["mAP (IoU .50)", share(self.mean_ap_50)],
            ["images", str(self.n)],
        ]
        rows = [[label, s.n, share(s.ap)] for label, s in self.per_class.items() if s.n]
        return f"{table(summary)}\n\n{table(rows, head=('class', 'objects', 'AP'))}"


def evaluate_detections(
    bundle: Bundle,
    data: str | LabelledImages,
    *,
    engine: str = AUTO,
    threads: int = 1,
    prove: bool = False,
    listen: Listener = ignore,
) -> DetectionEvaluation:
    """Look for objects in every image of `data` (coco:ANNOTATIONS.json, or Scenes) with the
    bundle's model. Every score counts, whatever the manifest's thresholds. Labels are matched by
    name.

    Raises ConfigError for a bundle of another task, DataError for images without boxes, labels
    that the bundle does not know or more than 1 % unreadable images, and what opening the source
    and the engine raise.
    """
    return evaluate_with(
        MEAN_AVERAGE_PRECISION,
        bundle,
        data,
        engine=engine,
        threads=threads,
        prove=prove,
        listen=listen,
    )


class _MeanAveragePrecision(Evaluator[DetectionEvaluation]):
    metric: Literal["mAP"] = "mAP"
    kind = "a detector"
    otherwise = "measure its accuracy: edge_sdk.evaluate"
    min_score = 0.0

    def fitted(self, source: LabelledImages, bundle: Bundle) -> LabelledImages:
        _check(source, bundle)
        return source

    def scoring(
        self, recognizer: Recognizer, labels: tuple[str, ...]
    ) -> Scorer[DetectionEvaluation]:
        return _Precision(recognizer.labels, labels)


MEAN_AVERAGE_PRECISION = _MeanAveragePrecision()


class _Precision(Scorer[DetectionEvaluation]):
    """Collects boxes by the numbers of the bundle's labels. names: those of the annotations."""

    def __init__(self, labels: tuple[str, ...], names: tuple[str, ...]) -> None:
        self._labels, self._names = labels, names
        self._first = {label: labels.index(label) for label in labels}
        self._precision = AveragePrecision()
        self._n = 0

    def add(self, sample: Sample, result: Result) -> None:
        truths, found = defaultdict(list), defaultdict(list)
        for truth in _truths(sample):
            truths[self._first[self._names[truth.label]]].append(truth)
        for detection in result.detections or ():
            found[self._first[detection.label]].append(detection)
        for number in sorted({*truths, *found}):
            self._precision.add(
                number,
                _boxes([truth.box for truth in truths[number]]),
                np.array([truth.crowd for truth in truths[number]], bool),
                _boxes([detection.box for detection in found[number]]),
                np.array([detection.score for detection in found[number]], np.float64),
            )
        self._n += 1

    def outcome(self, done: EvaluationPass) -> DetectionEvaluation:
        averages, counts = self._precision.by_class(), self._precision.counts()
        if not averages:
            raise DataError("no image has annotated objects", fix="name other annotations")
        return DetectionEvaluation(
            self._labels,
            self._n,
            float(np.mean([values.mean() for values in averages.values()])),
            float(np.mean([values[0] for values in averages.values()])),
            {
                label: ClassPrecision(
                    counts.get(number, 0),
                    float(averages[number].mean()) if number in averages else None,
                )
                for label, number in self._first.items()
            },
            **vars(done),
        )


def _boxes(boxes: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array(boxes, np.float64).reshape(-1, 4)


def _truths(sample: Sample) -> tuple[Truth, ...]:
    assert isinstance(sample.target, tuple)
    return sample.target


def _check(source: LabelledImages, bundle: Bundle) -> None:
    wanted = task_of(bundle.manifest).sample_type(bundle.manifest.interface)
    if not all(isinstance(sample, wanted) for sample in source.images):
        raise DataError(
            f"{bundle.path.name} answers with boxes, the data has none", fix=wanted.advice
        )
    used = {truth.label for sample in source.images for truth in _truths(sample)}
    strange = [source.labels[i] for i in sorted(used) if source.labels[i] not in bundle.labels]
    if strange:
        raise DataError(
            f"labels that {bundle.path.name} does not know: {', '.join(strange[:10])}",
            fix=f"name the categories as the bundle does: {', '.join(bundle.labels[:20])}",
        )
