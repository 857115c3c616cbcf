"""`edge-sdk capture`: parse, call one function, print, return."""

from __future__ import annotations

import select
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from edge_device.capture.settings import COUNT, DELAY_S, INTERVAL_S, OUT, Settings
from edge_sdk.cli import console


@click.command()
@click.option(
    "--camera",
    metavar="SPEC",
    help="As for `edge-sdk run`: picamera2, v4l2:/dev/video0, video:PATH, folder:PATH. "
    "Default: the first usable camera of `edge-sdk cameras`.",
)
@click.option(
    "--label",
    "labels",
    required=True,
    multiple=True,
    metavar="NAME",
    help="Class that the camera sees. Repeat for several: press Enter to begin each.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=COUNT,
    show_default=True,
    metavar="N",
    help="Images per label.",
)
@click.option(
    "--out",
    type=console.PATH,
    default=OUT,
    show_default=True,
    metavar="DIR",
    help="Output folder; existing images are kept.",
)
@click.option(
    "--interval",
    "interval_s",
    type=console.Finite(min=0, min_open=True),
    default=INTERVAL_S,
    show_default=True,
    metavar="S",
    help="Seconds between images; in a video file, seconds of the video.",
)
@click.option(
    "--delay",
    "delay_s",
    type=console.Finite(min=0),
    metavar="S",
    help=f"Seconds before the first image (default: {DELAY_S:g}; for a file 0).",
)
@click.option(
    "--keep-similar", is_flag=True, help="Keep images that look almost like the one before."
)
@click.option(
    "--preview",
    type=console.PATH,
    metavar="FILE.jpg",
    help="Write the latest frame to FILE, twice a second.",
)
@click.option(
    "--review", is_flag=True, help="Write DIR/review.html, a page with the images of every class."
)
@console.json_option
def capture(
    camera: str | None,
    labels: tuple[str, ...],
    out: Path,
    review: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fill class folders with images from a camera until there are enough or you press Ctrl-C."""
    stopped: list[bool] = []
    with console.stop_signals(lambda: stopped.append(True)), console.Terminal() as terminal:
        from edge_device.capture.capture import capture as run_capture
        from edge_device.capture.capture import describe, reviewed
        from edge_device.capture.session import Operator

        operator = Operator(
            stop=lambda: bool(stopped),
            entered=(lambda: _entered(stopped)) if _terminal() else None,
            listen=terminal,
        )
        document, error = run_capture(camera, labels, out, Settings(**settings), operator)
        if review:
            document, error = reviewed(document, error)
    for line in document["warnings"]:
        console.warn(line)
    with console.answers_on_stderr() if error else nullcontext():
        console.answer(document, describe(document), as_json=as_json)
    if error is not None:
        raise error


def _terminal() -> bool:
    """Whether somebody can be asked, and can answer."""
    streams = (sys.stdin, sys.stderr)
    return all(stream is not None and stream.isatty() for stream in streams)


def _entered(stopped: list[bool]) -> bool:
    """Whether Enter was pressed. The end of the input (Ctrl-D) is the end of the capture."""
    if stopped or not select.select([sys.stdin], [], [], 0)[0]:
        return False
    if sys.stdin.readline():
        return True
    stopped.append(True)
    return False
