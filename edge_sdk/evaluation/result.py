"""The outcome of an evaluation: accuracy with its interval, each class, and what is confused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.engines import EngineInfo
from edge_sdk.formatting import share, table
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.statistics import Interval, wilson

if TYPE_CHECKING:
    from edge_sdk.documents.common import BundleIdentity
    from edge_sdk.documents.evaluate import (
        ClassAccuracy,
        Evaluate,
        EvaluateClassifier,
        EvaluateHead,
    )
    from edge_sdk.documents.evaluate import Mistake as MistakeEntry

MAX_MATRIX = 100
"""Classes up to which the document has the whole confusion matrix: 1,001 of them take 6 MB."""

SHOWN = 5
"""Mistakes that people are shown."""

MAX_CONFUSIONS = 200
"""Confused pairs that the document lists, most frequent first."""


@dataclass(frozen=True)
class ClassScore:
    """One class. recall: None without images of it; precision: None if it was never answered."""

    n: int
    recall: float | None
    precision: float | None

    def as_dict(self) -> ClassAccuracy:
        """The JSON form."""
        return {"n": self.n, "recall": self.recall, "precision": self.precision}


@dataclass(frozen=True)
class Mistake:
    """A wrong answer. score, truth_score: what the model gave the answer and the truth."""

    name: str
    sha256: str
    truth: str
    answer: str
    score: float
    truth_score: float

    def as_dict(self) -> MistakeEntry:
        """The JSON form."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "truth": self.truth,
            "answer": self.answer,
            "score": self.score,
            "truth_score": self.truth_score,
        }


class EvaluationResult(ABC):
    """The outcome of an evaluation, by whatever metric; `metric` names it in sentences.

    n: samples answered. unreadable: samples skipped. seen_in_training: samples whose SHA-256 is in
    the bundle's training record. part: "test", or "all". engine, golden: what answered, and how the
    bundle's samples came out on it.
    """

    metric: ClassVar[str]
    labels: tuple[str, ...]
    unreadable: tuple[str, ...]
    seen_in_training: int
    part: str
    engine: EngineInfo | None
    golden: GoldenCheck | None
    n: int

    @abstractmethod
    def as_dict(self, *, bundle: BundleIdentity) -> Evaluate:
        """The evaluate document of docs/contracts.md."""

    @abstractmethod
    def describe(self) -> str:
        """The outcome for people."""


@dataclass(frozen=True, eq=False)
class Evaluation(EvaluationResult):
    """The outcome for a classifier. Shares are 0..1; interval is Wilson's at 95 %.

    confusion: (classes, classes), rows the truth, columns the answers; labels that are equal are
    one class, the first of them. right: for each image, in order, whether the best class was the
    label. mistakes: wrong answers, those furthest from the truth first, only some of them. The rest
    is as in EvaluationResult.
    """

    metric: ClassVar[str] = "the accuracy"

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]
    in_top5: int
    unreadable: tuple[str, ...] = ()
    seen_in_training: int = 0
    part: str = "all"
    engine: EngineInfo | None = None
    golden: GoldenCheck | None = None
    mistakes: tuple[Mistake, ...] = ()

    @property
    def n(self) -> int:  # type: ignore[override]
        """Images answered."""
        return len(self.right)

    @property
    def correct(self) -> int:
        """Images answered rightly."""
        return int(self.right.sum())

    @property
    def accuracy(self) -> float:
        """correct / n."""
        return self.correct / self.n

    @property
    def interval(self) -> Interval:
        """95 % interval of the accuracy."""
        return wilson(self.correct, self.n)

    @property
    def top5(self) -> float | None:
        """Share with the label among the five best; None for five classes or fewer."""
        return self.in_top5 / self.n if len(self.labels) > 5 else None

    @property
    def per_class(self) -> dict[str, ClassScore]:
        """Recall and precision for each label; of equal ones the second is called "LABEL (2)"."""
        rows, columns = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return {
            label: ClassScore(
                int(rows[i]),
                float(self.confusion[i, i] / rows[i]) if rows[i] else None,
                float(self.confusion[i, i] / columns[i]) if columns[i] else None,
            )
            for i, label in enumerate(_distinct(self.labels))
        }

    @property
    def confusions(self) -> list[tuple[str, str, int]]:
        """(truth, answer, images) of wrong answers, most frequent first."""
        wrong = self.confusion * ~np.eye(len(self.labels), dtype=bool)
        pairs = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda pair: -wrong[pair])
        return [(self.labels[i], self.labels[j], int(wrong[i, j])) for i, j in pairs]

    @property
    def macro_f1(self) -> float:
        """Mean over the classes that have images of 2 TP / (images + answers)."""
        hits = np.diag(self.confusion)
        rows, columns = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        used = rows > 0
        return float(np.mean(2 * hits[used] / (rows[used] + columns[used])))

    def as_dict(self, *, bundle: BundleIdentity) -> EvaluateClassifier:
        """The evaluate document of docs/contracts.md. confusion: null above 100 classes."""
        small = len(self.labels) <= MAX_MATRIX
        return {
            **common(self, bundle),
            "correct": self.correct,
            "accuracy": self.accuracy,
            "interval": self.interval.as_list(),
            "top5": self.top5,
            "macro_f1": self.macro_f1,
            "per_class": {label: score.as_dict() for label, score in self.per_class.items()},
            "mAP": None,
            "confusion": self.confusion.tolist() if small else None,
            "confusions": [list(pair) for pair in self.confusions[:MAX_CONFUSIONS]],
            "mistakes": [mistake.as_dict() for mistake in self.mistakes],
        }

    def describe(self) -> str:
        """The outcome for people: totals, then each class with its recall and precision."""
        interval = self.interval
        summary = [
            ["accuracy", f"{share(self.accuracy)} ({self.correct} of {self.n})"],
            ["95 % interval", f"{share(interval.low)} to {share(interval.high)}"],
            ["macro F1", f"{self.macro_f1:.4f}"],
        ]
        if self.top5 is not None:
            summary.append(["top 5", share(self.top5)])
        rows = [
            [label, score.n, share(score.recall), share(score.precision)]
            for label, score in self.per_class.items()
            if score.n
        ]
        head = ("class", "images", "recall", "precision")
        parts = [table(summary), table(rows, head=head)]
        if self.mistakes:
            wrong = [
                [mistake.name, mistake.truth, f"{mistake.answer} {mistake.score:.3f}"]
                for mistake in self.mistakes[:SHOWN]
            ]
            parts.append(table(wrong, head=("surest mistakes", "truth", "answer")))
        return "\n\n".join(parts)


def common(found: EvaluationResult, bundle: BundleIdentity) -> EvaluateHead:
    """The fields of the evaluate document that all metrics share."""
    return {
        "schema": "edge-sdk/evaluate/1",
        "bundle": bundle,
        "engine": found.engine.as_dict() if found.engine else None,
        "golden": found.golden.as_dict() if found.golden else None,
        "n": found.n,
        "labels": list(found.labels),
        "part": found.part,
        "unreadable": list(found.unreadable),
        "seen_in_training": found.seen_in_training,
    }


def _distinct(labels: Sequence[str]) -> list[str]:
    """The labels with a number after each that stood there before."""
    names: dict[str, None] = {}
    for label in labels:
        name, number = label, 1
        while name in names:
            number += 1
            name = f"{label} ({number})"
        names[name] = None
    return list(names)
