"""`compare`: bundles and models measured in interleaved rounds, or run records side by side."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_sdk.bundle.reading import Bundle, load_model
from edge_sdk.comparison.ranking import ComparisonEntry, EvaluationSetup, Timed, rank, unranked
from edge_sdk.comparison.rounds import ROUNDS, Call, timed
from edge_sdk.comparison.timing import Timing
from edge_sdk.data.samples import LabelledImages, Value
from edge_sdk.data.sources import open_source
from edge_sdk.engines import AUTO, Engine
from edge_sdk.errors import ConfigError, FileError, ImageError
from edge_sdk.evaluation.classification import evaluate
from edge_sdk.evaluation.metrics import warnings
from edge_sdk.evaluation.result import Evaluation
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.files import read_file
from edge_sdk.inference.admission import open_bare_engine, open_bundle_engine
from edge_sdk.inference.recognizer import open_preprocessor
from edge_sdk.model.interface import SequenceEntry
from edge_sdk.statistics import median_interval
from edge_sdk.tflite.graph import read_graph

if TYPE_CHECKING:
    from edge_sdk.documents.compare import Compare, MeasuredRow, RecordedRow, Times

Source = Callable[[SequenceEntry | None], LabelledImages | None]
"""The images to answer, cut as a bundle's sequences are; None where none were named."""

_RECORDED: dict[str, Literal["recorded run", "recorded bench"]] = {
    "run": "recorded run",
    "bench": "recorded bench",
}


def compare(
    paths: Sequence[str | Path],
    *,
    data: str | None = None,
    engine: str = AUTO,
    threads: int = 1,
    rounds: int = ROUNDS,
    listen: Listener = ignore,
) -> Compare:
    """The compare document: one row for each path.

    Bundles and .tflite models are measured now, in interleaved rounds: `invoke_ms` on a constant
    input. With `data` (a SOURCE) also the bundles' accuracy, `cost_ms` (preprocess + invoke on the
    first image) and dominance (comparison/dominance.py): `dominated_by` over accuracy, cost_ms and
    stored_bytes, `dominated_in` over accuracy and one cost; null where a row is not ranked.
    run.json and bench.json files are shown as they were recorded. Field by field:
    edge_sdk/documents/compare.py.
    listen: is told now and then, never while something is timed.
    Raises FileError, ModelError, ConfigError and what opening bundles and engines raise.
    """
    if len(paths) < 2:
        raise ConfigError(
            "compare needs two or more files", fix="name two or more bundles or run.json"
        )
    if data is not None and not any(Path(path).suffix == ".edge" for path in paths):
        raise ConfigError(
            "--data needs a bundle: a .tflite has no labels, a record was made already",
            fix="leave --data out, or name a FILE.edge",
        )

    @cache
    def source(sequence: SequenceEntry | None) -> LabelledImages | None:
        return open_source(data, sequence) if data is not None else None

    rows: list[MeasuredRow | RecordedRow] = []
    entries: list[ComparisonEntry] = []
    with ExitStack() as stack:
        for path in map(Path, paths):
            if path.suffix == ".json":
                rows.append(_recorded(path))
                continue
            listen(Event("progress", str(path), "opening"))
            entries.append(_open(path, engine, threads, source, listen, stack))
            rows.append(entries[-1].row)
        _time(entries, rounds, listen)
    rank(entries)
    return {"schema": "edge-sdk/compare/1", "rounds": rounds, "data": data, "rows": rows}


def _open(
    path: Path,
    name: str,
    threads: int,
    source: Source,
    listen: Listener,
    stack: ExitStack,
) -> ComparisonEntry:
    model, bundle = load_model(path)
    if bundle is None:
        engine = stack.enter_context(open_bare_engine(model, name, threads=threads))
        return ComparisonEntry(_row(path, model, None, engine), {"invoke_ms": _invoke(engine)})
    engine, _ = open_bundle_engine(bundle, name, threads=threads)
    stack.enter_context(engine)
    row = _row(path, model, bundle, engine)
    images = source(bundle.manifest.sequence)
    if images is None:
        return ComparisonEntry(row, {"invoke_ms": _invoke(engine)})
    found = _evaluated(bundle, images, name, threads, listen)
    _add_accuracy(row, found)
    labels, manifest = tuple(sorted(bundle.labels)), bundle.manifest
    setup = EvaluationSetup(manifest.task, labels, manifest.sequence, found.unreadable)
    cost = _cost(engine, bundle, images)
    calls: dict[Timed, Call] = {"invoke_ms": engine.invoke, "cost_ms": cost}
    return ComparisonEntry(row, calls, found.right, setup)


def _row(path: Path, model: bytes, bundle: Bundle | None, engine: Engine) -> MeasuredRow:
    graph = read_graph(model)
    return {
        "path": str(path),
        "kind": "bundle" if bundle else "model",
        "precision": graph.precision,
        "bytes": len(model),
        "stored_bytes": _stored_bytes(bundle) if bundle else len(model),
        "bundle_bytes": path.stat().st_size if bundle else None,
        "macs": graph.macs,
        **unranked(),
        "engine": engine.info.as_dict(),
    }


def _stored_bytes(bundle: Bundle) -> int:
    """Size of the model in the bundle's file, in bytes: smaller where it is compressed."""
    with zipfile.ZipFile(bundle.path) as archive:
        return archive.getinfo(bundle.manifest.plain.file).compress_size


def _evaluated(
    bundle: Bundle, source: LabelledImages, engine: str, threads: int, listen: Listener
) -> Evaluation:
    def named(event: Event) -> None:
        listen(replace(event, stage=str(bundle.path)))

    return evaluate(bundle, source, engine=engine, threads=threads, listen=named)


def _add_accuracy(row: MeasuredRow, found: Evaluation) -> None:
    row["accuracy"] = found.accuracy
    row["interval"] = found.interval.as_list()
    row["n"] = found.n
    row["part"] = found.part
    row["seen_in_training"] = found.seen_in_training
    row["unreadable"] = list(found.unreadable)
    row["warnings"] = warnings(found)


def _invoke(engine: Engine) -> Call:
    """A call that runs the engine once; its inputs are set here, so that only invoke is timed."""
    random = np.random.default_rng(0)
    for index, spec in enumerate(engine.inputs):
        value = random.integers(0, 100, spec.shape).astype(spec.dtype)
        engine.set_input(index, value)
    return engine.invoke


def _cost(engine: Engine, bundle: Bundle, source: LabelledImages) -> Call:
    """A call that preprocesses the first image that can be read, and runs the engine on it."""
    preprocess = open_preprocessor(bundle.manifest.input.preprocess, engine.inputs[0])
    value = _first_value(source)

    def call() -> None:
        engine.fill(0, lambda tensor: preprocess(value, tensor))
        engine.invoke()

    call()  # invoke alone is timed on this image too, whichever call comes first
    return call


def _first_value(source: LabelledImages) -> Value:
    for sample in source.images:
        try:
            return sample.read()
        except (ImageError, FileError):
            continue
    raise AssertionError("an evaluated source has an image that can be read")


def _time(entries: Sequence[ComparisonEntry], rounds: int, listen: Listener) -> None:
    """Fill in every row's times in ms: median, lowest and highest round, and the 95 % interval of
    the median (null for fewer than 6 rounds).
    """
    jobs = [(one, key, call) for one in entries for key, call in one.calls.items()]
    calls = {str(number): call for number, (_, _, call) in enumerate(jobs)}
    for (one, key, _), timing in zip(jobs, timed(calls, rounds, listen).values(), strict=True):
        one.times[key] = timing
        one.row[key] = _times(timing)


def _times(timing: Timing) -> Times:
    between = median_interval(timing.rounds_ns)
    return {
        "median": timing.median_ms,
        "min": timing.low_ms,
        "max": timing.high_ms,
        "interval": [between.low / 1e6, between.high / 1e6] if between else None,
    }


def _recorded(path: Path) -> RecordedRow:
    try:
        document = json.loads(read_file(path, what="run.json"))
        return {
            "path": str(path),
            "kind": _RECORDED[document["schema"].split("/")[1]],
            "bundle": document["bundle"],
            "engine": document["engine"],
            "fps": document["fps"],
            "latency": document["latency"],
            "stages": document["stages"],
            "valid": document["valid"],
            "bytes": None,
            "stored_bytes": None,
            "bundle_bytes": None,
            "macs": None,
            "precision": None,
            **unranked(),
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, FileError):
            raise
        raise ConfigError(
            f"{path} is no run.json or bench.json of edge-sdk",
            fix="name a file written by `edge-sdk run --report DIR`",
        ) from error
