"""`edge-sdk run` and `edge-sdk bench`: parse, call one function, print, return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edge_sdk.cli import console
from edge_sdk.cli.options import engine_option, prove_option, threads_option
from edge_sdk.errors import EdgeError

if TYPE_CHECKING:
    from edge_device.run.stream import RunResult
    from edge_device.sinks import Sink

_THREADS = threads_option(2)
_BUNDLE = click.argument("bundle", metavar="FILE.edge", type=console.PATH)
_REPORT = click.option(
    "--report",
    "folder",
    metavar="DIR",
    type=console.PATH,
    help="Folder for the JSON document and report.html.",
)
_POSITIVE = console.Finite(min=0, min_open=True)


@click.command()
@_BUNDLE
@click.option(
    "--camera",
    metavar="SPEC",
    help="picamera2, v4l2:/dev/video0, rtsp://…, http://…, folder:PATH, video:PATH, synthetic or "
    "fake, with parameters such as ?fps=30&width=1280&height=720&loop=1&rotate=180&hflip=1 (in "
    "URLs after a #). fps=max does not wait between frames. Default: the first usable camera of "
    "`edge-sdk cameras`.",
)
@click.option("--seconds", type=_POSITIVE, metavar="N", help="Stop after N seconds.")
@click.option("--frames", type=click.IntRange(min=1), metavar="N", help="Stop after N results.")
@click.option(
    "--board",
    metavar="NAME",
    help="Add an energy estimate, labelled MODEL, for a board such as rpi4.",
)
@engine_option
@_THREADS
@prove_option
@click.option(
    "--policy",
    type=click.Choice(("latest", "all", "block")),
    help="Frames that wait for the model. latest: only the newest, older ones are dropped "
    "(default). all: up to 64. block: one (default with fps=max). With all and block the camera "
    "waits.",
)
@click.option(
    "--min-score",
    type=console.Finite(0, 1),
    metavar="X",
    help="Leave out classes that score below X (default: the bundle's). If no class reaches it, "
    "the result is 'unknown'.",
)
@click.option(
    "--deadline-ms",
    type=_POSITIVE,
    metavar="MS",
    help="Flag results whose frame is older than MS.",
)
@click.option("--track", is_flag=True, help="Give each object an ID that persists across frames.")
@click.option("--jsonl", metavar="FILE", help="Append each result to FILE as one line of JSON.")
@click.option(
    "--preview",
    type=console.PATH,
    metavar="FILE.jpg",
    help="Write the latest annotated frame to FILE, twice a second.",
)
@_REPORT
@console.json_option
def run(
    bundle: Path,
    board: str | None,
    jsonl: str | None,
    preview: Path | None,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run FILE.edge on a camera until the camera ends or you press Ctrl-C."""
    with _until_stopped() as stop:
        from edge_device.run.stream import stream
        from edge_device.sinks import open_sink
        from edge_device.sinks.console_line import ConsoleSink
        from edge_sdk.specs import write_spec

        known = None
        if board:
            from edge_hardware import load_board

            known = load_board(board)

        def measure() -> RunResult:
            with console.Terminal() as terminal:
                sinks: list[str | Sink] = [ConsoleSink(terminal)]
                if jsonl:
                    sinks.append(write_spec("jsonl", jsonl))
                if preview is not None:  # opened here: its name is checked before a file is made
                    sinks.append(open_sink(write_spec("preview", str(preview))))
                return stream(
                    bundle, sinks=sinks, board=known, stop=stop, listen=terminal, **_given(options)
                )

        _answer(measure, folder, as_json)


@click.command()
@_BUNDLE
@click.option(
    "--scenario",
    default="single-stream",
    show_default=True,
    type=click.Choice(("single-stream", "multi-stream", "server", "offline")),
    help="Load pattern.",
)
@click.option(
    "--seconds",
    type=_POSITIVE,
    metavar="N",
    help="Length of each repeat after the warm-up  [default: 30; with --soak until Ctrl-C]",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=1, show_default=True, help="How many times."
)
@click.option(
    "--latency-bound",
    "latency_bound_ms",
    type=_POSITIVE,
    metavar="MS",
    help="server: p99 latency limit, ms (default: the bundle's budget.latency_ms).",
)
@click.option(
    "--streams",
    type=click.IntRange(1, 1024),
    default=8,
    show_default=True,
    help="multi-stream: frames per query.",
)
@click.option("--soak", is_flag=True, help="Also record memory use and open files over time.")
@_THREADS
@engine_option
@prove_option
@_REPORT
@console.json_option
def bench(bundle: Path, folder: Path | None, as_json: bool, **options: Any) -> None:
    """Measure latency and throughput of FILE.edge on generated 1280 x 720 frames."""
    with _until_stopped() as stop:
        from edge_device.bench import run_bench
        from edge_device.run.stream import RunResult

        def measure() -> RunResult:
            with console.Terminal() as terminal:
                return RunResult(run_bench(bundle, stop=stop, listen=terminal, **options))

        _answer(measure, folder, as_json)


def _answer(measure: Callable[[], RunResult], folder: Path | None, as_json: bool) -> None:
    """Measure, save the report and print the answer; then raise what went wrong on the way.

    What was measured is never lost. Where the run ended with an error, or its report cannot be
    saved, the exit status is 1 and stdout has to stay empty: the answer goes to stderr, before the
    error, and the report is written all the same where it can be.
    """
    if folder is not None:
        from edge_sdk.report import prepare_folder

        prepare_folder(folder)
    report, error = measure()
    from edge_device.metrics.summary_text import summary  # not before the first answer

    report = report.with_command(_command_line(click.get_current_context()))
    document, saved = report.as_dict(), ""
    if folder is not None:
        try:
            saved = f"\n\nreport  {report.save(folder)}"
        except EdgeError as failure:
            if error is not None:
                console.warn(str(failure))
            error = error or failure
    with console.answers_on_stderr() if error else nullcontext():
        console.answer(document, summary(document) + saved, as_json=as_json)
    if error is not None:
        raise error


def _command_line(context: click.Context) -> list[str]:
    """The command with all that was given to it, but for how it answers: --report and --json; and
    for passwords.
    """
    from edge_device.cameras.backends import check_spec

    words = ["edge-sdk", context.command.name or ""]
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in ("folder", "as_json"):
            option = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
            words += option
            if value is not True:  # a flag has none
                words.append(check_spec(str(value)).text if name == "camera" else str(value))
    return words


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; the others keep the function's own defaults."""
    return {name: value for name, value in options.items() if value is not None or name == "camera"}


@contextmanager
def _until_stopped() -> Iterator[Callable[[], bool]]:
    """While inside, SIGINT and SIGTERM only make the yielded function answer True."""
    asked: list[bool] = []
    with console.stop_signals(lambda: asked.append(True)):
        yield lambda: bool(asked)
