"""Accuracy of a classifier with its interval, per class, and the classes that it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.samples import LabelledImages, Sample
from edge_sdk.engines import AUTO
from edge_sdk.errors import DataError
from edge_sdk.evaluation.result import Evaluation, Mistake
from edge_sdk.evaluation.scoring import EvaluationPass, Evaluator, Scorer, evaluate_with, score
from edge_sdk.events import Listener, ignore
from edge_sdk.formatting import share
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Result
from edge_sdk.statistics import wilson
from edge_sdk.tasks import task_of

FEW_IMAGES = 100
"""Test images below which an accuracy's interval is worth a warning: it spans over 10 points
where 90 % are right.
"""

MAX_MISTAKES = 24
"""Wrong answers that the document names, the surest first."""


def evaluate(
    bundle: Bundle,
    data: str | LabelledImages,
    *,
    engine: str = AUTO,
    threads: int = 1,
    prove: bool = False,
    listen: Listener = ignore,
) -> Evaluation:
    """Answer every image of `data` (a SOURCE, or images) with the bundle's model.

    The test part is used where the source has one. Labels are matched by name.
    Raises ConfigError for a detector (evaluate_detections), DataError for labels that the bundle
    does not know or more than 1 % unreadable images, and what opening the source and the engine
    raise. prove: check all golden samples, also where they matched before.
    """
    return evaluate_with(
        ACCURACY, bundle, data, engine=engine, threads=threads, prove=prove, listen=listen
    )


def evaluate_images(
    recognizer: Recognizer,
    source: LabelledImages,
    *,
    known: frozenset[str] = frozenset(),
    listen: Listener = ignore,
) -> Evaluation:
    """The same with an open recognizer; `known`: SHA-256 prefixes of the training images."""
    return score(ACCURACY, recognizer, source, known=known, listen=listen)


def doubts(correct: int, counts: Sequence[int]) -> list[str]:
    """Reasons to doubt an accuracy: guessing does as well, or few images were tested.

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


class _Accuracy(Evaluator[Evaluation]):
    metric: Literal["accuracy"] = "accuracy"
    kind = "a classifier"
    otherwise = "measure its mAP: `edge-sdk evaluate`, or edge_sdk.evaluate_detections"

    def fitted(self, source: LabelledImages, bundle: Bundle) -> LabelledImages:
        _check_kind(source, bundle)
        source = _named(source, bundle.labels)
        _check_labels(source.labels, bundle.labels, bundle.path.name)
        return source

    def scoring(self, recognizer: Recognizer, labels: tuple[str, ...]) -> Scorer[Evaluation]:
        return _Confusion(recognizer, labels)


ACCURACY = _Accuracy()


class _Confusion(Scorer[Evaluation]):
    """Counts answers by truth; labels that are equal are one class, the first of them."""

    def __init__(self, recognizer: Recognizer, names: tuple[str, ...]) -> None:
        labels = self._labels = recognizer.labels
        self._recognizer, self._names = recognizer, names
        self._first = {label: labels.index(label) for label in labels}
        self._same = np.array([self._first[label] for label in labels])
        self._matrix = np.zeros((len(labels), len(labels)), np.int64)
        self._right: list[bool] = []
        self._mistakes: list[Mistake] = []
        self._in_top5 = 0

    def add(self, sample: Sample, result: Result) -> None:
        scores = self._recognizer.scores()
        order = self._same[np.argsort(-scores, kind="stable")]
        wanted = self._first[self._names[sample.label]]
        self._matrix[wanted, order[0]] += 1
        self._right.append(bool(order[0] == wanted))
        self._in_top5 += int(wanted in order[:5])
        if order[0] != wanted:
            mistake = _mistake(sample, self._labels, scores, order[0], wanted)
            self._mistakes = sorted([*self._mistakes, mistake], key=_distance)[:MAX_MISTAKES]

    def outcome(self, done: EvaluationPass) -> Evaluation:
        if not self._right:
            raise DataError("no image could be evaluated", fix="name a source with images")
        return Evaluation(
            self._labels,
            self._matrix,
            np.array(self._right, np.bool_),
            self._in_top5,
            **vars(done),
            mistakes=tuple(self._mistakes),
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
    wanted = task_of(bundle.manifest).sample_type(bundle.manifest.interface)
    found = next((type(s) for s in source.images if type(s) is not wanted), None)
    if found is not None:
        raise DataError(
            f"{bundle.path.name} answers about {wanted.plural}, the data holds {found.plural}",
            fix=wanted.advice,
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
