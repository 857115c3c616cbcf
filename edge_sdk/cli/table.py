"""`edge-sdk`: one table of commands. Help needs the table alone; a command's code is imported when
the command is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from edge_sdk.cli.console import run
from edge_sdk.configuration import nearest
from edge_sdk.errors import MissingPackage

CORE, CONVERTER, DEVICE = "edge-sdk-core", "edge-sdk-converter", "edge-sdk-device"


class Row(NamedTuple):
    """A command: where it stands in the help, which distribution brings it, in which module it is
    the attribute of its name, what it does.

    The module is that of the distribution's entry point; looking the entry point up instead would
    cost every start 20 ms.
    """

    section: str
    name: str
    distribution: str
    module: str
    help: str


_CORE, _CONVERTER = "edge_sdk.cli.commands", "edge_converter.cli.commands"
_RUN = "edge_device.cli.run"

TABLE = (
    Row(
        "Start",
        "demo",
        CORE,
        _CORE,
        "The whole path on handwritten digits, with a replayed camera.",
    ),
    Row(
        "Start",
        "init",
        CONVERTER,
        _CONVERTER,
        "Write a commented recipe and a README for your own images.",
    ),
    Row(
        "Start",
        "capture",
        DEVICE,
        "edge_device.cli.capture",
        "Fill class folders with images from a camera.",
    ),
    Row(
        "Build",
        "build",
        CONVERTER,
        _CONVERTER,
        "Train, convert, verify and pack what a recipe describes.",
    ),
    Row("Build", "convert", CONVERTER, _CONVERTER, "Turn a model of your own into a bundle."),
    Row(
        "Build",
        "models",
        CONVERTER,
        _CONVERTER,
        "List architectures: parameters, MACs, input, options.",
    ),
    Row("Run", "predict", CORE, _CORE, "Run a bundle on images."),
    Row("Run", "run", DEVICE, _RUN, "Run a bundle on a camera until Ctrl-C."),
    Row("Measure", "evaluate", CORE, _CORE, "Measure the accuracy of a bundle on labelled images."),
    Row("Measure", "bench", DEVICE, _RUN, "Measure the latency and throughput of a bundle."),
    Row(
        "Measure",
        "compare",
        CORE,
        _CORE,
        "Compare bundles or models, measured in interleaved rounds.",
    ),
    Row(
        "Look", "inspect", CORE, _CORE, "Show what is in a bundle, a .tflite, a recipe or a folder."
    ),
    Row("Look", "boards", CORE, _CORE, "List boards and accelerators, with sources."),
    Row(
        "Look",
        "cameras",
        DEVICE,
        "edge_device.cli.cameras",
        "List cameras, whether each works, and how to write others.",
    ),
    Row("Look", "engines", CORE, _CORE, "List interpreters, whether each works here, and why not."),
)


class Commands(click.Group):
    """Lists TABLE; imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return [row.name for row in TABLE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's code. Raises MissingPackage where its distribution is not installed."""
        row = next((row for row in TABLE if row.name == cmd_name), None)
        return None if row is None else _load(row)

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


def _load(row: Row) -> click.Command:
    try:
        command: click.Command = getattr(importlib.import_module(row.module), row.name)
    except ModuleNotFoundError as error:
        if error.name != row.module.partition(".")[0]:
            raise
        raise MissingPackage(
            f"`edge-sdk {row.name}` comes with {row.distribution}, which is not installed",
            fix=f"pip install {row.distribution}",
        ) from error
    return command


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
