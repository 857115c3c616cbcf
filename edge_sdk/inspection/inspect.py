"""`inspect`: what is in a bundle, a .tflite model or a folder of images, without running it.

Other kinds by file suffix come from packages, under the entry point group "edge_sdk.inspectors":
SUFFIX = a function from the path to a document.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edge_sdk.bundle.reading import Bundle, load_model
from edge_sdk.configuration import as_dict
from edge_sdk.errors import FileError, MissingPackage
from edge_sdk.events import Listener, ignore
from edge_sdk.files import is_folder
from edge_sdk.inspection.folder import inspect_folder
from edge_sdk.tflite.graph import Graph, read_graph
from edge_sdk.tflite.metadata import read_metadata

if TYPE_CHECKING:
    from edge_sdk.documents.inspect import Graph as GraphRecord
    from edge_sdk.documents.inspect import Inspect, InspectBundle, InspectModel, Metadata

_GROUP = "edge_sdk.inspectors"
_BY_CONVERTER = ("toml",)
"""Known even where the converter is not installed, so that the error can say so."""


def inspect(path: str | Path, listen: Listener = ignore) -> Inspect:
    """The inspect document of a path; `kind` says what it was. listen: is told how many
    images of a folder are done.

    Raises FileError, BundleError, ModelError, DataError, MissingPackage.
    """
    path = Path(path)
    if is_folder(path):
        return inspect_folder(path, listen)
    suffix = path.suffix[1:]
    if suffix in _BY_CONVERTER or suffix in importlib.metadata.entry_points(group=_GROUP).names:
        return _by_package(path)
    model, bundle = load_model(path)
    graph = read_graph(model)
    return _model(path, model, graph) if bundle is None else _bundle(path, model, graph, bundle)


def _model(path: Path, model: bytes, graph: Graph) -> InspectModel:
    metadata = read_metadata(model, graph)
    found = {"labels": len(metadata.labels), "mean": metadata.mean, "std": metadata.std}
    return {
        "schema": "edge-sdk/inspect/1",
        "path": str(path),
        "kind": "model",
        "bytes": len(model),
        "graph": _graph(graph),
        "metadata": cast("Metadata", as_dict(found)),
    }


def _bundle(path: Path, model: bytes, graph: Graph, bundle: Bundle) -> InspectBundle:
    manifest = as_dict(bundle.manifest)
    manifest["golden"]["from"] = manifest["golden"].pop("origin")
    for key in ("inputs", "signature"):  # only of models with several
        if not manifest[key]:
            del manifest[key]
    return {
        "schema": "edge-sdk/inspect/1",
        "path": str(path),
        "kind": "bundle",
        "bytes": len(model),
        "graph": _graph(graph),
        "bundle": bundle.identity,
        "manifest": manifest,
        "labels": list(bundle.labels),
        "accuracy": {
            "float": _accuracy(bundle.build.get("float")),
            "converted": _accuracy(bundle.build.get("converted")),
        },
    }


def _accuracy(side: object) -> Any:
    """As a build record has it; None where the record, which may be anybody's, has another form."""
    return side.get("accuracy") if isinstance(side, dict) else None


def _graph(graph: Graph) -> GraphRecord:
    return {
        "precision": graph.precision,
        "macs": graph.macs,
        "operators": dict(Counter(operator.name for operator in graph.operators)),
        "subgraphs": graph.subgraphs,
        "inputs": [as_dict(spec) for spec in graph.input_specs],
        "outputs": [as_dict(spec) for spec in graph.output_specs],
    }


def _by_package(path: Path) -> Inspect:
    if not path.exists():
        raise FileError(f"{path} does not exist", fix="check the path")
    found = importlib.metadata.entry_points(group=_GROUP, name=path.suffix[1:])
    if not found:
        raise MissingPackage(
            f"inspecting a {path.suffix} file needs edge-sdk-converter, which is not installed",
            fix="pip install edge-sdk-converter",
        )
    inspector: Callable[[Path], Inspect] = next(iter(found)).load()
    return inspector(path)
