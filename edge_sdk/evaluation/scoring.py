"""One pass over labelled samples: each is read, answered and scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.sample_sets import MAX_UNREADABLE, PREFIX, check_unreadable, training_prefixes
from edge_sdk.data.samples import LabelledImages, Sample
from edge_sdk.data.sources import open_source
from edge_sdk.engines import EngineInfo
from edge_sdk.errors import ConfigError, FileError, ImageError
from edge_sdk.evaluation.result import EvaluationResult
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.inference.golden import GoldenCheck
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Result
from edge_sdk.tasks import task_of
from edge_sdk.tasks.base import Metric

ResultT = TypeVar("ResultT", bound=EvaluationResult)


@dataclass(frozen=True)
class EvaluationPass:
    """The circumstances of a pass over the samples, the same for every metric."""

    unreadable: tuple[str, ...]
    seen_in_training: int
    part: str
    engine: EngineInfo
    golden: GoldenCheck | None


class Scorer(ABC, Generic[ResultT]):
    """Takes the answers of one model one by one, and then says how good they are."""

    @abstractmethod
    def add(self, sample: Sample, result: Result) -> None:
        """One sample with its answer."""

    @abstractmethod
    def outcome(self, done: EvaluationPass) -> ResultT:
        """The outcome over all samples. Raises DataError where there is none."""


class Evaluator(ABC, Generic[ResultT]):
    """The measurement of a metric, for the tasks that have it.

    kind: of a model that it is for, "a classifier"; otherwise: the way out for others. min_score:
    what the recognizer leaves out meanwhile; None is what the manifest says.
    """

    metric: Metric
    kind: str
    otherwise: str
    min_score: float | None = None

    @abstractmethod
    def fitted(self, source: LabelledImages, bundle: Bundle) -> LabelledImages:
        """The samples with labels as the bundle knows them. Raises DataError where they do not fit
        it.
        """

    @abstractmethod
    def scoring(self, recognizer: Recognizer, labels: tuple[str, ...]) -> Scorer[ResultT]:
        """Scorer for samples whose classes are called `labels`."""


def evaluate_with(
    evaluator: Evaluator[ResultT],
    bundle: Bundle,
    data: str | LabelledImages,
    *,
    engine: str,
    threads: int,
    prove: bool,
    listen: Listener,
) -> ResultT:
    """A bundle's model measured on `data`, a SOURCE or samples.

    Raises ConfigError for a bundle whose task has another metric, DataError for samples that do
    not fit, and what opening the source and the engine raise.
    """
    task = task_of(bundle.manifest)
    if task.metric != evaluator.metric:
        raise ConfigError(
            f"{bundle.path.name} is {task.kind}, not {evaluator.kind}", fix=evaluator.otherwise
        )
    source = open_source(data, bundle.manifest.sequence) if isinstance(data, str) else data
    source = evaluator.fitted(source, bundle)
    known = training_prefixes(bundle.build)
    with Recognizer.open(
        bundle, engine, threads=threads, prove=prove, min_score=evaluator.min_score
    ) as recognizer:
        return score(evaluator, recognizer, source, known=known, listen=listen)


def score(
    evaluator: Evaluator[ResultT],
    recognizer: Recognizer,
    source: LabelledImages,
    *,
    known: frozenset[str] = frozenset(),
    listen: Listener = ignore,
) -> ResultT:
    """The same with an open recognizer; `known`: SHA-256 prefixes of the training samples.

    Raises DataError for more than 1 % of unreadable samples.
    """
    scoring = evaluator.scoring(recognizer, source.labels)
    unreadable: list[str] = []
    seen = 0
    for done, sample in enumerate(source.images, start=1):
        try:
            value = sample.read()
        except (ImageError, FileError) as error:
            unreadable.append(str(error))
            continue
        scoring.add(sample, recognizer(value))
        seen += int(bool(known) and sample.sha256[:PREFIX] in known)
        listen(Event("progress", "evaluate", done=done, total=len(source.images), unit="images"))
    check_unreadable(unreadable, len(source.images), MAX_UNREADABLE)
    return scoring.outcome(
        EvaluationPass(tuple(unreadable), seen, source.part, recognizer.info, recognizer.golden)
    )
