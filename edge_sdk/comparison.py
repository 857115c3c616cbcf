"""`compare`: bundles and models measured in turns on this machine, or run records side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.bundle import Bundle, load_model
from edge_sdk.engines import Engine
from edge_sdk.errors import ConfigError, FileError
from edge_sdk.evaluation import evaluate, warnings
from edge_sdk.files import read_file
from edge_sdk.manifest import SequenceEntry
from edge_sdk.measure import Timing, interleaved
from edge_sdk.sources import LabelledPictures, open_source
from edge_sdk.tflite.graph import read_graph
from edge_sdk.trust import open_bare_engine, open_bundle_engine

ROUNDS = 30
ROUND_MS = 20.0

Calls = dict[str, Callable[[], object]]
Progress = Callable[[str], object]
Source = Callable[[SequenceEntry | None], LabelledPictures | None]
"""The pictures to answer, cut as a bundle's sequences are; None where none were named."""


def compare(
    paths: Sequence[str | Path],
    *,
    data: str | None = None,
    engine: str = "litert",
    threads: int = 1,
    rounds: int = ROUNDS,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """The compare document: one row for each path.

    Bundles and .tflite models are measured now, in interleaved rounds: invoke time on the same
    random input. With `data` (a SOURCE) the bundles' accuracy too. run.json and bench.json files
    are shown as they were recorded. A row's `warnings`: what a reader of its accuracy must know.
    progress: takes a line now and then, never while something is timed.
    Raises FileError, ModelError, ConfigError and what opening bundles and engines raise.
    """
    if len(paths) < 2:
        raise ConfigError("one thing only to compare", fix="name two or more bundles or run.json")
    if data is not None and not any(Path(path).suffix == ".edge" for path in paths):
        raise ConfigError(
            "--data needs a bundle: a .tflite has no labels, a record was made already",
            fix="leave --data out, or name a FILE.edge",
        )

    @cache
    def source(sequence: SequenceEntry | None) -> LabelledPictures | None:
        return open_source(data, sequence) if data is not None else None

    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        calls: Calls = {}
        for number, path in enumerate(map(Path, paths)):
            if path.suffix == ".json":
                rows.append(_recorded(path))
                continue
            progress(f"{path}: opening")
            row, opened = _open(path, engine, threads, source, progress)
            rows.append(row)
            calls[str(number)] = _caller(stack.enter_context(opened))
        for name, timing in _timed(calls, rounds, progress).items():
            rows[int(name)]["invoke_ms"] = timing
    return {"schema": "edge-sdk/compare/1", "rounds": rounds, "data": data, "rows": rows}


def _open(
    path: Path, name: str, threads: int, source: Source, progress: Progress
) -> tuple[dict[str, Any], Engine]:
    model, bundle = load_model(path)
    graph = read_graph(model)
    row: dict[str, Any] = {
        "path": str(path),
        "kind": "bundle" if bundle else "model",
        "precision": graph.precision,
        "bytes": len(model),
        "macs": graph.macs,
        "accuracy": None,
        "interval": None,
        "n": None,
        "part": None,
        "seen_in_training": None,
        "unreadable": [],
        "warnings": [],
    }
    if bundle is None:
        engine = open_bare_engine(model, name, threads=threads)
    else:
        engine, _ = open_bundle_engine(bundle, name, threads=threads)
        pictures = source(bundle.manifest.sequence)
        if pictures is not None:
            row |= _accuracy(bundle, pictures, name, threads, progress)
    row["engine"] = engine.info.as_dict()
    return row, engine


def _accuracy(
    bundle: Bundle, source: LabelledPictures, engine: str, threads: int, progress: Progress
) -> dict[str, Any]:
    def show(done: int, total: int) -> None:
        progress(f"{bundle.path}: {done} of {total} pictures")

    found = evaluate(bundle, source, engine=engine, threads=threads, progress=show)
    return {
        "accuracy": found.accuracy,
        "interval": found.interval.as_list(),
        "n": found.n,
        "part": found.part,
        "seen_in_training": found.seen_in_training,
        "unreadable": list(found.unreadable),
        "warnings": warnings(found),
    }


def _caller(engine: Engine) -> Callable[[], object]:
    """A call that runs the engine once; its inputs are set here, so that only invoke is timed."""
    random = np.random.default_rng(0)
    for index, spec in enumerate(engine.inputs):
        value = random.integers(0, 100, spec.shape).astype(spec.dtype)
        engine.set_input(index, value)
    return engine.invoke


def _timed(calls: Calls, rounds: int, progress: Progress) -> dict[str, dict[str, float]]:
    """Median, lowest and highest round in ms. Every round of a model lasts about ROUND_MS, so that
    small models are not timed by one tick of the clock.
    """
    if not calls:
        return {}
    first = interleaved(calls, rounds=3, warmup=3)
    batched = {
        name: _repeat(call, max(1, int(ROUND_MS / max(first[name].median_ms, 1e-3))))
        for name, call in calls.items()
    }
    found = _in_turns({name: call for name, (call, _) in batched.items()}, rounds, progress)
    return {
        name: {
            "median": timing.median_ms / batched[name][1],
            "min": timing.low_ms / batched[name][1],
            "max": timing.high_ms / batched[name][1],
        }
        for name, timing in found.items()
    }


def _in_turns(calls: Calls, rounds: int, progress: Progress) -> dict[str, Timing]:
    """`interleaved`, two rounds (there and back) at a time: progress is shown between them."""
    times: dict[str, tuple[float, ...]] = dict.fromkeys(calls, ())
    for done in range(0, rounds, 2):
        progress(f"measuring: {done} of {rounds} rounds")
        found = interleaved(calls, rounds=min(2, rounds - done), warmup=int(done == 0))
        times = {name: times[name] + timing.rounds_ns for name, timing in found.items()}
    return {name: Timing(rounds_ns) for name, rounds_ns in times.items()}


def _repeat(call: Callable[[], object], times: int) -> tuple[Callable[[], object], int]:
    def repeated() -> None:
        for _ in range(times):
            call()

    return repeated, times


def _recorded(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_file(path, what="run.json"))
        kind = document["schema"].split("/")[1]
        if kind not in ("run", "bench"):
            raise KeyError(kind)
        return {
            "path": str(path),
            "kind": f"recorded {kind}",
            "bundle": document["bundle"],
            "engine": document["engine"],
            "fps": document["fps"],
            "latency": document["latency"],
            "stages": document["stages"],
            "valid": document["valid"],
            "bytes": None,
            "macs": None,
            "precision": None,
            "accuracy": None,
            "interval": None,
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, FileError):
            raise
        raise ConfigError(
            f"{path} is no run.json or bench.json of edge-sdk",
            fix="name a file written by `edge-sdk run --report DIR`",
        ) from error
