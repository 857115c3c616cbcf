"""Any bundle measured by the metric of its task."""

from __future__ import annotations

from typing import Any

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.sample_sets import skipped_warning
from edge_sdk.data.samples import LabelledImages
from edge_sdk.engines import AUTO
from edge_sdk.evaluation.classification import ACCURACY
from edge_sdk.evaluation.detection import MEAN_AVERAGE_PRECISION
from edge_sdk.evaluation.result import EvaluationResult
from edge_sdk.evaluation.scoring import Evaluator, evaluate_with
from edge_sdk.events import Listener, ignore
from edge_sdk.inference.golden import unproven_warning
from edge_sdk.tasks import task_of
from edge_sdk.tasks.base import Metric

EVALUATORS: dict[Metric, Evaluator[Any]] = {
    evaluator.metric: evaluator for evaluator in (ACCURACY, MEAN_AVERAGE_PRECISION)
}


def evaluate_bundle(
    bundle: Bundle,
    data: str | LabelledImages,
    *,
    engine: str = AUTO,
    threads: int = 1,
    prove: bool = False,
    listen: Listener = ignore,
) -> EvaluationResult:
    """A bundle's model measured on `data`, a SOURCE or samples, by the metric of its task. Raises
    as `evaluate` and `evaluate_detections` do.
    """
    found: EvaluationResult = evaluate_with(
        EVALUATORS[task_of(bundle.manifest).metric],
        bundle,
        data,
        engine=engine,
        threads=threads,
        prove=prove,
        listen=listen,
    )
    return found


def warnings(found: EvaluationResult) -> list[str]:
    """Warnings that go with the figure."""
    unproven = unproven_warning(found.golden)
    lines = [unproven] if unproven else []
    if found.part == "all":
        lines.append("the source has no test part: every image was used")
    if found.seen_in_training:
        lines.append(
            f"{found.seen_in_training} of {found.n} images were in the training set: "
            f"{found.metric} is too high"
        )
    if found.unreadable:
        lines.append(skipped_warning(found.unreadable))
    return lines
