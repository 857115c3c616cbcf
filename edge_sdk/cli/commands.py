"""Core's commands: predict, evaluate, compare, inspect, boards, engines, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sdk import formatting
from edge_sdk.cli import console
from edge_sdk.cli.options import engine_option, prove_option, threads_option

if TYPE_CHECKING:
    from edge_sdk.documents.engines import Engines
    from edge_sdk.documents.predict import ImageAnswer

_THREADS = threads_option(1)


@click.command()
@click.argument("bundle", type=console.PATH)
@click.argument("images", nargs=-1, required=True, type=console.PATH)
@click.option(
    "--annotate",
    metavar="DIR",
    type=console.PATH,
    help="Folder for annotated copies.",
)
@engine_option
@_THREADS
@prove_option
@console.json_option
def predict(
    bundle: Path,
    images: tuple[Path, ...],
    annotate: Path | None,
    engine: str,
    threads: int,
    prove: bool,
    as_json: bool,
) -> None:
    """Run BUNDLE (FILE.edge) on IMAGES, which are files or folders of them."""
    from edge_sdk.inference.predict import predict as answer_images

    found = answer_images(
        bundle, images, engine=engine, threads=threads, prove=prove, annotate=annotate
    )
    for line in found.warnings:
        console.warn(line)
    document = found.document
    rows = [[entry["path"], _answer(entry)] for entry in document["results"]]
    console.answer(document, formatting.table(rows), as_json=as_json)


@click.command()
@click.argument("bundle", type=console.PATH)
@click.option(
    "--data",
    required=True,
    metavar="SOURCE",
    help="folder:PATH, digits or keras:NAME; for detectors coco:ANNOTATIONS.json.",
)
@engine_option
@_THREADS
@prove_option
@console.json_option
def evaluate(
    bundle: Path, data: str, engine: str, threads: int, prove: bool, as_json: bool
) -> None:
    """Accuracy of BUNDLE on the images of SOURCE; mAP for detectors."""
    from edge_sdk.bundle.reading import Bundle
    from edge_sdk.evaluation.metrics import evaluate_bundle, warnings

    with console.Terminal() as terminal, Bundle.open(bundle) as opened:
        found = evaluate_bundle(
            opened,
            data,
            engine=engine,
            threads=threads,
            prove=prove,
            listen=terminal,
        )
        document = found.as_dict(bundle=opened.identity)
    for line in warnings(found):
        console.warn(line)
    console.answer(document, found.describe(), as_json=as_json)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=console.PATH)
@click.option("--data", metavar="SOURCE", help="Also measure the bundles' accuracy on SOURCE.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 256),
    default=30,
    show_default=True,
    help="Interleaved rounds.",
)
@click.option(
    "--report",
    metavar="DIR",
    type=console.PATH,
    help="Folder for compare.json and report.html, with Pareto plots.",
)
@engine_option
@_THREADS
@console.json_option
def compare(
    paths: tuple[Path, ...],
    data: str | None,
    rounds: int,
    report: Path | None,
    engine: str,
    threads: int,
    as_json: bool,
) -> None:
    """Compare bundles and .tflite models, measured now in interleaved rounds, or run.json files."""
    from edge_sdk.comparison.compare import compare as run_comparison
    from edge_sdk.report import prepare_folder
    from edge_sdk.report.comparison_page import write_comparison
    from edge_sdk.report.comparison_text import describe

    if report is not None:
        prepare_folder(report)
    with console.Terminal() as terminal:
        document = run_comparison(
            paths, data=data, engine=engine, threads=threads, rounds=rounds, listen=terminal
        )
    for row in document["rows"]:
        for line in row["warnings"]:
            console.warn(f"{row['path']}: {line}")
    if report is not None:
        write_comparison(report, document)
    console.answer(document, describe(document), as_json=as_json)


@click.command()
@click.argument("path", type=console.PATH)
@click.option(
    "--report",
    metavar="DIR",
    type=console.PATH,
    help="Folder for inspect.json and report.html, with contact sheets.",
)
@console.json_option
def inspect(path: Path, report: Path | None, as_json: bool) -> None:
    """Show what is in PATH: a bundle, a .tflite model, a recipe or a folder of images."""
    from edge_sdk.inspection.folder import describe_folder
    from edge_sdk.inspection.folder_page import write_inspection
    from edge_sdk.inspection.inspect import inspect as look_at
    from edge_sdk.report import prepare_folder

    if report is not None:
        prepare_folder(report)
    with console.Terminal() as terminal:
        document = look_at(path, terminal)
    text = formatting.outline(document)
    if document["kind"] == "folder":
        text = describe_folder(document)
        for line in document["warnings"]:
            console.warn(line)
    if report is not None:
        write_inspection(report, path, document)
    console.answer(document, text, as_json=as_json)


@click.command()
@click.argument("name", required=False)
@console.json_option
def boards(name: str | None, as_json: bool) -> None:
    """List boards and accelerators, every figure with its source; NAME shows one of them."""
    import edge_hardware

    document = edge_hardware.boards_document(name)
    console.answer(document, edge_hardware.describe(document), as_json=as_json)


@click.command()
@console.json_option
def engines(as_json: bool) -> None:
    """List interpreters, whether each works here (it is tried), and why not."""
    from edge_sdk.engines import list_engines

    found = list_engines()
    document: Engines = {
        "schema": "edge-sdk/engines/1",
        "engines": [status.as_dict() for status in found],
    }
    rows = [
        [s.name, s.version or "-", "usable" if s.usable else f"no: {s.because}", s.fix or s.help]
        for s in found
    ]
    text = formatting.table(rows, head=("engine", "version", "here", "about"))
    console.answer(document, text, as_json=as_json)


@click.command()
@click.option(
    "--out",
    metavar="DIR",
    type=console.PATH,
    default=Path("edge-sdk-demo"),
    show_default=True,
    help="Folder for the bundle, the records and the report.",
)
@console.json_option
def demo(out: Path, as_json: bool) -> None:
    """The whole path on handwritten digits: train, convert, verify, pack, stream, report."""
    from edge_sdk.cli.demo import demo as run_demo
    from edge_sdk.cli.demo import describe

    document = run_demo(out)
    console.answer(document, describe(document), as_json=as_json)


def _answer(entry: ImageAnswer) -> str:
    """The three best classes, or all that was found in the image."""
    named = [*entry["classes"][:3], *entry["detections"]]
    return "  ".join(f"{one['label']} {one['score']:.3f}" for one in named) or "no answer"
