"""How often a bundle is right: accuracy with its interval, per class, and what it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.sample_sets import (
    MAX_UNREADABLE,
    PREFIX,
    check_unreadable,
    skipped_warning,
    training_prefixes,
)
from edge_sdk.data.samples import Clip, FeatureRow, Image, LabelledImages, Sample, Scene
from edge_sdk.data.sources import open_source
from edge_sdk.errors import ConfigError, DataError, FileError, ImageError
from edge_sdk.evaluation.detection import DetectionEvaluation, describe_detections
from edge_sdk.evaluation.result import Evaluation, Mistake
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.formatting import share, table
from edge_sdk.inference.golden import unproven_warning
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.statistics import wilson

FEW_IMAGES = 100
"""Test images below which an accuracy's interval is worth a warning: it spans over 10 points
where 90 % are right.
"""

MAX_MISTAKES = 24
"""Wrong answers that the document names, the surest first."""

_KINDS = {
    Image: ("single images", "name images: --data folder:PATH"),
    Clip: ("clips of a video", "name clips: --data video:PATH"),
    FeatureRow: ("rows of features", "name rows: --data csv:PATH"),
    Scene: ("images with boxes", "name boxes: --data coco:PATH"),
}
"""What a sample is for people, and where such are from."""

_SHOWN = 5
"""Of these, so many for people."""


def evaluate(
    bundle: Bundle,
    data: str | LabelledImages,
    *,
    engine: str = "litert",
    threads: int = 1,
    listen: Listener = ignore,
) -> Evaluation:
    """Answer every image of `data` (a SOURCE, or images) with the bundle's model.

    The test part is used where the source has one. Labels are matched by name.
    Raises ConfigError for a bundle that answers with boxes (evaluate_detections), DataError for
    labels that the bundle does not know or more than 1 % unreadable images, and what opening the
    source and the engine raise.
    """
    if bundle.manifest.task == "detect":
        raise ConfigError(
            f"{bundle.path.name} answers with boxes: there is no accuracy, but mAP",
            fix="use `edge-sdk evaluate`, or edge_sdk.evaluate_detections",
        )
    source = open_source(data, bundle.manifest.sequence) if isinstance(data, str) else data
    _check_kind(source, bundle)
    source = _named(source, bundle.labels)
    _check_labels(source.labels, bundle.labels, bundle.path.name)
    known = training_prefixes(bundle.build)
    with Recognizer.open(bundle, engine, threads=threads) as recognizer:
        return evaluate_images(recognizer, source, known=known, listen=listen)


def warnings(found: Evaluation | DetectionEvaluation) -> list[str]:
    """What a reader of the accuracy, or of mAP, must know."""
    unproven = unproven_warning(found.golden)
    lines = [unproven] if unproven else []
    if found.part == "all":
        lines.append("the source has no test part: every image was used")
    if found.seen_in_training:
        lines.append(
            f"{found.seen_in_training} of {found.n} images were in the training set: "
            f"{'mAP' if isinstance(found, DetectionEvaluation) else 'the accuracy'} is too high"
        )
    if found.unreadable:
        lines.append(skipped_warning(found.unreadable))
    return lines


def doubts(correct: int, counts: Sequence[int]) -> list[str]:
    """What makes an accuracy worth little: as much comes from guessing, or few images were tried.

    correct: images answered rightly; counts: test images of each class.
    """
    n, most = sum(counts), max(counts)
    interval = wilson(correct, n)
    between = f"{share(interval.low, 1)} to {share(interval.high, 1)} (95 % interval)"
    lines = []
    if interval.low <= most / n:
        lines.append(
            f"the accuracy may be that of guessing: it is {between}, and always answering the most "
            f"frequent class is right in {share(most / n, 1)}"
        )
    if n < FEW_IMAGES:
        lines.append(f"only {n} test images: the accuracy is known as {between}, no better")
    return lines


def describe(found: Evaluation | DetectionEvaluation) -> str:
    """The outcome for people: totals, then each class with its recall and precision, or AP."""
    if isinstance(found, DetectionEvaluation):
        return describe_detections(found)
    interval = found.interval
    summary = [
        ["accuracy", f"{share(found.accuracy)} ({found.correct} of {found.n})"],
        ["95 % interval", f"{share(interval.low)} to {share(interval.high)}"],
        ["macro F1", f"{found.macro_f1:.4f}"],
    ]
    if found.top5 is not None:
        summary.append(["top 5", share(found.top5)])
    rows = [
        [label, score.n, share(score.recall), share(score.precision)]
        for label, score in found.per_class.items()
        if score.n
    ]
    head = ("class", "images", "recall", "precision")
    parts = [table(summary), table(rows, head=head)]
    if found.mistakes:
        wrong = [
            [mistake.name, mistake.truth, f"{mistake.answer} {mistake.score:.3f}"]
            for mistake in found.mistakes[:_SHOWN]
        ]
        parts.append(table(wrong, head=("surest mistakes", "truth", "answer")))
    return "\n\n".join(parts)


def evaluate_images(
    recognizer: Recognizer,
    source: LabelledImages,
    *,
    known: frozenset[str] = frozenset(),
    listen: Listener = ignore,
) -> Evaluation:
    """The same with an open recognizer; `known`: SHA-256 prefixes of the training images."""
    labels = recognizer.labels
    first = {label: labels.index(label) for label in labels}
    same = np.array([first[label] for label in labels])
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    right: list[bool] = []
    mistakes: list[Mistake] = []
    unreadable: list[str] = []
    in_top5 = seen = 0
    for done, image in enumerate(source.images, start=1):
        try:
            frame = image.read()
        except (ImageError, FileError) as error:
            unreadable.append(str(error))
            continue
        recognizer(frame)
        scores = recognizer.scores()
        order = same[np.argsort(-scores, kind="stable")]
        wanted = first[source.labels[image.label]]
        confusion[wanted, order[0]] += 1
        right.append(bool(order[0] == wanted))
        if order[0] != wanted:
            mistakes.append(_mistake(image, labels, scores, order[0], wanted))
            mistakes = sorted(mistakes, key=_distance)[:MAX_MISTAKES]
        in_top5 += int(wanted in order[:5])
        seen += int(bool(known) and image.sha256[:PREFIX] in known)
        listen(Event("progress", "evaluate", done=done, total=len(source.images), unit="images"))
    check_unreadable(unreadable, len(source.images), MAX_UNREADABLE)
    if not right:
        raise DataError("no image could be evaluated", fix="name a source with images")
    return Evaluation(
        labels,
        confusion,
        np.array(right, np.bool_),
        in_top5,
        tuple(unreadable),
        seen,
        source.part,
        recognizer.info,
        recognizer.golden,
        tuple(mistakes),
    )


def _mistake(
    sample: Sample, labels: tuple[str, ...], scores: NDArray[np.float32], answer: int, truth: int
) -> Mistake:
    return Mistake(
        sample.name,
        sample.sha256,
        labels[truth],
        labels[answer],
        float(scores[answer]),
        float(scores[truth]),
    )


def _distance(mistake: Mistake) -> float:
    """Sorts the surest wrong answer first."""
    return mistake.truth_score - mistake.score


def _check_kind(source: LabelledImages, bundle: Bundle) -> None:
    """Images, clips and features each need a model that answers about such."""
    manifest = bundle.manifest
    if manifest.input.preprocess is None:
        wanted: type[Sample] = FeatureRow
    else:
        wanted = Image if manifest.sequence is None else Clip
    found = next((type(s) for s in source.images if type(s) is not wanted), None)
    if found is not None:
        (answers, use), (holds, _) = _KINDS[wanted], _KINDS[found]
        raise DataError(
            f"{bundle.path.name} answers about {answers}, the data holds {holds}", fix=use
        )


def _named(source: LabelledImages, names: tuple[str, ...]) -> LabelledImages:
    """Numbers take the bundle's names at their places, where there are as many (`data.labels`), and
    where they sort as text as they do as numbers. Labels of which one is known are left alone.
    """
    found = source.labels
    numbers = source.numbered and all(label.isdecimal() for label in found)
    in_order = numbers and list(found) == sorted(found, key=int)
    if not in_order or len(found) != len(names) or set(found) & set(names):
        return source
    return replace(source, labels=names)


def _check_labels(found: tuple[str, ...], known: tuple[str, ...], bundle: str) -> None:
    strange = [label for label in found if label not in known]
    if strange:
        raise DataError(
            f"labels that {bundle} does not know: {', '.join(strange[:10])}",
            fix=f"name the class folders as the bundle does: {', '.join(known[:20])}",
        )
