"""`edge-sdk demo`: the whole path, each part as the command line that a user could type."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from edge_sdk import formatting
from edge_sdk.cli import console, table
from edge_sdk.errors import EdgeError

NAME = "digits-1.0.0"
SECONDS = 14
FPS = 60


def demo(out: str | Path) -> dict[str, Any]:
    """Build the digits recipe into `out` and stream its test digits through the bundle.

    Leaves NAME.edge, NAME.build/, build.json, run.json and report.html in `out`.
    Returns the demo document. Raises what `build` and `run` raise.
    """
    out = Path(out)
    bundle = out / f"{NAME}.edge"
    camera = f"folder:{out / f'{NAME}.build' / 'samples'}?fps={FPS}&loop=1"
    _type(["build", "recipe:digits_seed", "--out", str(bundle), "--report", str(out)])
    _type(
        [
            *("run", str(bundle), "--camera", camera, "--seconds", str(SECONDS)),
            *("--board", "rpi4", "--report", str(out)),
        ]
    )
    return {
        "schema": "edge-sdk/demo/1",
        "bundle": str(bundle),
        "report": str(out / "report.html"),
        "build": json.loads((out / "build.json").read_text("utf-8")),
        "run": json.loads((out / "run.json").read_text("utf-8")),
    }


def describe(document: dict[str, Any]) -> str:
    """The closing table."""
    build, run = document["build"], document["run"]
    latency = run["latency"]
    rows = [
        ["float accuracy", _accuracy(build["float"])],
        ["int8 accuracy", _accuracy(build["converted"])],
        ["float model", formatting.size(build["float"]["bytes"])],
        ["int8 model", formatting.size(build["converted"]["bytes"])],
        ["frames per second", f"{run['fps']:.1f} (the replayed camera gives {FPS})"],
        ["latency p50", formatting.ms(latency["p50"])],
        ["latency p90", formatting.ms(latency["p90"])],
        ["latency p99", formatting.ms(latency["p99"])],
        ["energy", "not measured (no meter)"],
        ["report", document["report"]],
    ]
    return f"\n{formatting.table(rows)}"


def _type(arguments: list[str]) -> None:
    """Show a command line, then run it through the command table, its text answer on stderr: the
    demo's own answer alone belongs on stdout.
    """
    console.note(f"\n$ edge-sdk {shlex.join(arguments)}")
    name, *rest = arguments
    command = table.edge_sdk.get_command(click.Context(table.edge_sdk), name)
    if command is None:
        raise EdgeError(f"no command {name!r}", fix="install edge-sdk-core again")
    with console.answers_on_stderr():
        command.main(args=rest, prog_name=f"edge-sdk {name}", standalone_mode=False)


def _accuracy(outcome: dict[str, Any]) -> str:
    low, high = outcome["interval"]
    return (
        f"{formatting.share(outcome['accuracy'], 1)} ({outcome['correct']} of {outcome['n']}, "
        f"95 % interval {formatting.share(low, 1)} to {formatting.share(high, 1)})"
    )
