"""`edge-sdk`: one table of commands. Help needs the table alone; a command's code is imported when
the command is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from edge_sdk.cli.console import run
from edge_sdk.configuration import nearest
from edge_sdk.errors import MissingPackage

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

CORE, CONVERTER, DEVICE = "edge-sdk-core", "edge-sdk-converter", "edge-sdk-device"


@dataclass(frozen=True)
class Row:
    """A command: where it stands in the help, which distribution brings it, what it does."""

    section: str
    name: str
    distribution: str
    help: str


TABLE = (
    Row("Start", "demo", CORE, "The whole path on handwritten digits, with a replayed camera."),
    Row("Start", "init", CONVERTER, "Write a commented recipe and a README for your own images."),
    Row("Start", "capture", DEVICE, "Fill class folders with images from a camera."),
    Row("Build", "build", CONVERTER, "Train, convert, verify and pack what a recipe describes."),
    Row("Build", "convert", CONVERTER, "Turn a model of your own into a bundle."),
    Row("Build", "models", CONVERTER, "List architectures: parameters, MACs, input, options."),
    Row("Run", "predict", CORE, "Run a bundle on images."),
    Row("Run", "run", DEVICE, "Run a bundle on a camera until Ctrl-C."),
    Row("Measure", "evaluate", CORE, "Measure the accuracy of a bundle on labelled images."),
    Row("Measure", "bench", DEVICE, "Measure the latency and throughput of a bundle."),
    Row("Measure", "compare", CORE, "Compare bundles or models, measured in interleaved rounds."),
    Row("Look", "inspect", CORE, "Show what is in a bundle, a .tflite, a recipe or a folder."),
    Row("Look", "boards", CORE, "List boards and accelerators, with sources."),
    Row("Look", "cameras", DEVICE, "List cameras, whether each works, and how to write others."),
    Row("Look", "engines", CORE, "List interpreters, whether each works here, and why not."),
)


class Commands(click.Group):
    """Lists TABLE; loads a command by its entry point when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return [row.name for row in TABLE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's code. Raises MissingPackage where its distribution is not installed."""
        row = next((row for row in TABLE if row.name == cmd_name), None)
        if row is None:
            return None
        point = _entry_point(row)
        if point is None:
            raise MissingPackage(
                f"`edge-sdk {cmd_name}` comes with {row.distribution}, which is not installed",
                fix=f"pip install {row.distribution}",
            )
        command: click.Command = point.load()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for an unknown one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            hint = nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table by sections. Nothing is imported for it."""
        width = max(len(row.name) for row in TABLE)
        for section in dict.fromkeys(row.section for row in TABLE):
            with formatter.section(section):
                formatter.write_dl(
                    [(row.name.ljust(width), row.help) for row in TABLE if row.section == section]
                )


def _entry_point(row: Row) -> EntryPoint | None:
    """Looked up in the row's distribution alone: reading all that are installed takes longer."""
    from importlib import metadata  # help does without

    try:
        points = metadata.distribution(row.distribution).entry_points
    except metadata.PackageNotFoundError:
        return None
    return next(iter(points.select(group="edge_sdk.commands", name=row.name)), None)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name=CORE, prog_name="edge-sdk")
@click.pass_context
def edge_sdk(ctx: click.Context) -> None:
    """From a folder of images to a Raspberry Pi that answers in real time."""
    if ctx.invoked_subcommand is None:
        click.echo("Start with: edge-sdk demo\n")
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (sys.argv without one); its exit status."""
    return run(edge_sdk, arguments)


if __name__ == "__main__":
    sys.exit(main())
