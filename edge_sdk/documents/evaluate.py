"""edge-sdk/evaluate/1: accuracy on labelled images."""

from typing import Literal, TypedDict

from edge_sdk.documents.common import BundleIdentity, Engine, GoldenOutcome, Range


class ClassAccuracy(TypedDict):
    """One class of a classifier."""

    n: int  # images
    recall: float | None  # 0..1; null without images
    precision: float | None  # 0..1; null where it was never answered


class LabelPrecision(TypedDict):
    """One label of a detector."""

    n: int  # annotated objects
    ap: float | None  # average precision, IoU .50:.95, 0..1; null without objects


class Mistake(TypedDict):
    """A wrong answer."""

    name: str
    sha256: str
    truth: str
    answer: str
    score: float  # of the answer
    truth_score: float  # of the right class


class EvaluateHead(TypedDict):
    """The fields of every evaluation."""

    schema: Literal["edge-sdk/evaluate/1"]
    bundle: BundleIdentity
    engine: Engine | None
    golden: GoldenOutcome | None
    n: int  # images answered
    labels: list[str]
    part: str  # the split that was evaluated: "test", "val", "train", or "all"
    unreadable: list[str]  # images that were left out, one line each
    seen_in_training: int  # images whose SHA-256 is in the bundle's training record


class EvaluateClassifier(EvaluateHead):
    """Of a bundle that answers with classes."""

    correct: int  # images
    accuracy: float  # correct / n
    interval: Range  # of the accuracy, after Wilson
    top5: float | None  # share with the label among the five best; null for 5 classes or fewer
    macro_f1: float
    per_class: dict[str, ClassAccuracy]
    mAP: None
    confusion: list[list[int]] | None  # rows truth, columns answers; null above 100 classes
    confusions: list[list[str | int]]  # [truth, answer, images], most frequent first, at most 200
    mistakes: list[Mistake]  # furthest from the truth first, only some


class EvaluateDetector(EvaluateHead):
    """Of a bundle that answers with boxes."""

    accuracy: None
    interval: None
    top5: None
    macro_f1: None
    per_class: dict[str, LabelPrecision]
    mAP: float  # COCO's, IoU .50:.95, 0..1
    mAP_50: float  # at IoU .50, 0..1


Evaluate = EvaluateClassifier | EvaluateDetector
"""Printed by `evaluate`."""
