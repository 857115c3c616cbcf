"""What every built-in model becomes in int8: its operators, counted in the file, and what is not
int8 in them. The weights are random, the graph is that of a trained model.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.tflite.graph import Graph, Operator, read_graph

SAMPLES = 8
FRAMES = (8, 48, 48, 1)  # recipe moving_digits
MOVING = {"width": 0.25, "depth": 0.5}

WHY = {
    "HARD_SWISH": "int8; not among the operators of the Edge TPU, so it runs on the CPU there",
    "LOGISTIC": "int8, its output in steps of 1/256: the swish of EfficientNet, the gates of cells",
    "UNPACK": "int8; takes an unrolled cell's input apart; not an operator of the Edge TPU",
    "SPLIT": "int8; takes a cell's gates apart",
}
"""Operators that are said something about, where a model has them."""

HEAD = ("model", "input", "operators of the int8 model", "not int8")


def section() -> str:
    """A Markdown section: converts every model (one to two minutes)."""
    rows, seen = [], set[str]()
    for name, shape, graph in _converted():
        counts = Counter(operator.name for operator in graph.operators)
        floats = Counter(o.name for o in graph.operators if not _in_int8(graph, o))
        rows.append((name, " x ".join(map(str, shape)), _counted(counts), _counted(floats) or "-"))
        seen |= counts.keys()
    notes = "\n".join(f"- {name}: {why}." for name, why in WHY.items() if name in seen)
    return (
        "## Operators of the int8 models\n\nEach built-in model at its first size in `edge-sdk "
        "models`, in int8 with int8 inputs and outputs, as its file lists them. All are builtin "
        "operators of one static graph with a batch of 1. An operator counts as int8 where all "
        "that it reads and gives is, "
        f"but for an int32 bias.\n\n{_table(rows)}\n\n{notes}"
    )


def _converted() -> Iterator[tuple[str, tuple[int, ...], Graph]]:
    """(name, input shape, graph of the int8 model) of each."""
    from edge_converter.models import ARCHITECTURES

    for architecture in ARCHITECTURES.values():
        size = architecture.sizes[0]
        options = {} if size.width is None else {"width": size.width}
        for cell in ("lstm", "gru") if len(size.shape) == 2 else ("",):
            yield _one(architecture.name, size.shape, options, cell)
    for cell in ("lstm", "gru"):
        yield _one("edge_net", FRAMES, MOVING, cell)


def _one(
    name: str, shape: tuple[int, ...], options: dict[str, float], cell: str
) -> tuple[str, tuple[int, ...], Graph]:
    from edge_converter import Recipe
    from edge_converter.models import CLASSES, build_model
    from edge_converter.quantize.worker import to_tflite
    from edge_converter.tf.concrete_function import batch_of_one

    table: dict[str, Any] = {"name": "x", "model": {"name": name, "options": options}}
    table["data"] = {"source": "digits"}
    if cell:
        table |= {"task": "sequence", "sequence": {"cell": cell}}
        table["data"] = {"source": "csv:x.csv" if name == "features" else "video:x"}
    model = build_model(Recipe.parse(table), shape, CLASSES)
    samples = np.random.default_rng(0).uniform(-1, 1, (SAMPLES, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "calibration.npy", samples)
        graph = read_graph(to_tflite(batch_of_one(model), "int8", "int8", Path(folder)))
    told = [
        name,
        *(f"{key} {value:g}" for key, value in options.items()),
        *([cell] if cell else []),
    ]
    return ", ".join(told), shape, graph


def _in_int8(graph: Graph, operator: Operator) -> bool:
    used = [graph.tensors[t] for t in (*operator.inputs, *operator.outputs) if t != -1]
    return all(t.dtype == "int8" or (t.dtype == "int32" and t.is_constant) for t in used)


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in names.most_common())


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(section())
