"""How well a bundle finds things: COCO's mAP, in all and for each label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.sample_sets import MAX_UNREADABLE, PREFIX, check_unreadable, training_prefixes
from edge_sdk.data.samples import LabelledImages, Scene
from edge_sdk.data.sources import open_source
from edge_sdk.engines import EngineInfo
from edge_sdk.errors import ConfigError, DataError, FileError, ImageError
from edge_sdk.evaluation.average_precision import AveragePrecision
from edge_sdk.evaluation.result import common
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.formatting import share, table
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Detection

if TYPE_CHECKING:
    from edge_sdk.documents.common import BundleIdentity
    from edge_sdk.documents.evaluate import EvaluateDetector, LabelPrecision


@dataclass(frozen=True)
class ClassPrecision:
    """One label. n: things to be found. ap: COCO's average precision, IoU .50:.95; None where there
    is nothing to be found.
    """

    n: int
    ap: float | None

    def as_dict(self) -> LabelPrecision:
        """The JSON form."""
        return {"n": self.n, "ap": self.ap}


@dataclass(frozen=True, eq=False)
class DetectionEvaluation:
    """The outcome. Precisions are 0..1.

    n: images answered. mean_ap: mAP, the mean over the labels that there are things of, at IoU
    .50:.95; mean_ap_50: at .50 alone. per_class: each label of the bundle; labels that are equal
    are one class. The rest is as in edge_sdk.Evaluation.
    """

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


def evaluate_detections(
    bundle: Bundle,
    data: str | LabelledImages,
    *,
    engine: str = "litert",
    threads: int = 1,
    listen: Listener = ignore,
) -> DetectionEvaluation:
    """Look for things in every image of `data` (coco:ANNOTATIONS.json, or Scenes) with the
    bundle's model. Every score counts, whatever the manifest's thresholds. Labels are matched by
    name.

    Raises ConfigError for a bundle of another task, DataError for images without boxes, labels
    that the bundle does not know or more than 1 % unreadable images, and what opening the source
    and the engine raise.
    """
    if bundle.manifest.task != "detect":
        raise ConfigError(
            f"{bundle.path.name} finds nothing in images: its task is {bundle.manifest.task}",
            fix="measure its accuracy: edge_sdk.evaluate",
        )
    source = open_source(data) if isinstance(data, str) else data
    _check(source, bundle)
    known = training_prefixes(bundle.build)
    with Recognizer.open(bundle, engine, threads=threads, min_score=0.0) as recognizer:
        return evaluate_scenes(recognizer, source, known=known, listen=listen)


def evaluate_scenes(
    recognizer: Recognizer,
    source: LabelledImages,
    *,
    known: frozenset[str] = frozenset(),
    listen: Listener = ignore,
) -> DetectionEvaluation:
    """The same with an open recognizer; `known`: SHA-256 prefixes of the training images."""
    labels = recognizer.labels
    first = {label: labels.index(label) for label in labels}
    precision = AveragePrecision()
    unreadable: list[str] = []
    n = seen = 0
    for done, scene in enumerate(source.images, start=1):
        assert isinstance(scene, Scene)
        try:
            frame = scene.read()
        except (ImageError, FileError) as error:
            unreadable.append(str(error))
            continue
        _add(precision, scene, recognizer(frame).detections or (), source.labels, first)
        n += 1
        seen += int(bool(known) and scene.sha256[:PREFIX] in known)
        listen(Event("progress", "evaluate", done=done, total=len(source.images), unit="images"))
    check_unreadable(unreadable, len(source.images), MAX_UNREADABLE)
    averages, counts = precision.by_class(), precision.counts()
    if not averages:
        raise DataError("no image has anything to be found in it", fix="name other annotations")
    return DetectionEvaluation(
        labels,
        n,
        float(np.mean([values.mean() for values in averages.values()])),
        float(np.mean([values[0] for values in averages.values()])),
        {
            label: ClassPrecision(
                counts.get(number, 0),
                float(averages[number].mean()) if number in averages else None,
            )
            for label, number in first.items()
        },
        tuple(unreadable),
        seen,
        source.part,
        recognizer.info,
        recognizer.golden,
    )


def describe_detections(found: DetectionEvaluation) -> str:
    """The outcome for people: mAP, then each label that there are things of."""
    summary = [
        ["mAP (IoU .50:.95)", share(found.mean_ap)],
        ["mAP (IoU .50)", share(found.mean_ap_50)],
        ["images", str(found.n)],
    ]
    rows = [[label, s.n, share(s.ap)] for label, s in found.per_class.items() if s.n]
    return f"{table(summary)}\n\n{table(rows, head=('class', 'things', 'AP'))}"


def _add(
    precision: AveragePrecision,
    scene: Scene,
    detections: Sequence[Detection],
    names: Sequence[str],
    first: dict[str, int],
) -> None:
    """One image, class by class, by the numbers of the bundle's labels."""
    truths, found = defaultdict(list), defaultdict(list)
    for truth in scene.truths:
        truths[first[names[truth.label]]].append(truth)
    for detection in detections:
        found[first[detection.label]].append(detection)
    for number in sorted({*truths, *found}):
        precision.add(
            number,
            _boxes([truth.box for truth in truths[number]]),
            np.array([truth.crowd for truth in truths[number]], bool),
            _boxes([detection.box for detection in found[number]]),
            np.array([detection.score for detection in found[number]], np.float64),
        )


def _boxes(boxes: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array(boxes, np.float64).reshape(-1, 4)


def _check(source: LabelledImages, bundle: Bundle) -> None:
    if not all(isinstance(sample, Scene) for sample in source.images):
        raise DataError(
            f"{bundle.path.name} answers with boxes, the data has none",
            fix="name boxes: --data coco:ANNOTATIONS.json",
        )
    used = {truth.label for scene in source.images for truth in scene.truths}  # type: ignore[attr-defined]
    strange = [source.labels[i] for i in sorted(used) if source.labels[i] not in bundle.labels]
    if strange:
        raise DataError(
            f"labels that {bundle.path.name} does not know: {', '.join(strange[:10])}",
            fix=f"name the categories as the bundle does: {', '.join(bundle.labels[:20])}",
        )
