"""How often a bundle is right: accuracy with its interval, per class, and what it confuses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bundle import Bundle
from edge_sdk.console import share, table
from edge_sdk.errors import DataError, ImageError
from edge_sdk.recognizer import Recognizer
from edge_sdk.sources import LabelledPictures, Picture, open_source
from edge_sdk.statistics import Interval, wilson

MOST_UNREADABLE = 0.01
"""Share of unreadable pictures above which an evaluation stops."""

PREFIX = 16
"""Hex digits of a picture's SHA-256 kept in the training record."""


@dataclass(frozen=True)
class ClassScore:
    """One class. recall: None without pictures of it; precision: None if it was never answered."""

    n: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outcome. Shares are 0..1; interval is Wilson's at 95 %.

    confusion: (classes, classes), rows the truth, columns the answers. right: for each picture, in
    order, whether the best class was the label. unreadable: pictures skipped. seen_in_training:
    pictures whose SHA-256 is in the bundle's training record.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]
    in_top5: int
    unreadable: tuple[str, ...] = ()
    seen_in_training: int = 0
    part: str = "all"

    @property
    def n(self) -> int:
        """Pictures answered."""
        return len(self.right)

    @property
    def correct(self) -> int:
        """Pictures answered rightly."""
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
        """Recall and precision for each label."""
        rows, columns = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return {
            label: ClassScore(
                int(rows[i]),
                float(self.confusion[i, i] / rows[i]) if rows[i] else None,
                float(self.confusion[i, i] / columns[i]) if columns[i] else None,
            )
            for i, label in enumerate(self.labels)
        }

    @property
    def macro_f1(self) -> float:
        """Mean over the classes that have pictures of 2 TP / (pictures + answers)."""
        hits = np.diag(self.confusion)
        rows, columns = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        used = rows > 0
        return float(np.mean(2 * hits[used] / (rows[used] + columns[used])))

    def as_dict(self, *, bundle: dict[str, str], engine: dict[str, Any]) -> dict[str, Any]:
        """The evaluate document of CONTRACTS.md."""
        return {
            "schema": "edge-sdk/evaluate/1",
            "bundle": bundle,
            "engine": engine,
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "interval": self.interval.as_list(),
            "top5": self.top5,
            "macro_f1": self.macro_f1,
            "per_class": {
                label: {"n": s.n, "recall": s.recall, "precision": s.precision}
                for label, s in self.per_class.items()
            },
            "mAP": None,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "part": self.part,
            "unreadable": list(self.unreadable),
            "seen_in_training": self.seen_in_training,
        }


def evaluate(
    bundle: Bundle,
    data: str | LabelledPictures,
    *,
    engine: str = "litert",
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Answer every picture of `data` (a SOURCE, or pictures) with the bundle's model.

    The test part is used where the source has one. Labels are matched by name.
    Raises DataError for labels that the bundle does not know or more than 1 % unreadable pictures,
    and what opening the source and the engine raise.
    """
    source = open_source(data) if isinstance(data, str) else data
    _check_labels(source.labels, bundle.labels, bundle.path.name)
    known = training_prefixes(bundle.build)
    with Recognizer.open(bundle, engine, threads=threads) as recognizer:
        return evaluate_pictures(recognizer, source, known=known, progress=progress)


def warnings(found: Evaluation) -> list[str]:
    """What a reader of the accuracy must know."""
    lines = []
    if found.part == "all":
        lines.append("the source has no test part: every picture was used")
    if found.seen_in_training:
        lines.append(
            f"{found.seen_in_training} of {found.n} pictures were in the training set: "
            "the accuracy is too high"
        )
    if found.unreadable:
        lines.append(f"{len(found.unreadable)} pictures skipped: {'; '.join(found.unreadable)}")
    return lines


def describe(found: Evaluation) -> str:
    """The outcome for people: totals, then each class with its recall and precision."""
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
    head = ("class", "pictures", "recall", "precision")
    return f"{table(summary)}\n\n{table(rows, head=head)}"


def evaluate_pictures(
    recognizer: Recognizer,
    source: LabelledPictures,
    *,
    known: frozenset[str] = frozenset(),
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """The same with an open recognizer; `known`: SHA-256 prefixes of the training pictures."""
    labels = recognizer.labels
    number = {label: i for i, label in enumerate(labels)}
    truth = [number[label] for label in source.labels]
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    right: list[bool] = []
    unreadable: list[str] = []
    in_top5 = seen = 0
    for done, picture in enumerate(source.pictures, start=1):
        try:
            recognizer(picture.read())
        except ImageError as error:
            unreadable.append(str(error))
            continue
        order = np.argsort(-recognizer.scores(), kind="stable")
        wanted = truth[picture.label]
        confusion[wanted, order[0]] += 1
        right.append(bool(order[0] == wanted))
        in_top5 += int(wanted in order[:5])
        seen += int(bool(known) and picture.sha256[:PREFIX] in known)
        if progress:
            progress(done, len(source.pictures))
    check_unreadable(unreadable, len(source.pictures), MOST_UNREADABLE)
    if not right:
        raise DataError("no picture could be evaluated", fix="name a source with pictures")
    return Evaluation(
        labels,
        confusion,
        np.array(right, np.bool_),
        in_top5,
        tuple(unreadable),
        seen,
        source.part,
    )


def check_unreadable(unreadable: list[str], total: int, most: float) -> None:
    """Raises DataError when more than a share of `most` of `total` pictures could not be read."""
    if len(unreadable) > most * total:
        shown = "; ".join(unreadable[:5]) + ("; …" if len(unreadable) > 5 else "")
        raise DataError(
            f"{len(unreadable)} of {total} pictures cannot be read (allowed: {most:.1%}): {shown}",
            fix="remove or replace them, or raise data.max_unreadable",
        )


def training_prefixes(build: dict[str, Any]) -> frozenset[str]:
    """The first 16 hex digits of each training picture's SHA-256, from a build record."""
    dataset = build.get("dataset")
    packed = dataset.get("train_sha256_prefixes") if isinstance(dataset, dict) else None
    text = packed if isinstance(packed, str) else ""
    return frozenset(text[i : i + PREFIX] for i in range(0, len(text), PREFIX))


def pack_prefixes(pictures: Iterable[Picture]) -> str:
    """The training record: prefixes of all pictures' SHA-256, sorted, one after another."""
    return "".join(sorted(picture.sha256[:PREFIX] for picture in pictures))


def digest_of(pictures: Iterable[Picture]) -> str:
    """One SHA-256 (hex) for a set of pictures with their labels, whatever their order."""
    lines = sorted(f"{picture.sha256} {picture.label}\n" for picture in pictures)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _check_labels(found: tuple[str, ...], known: tuple[str, ...], bundle: str) -> None:
    strange = [label for label in found if label not in known]
    if strange:
        raise DataError(
            f"labels that {bundle} does not know: {', '.join(strange[:10])}",
            fix=f"name the class folders as the bundle does: {', '.join(known[:20])}",
        )
