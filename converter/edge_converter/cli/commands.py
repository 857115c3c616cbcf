"""Commands of edge-sdk-converter: init, build, convert, models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import console


@click.command()
@click.argument("folder", default=".", metavar="[DIR]", type=console.PATH)
@console.json_option
def init(folder: Path, as_json: bool) -> None:
    """Write a commented recipe and a README for your own images into DIR (default: here)."""
    from edge_converter.recipe.project_template import next_steps, start

    document = start(folder)
    console.answer(document, next_steps(document), as_json=as_json)


@click.command()
@click.argument("recipe", default="./recipe.toml")
@click.option(
    "--out",
    metavar="FILE.edge",
    type=console.PATH,
    help="The bundle to write.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe."
)
@click.option(
    "--report",
    metavar="DIR",
    type=console.PATH,
    help="Folder for build.json and report.html.",
)
@console.json_option
def build(
    recipe: str, out: Path | None, settings: tuple[str, ...], report: Path | None, as_json: bool
) -> None:
    """Train, convert, verify and pack what RECIPE describes.

    RECIPE is PATH.toml (default ./recipe.toml) or recipe:NAME, a built-in one.
    """
    from edge_converter.builder.build import build as run_build
    from edge_converter.builder.build_report import describe
    from edge_converter.recipe.loading import Recipe, parse_setting
    from edge_converter.tf.setup import leave_out_extras
    from edge_sdk.errors import GateFailed
    from edge_sdk.report import prepare_folder, write_report

    leave_out_extras()
    loaded = Recipe.load(recipe, dict(parse_setting(text) for text in settings))
    if report is not None:
        prepare_folder(report)
    terminal = console.Terminal()
    try:
        result = run_build(loaded, out, listen=terminal)
    except GateFailed as failed:
        if report is not None:
            _save_beside(report, failed.document)
        raise
    finally:
        terminal.clear()
    if report is not None:
        write_report(report, "build", result.document, galleries=result.galleries)
    console.answer(result.document, describe(result), as_json=as_json)


@click.command()
@click.argument("model", type=console.PATH)
@click.option(
    "--data",
    type=console.PATH,
    help="Images for calibration; class folders also measure accuracy.",
)
@click.option(
    "--out",
    metavar="FILE.edge",
    type=console.PATH,
    help="The bundle to write.",
)
@click.option(
    "--task",
    type=click.Choice(["classify", "sequence", "detect"]),
    default="classify",
    show_default=True,
)
@click.option("--labels", type=console.PATH, help="Text file, one label per line.")
@click.option("--color", type=click.Choice(["rgb", "bgr", "gray"]), help="Default: rgb, or gray.")
@click.option(
    "--fit",
    type=click.Choice(["stretch", "crop", "letterbox"]),
    help="Default: crop; stretch for a detector; letterbox with --preset blazeface.",
)
@click.option("--resize", type=click.Choice(["linear", "area"]), default="linear")
@click.option("--mean", help="fed = (pixel - mean) / std: one number, or one per channel: 1,2,3")
@click.option("--std", help="See --mean.")
@click.option(
    "--quantize",
    type=click.Choice(["float32", "float16", "dynamic", "int8", "int16x8", "int4"]),
    help="Default: int8; a .tflite is packed unchanged.",
)
@click.option(
    "--io",
    type=click.Choice(["int8", "uint8", "float32"]),
    help="Input/output type of an int8 model. Default: int8.",
)
@click.option("--size", metavar="WIDTHxHEIGHT", help="Input size of a model that takes any.")
@click.option("--signature", default="", help="Signature to convert, of a SavedModel with several.")
@click.option("--preset", help="blazeface: MediaPipe's short-range face detector.")
@click.option(
    "--min-score",
    multiple=True,
    metavar="[LABEL=]X",
    help="Leave out results below X. Default: 0, or 0.5 for a detector.",
)
@click.option("--name", default="", help="The bundle's name (default: the file's).")
@click.option("--version", default="1.0.0", show_default=True)
@console.json_option
def convert(
    model: Path, data: Path | None, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Pack MODEL into a bundle: a .tflite, .keras, .h5 or .onnx file, or a SavedModel folder.

    All formats but .tflite are converted: to int8, calibrated on the images of --data, unless
    --quantize says otherwise.
    """
    from edge_converter.conversion import convert as run_convert
    from edge_converter.conversion import describe, parse_options
    from edge_converter.tf.setup import leave_out_extras

    leave_out_extras()
    parsed = parse_options(**options)
    result = run_convert(model, parsed, data=data, out=out, listen=console.Terminal())
    console.answer(result.document, describe(result), as_json=as_json)


@click.command()
@click.argument("name", required=False)
@console.json_option
def models(name: str | None, as_json: bool) -> None:
    """Architectures for `model.name`; with NAME everything about one."""
    from edge_converter.models.listing import describe, listing

    document = listing(name)
    console.answer(document, describe(document, name), as_json=as_json)


def _save_beside(folder: Path, document: Mapping[str, Any]) -> None:
    """Write the report of a build that failed a gate; what hinders that must not hide the gate."""
    from edge_sdk.errors import FileError
    from edge_sdk.report import write_report

    try:
        write_report(folder, "build", document)
    except FileError as error:
        console.warn(str(error))
