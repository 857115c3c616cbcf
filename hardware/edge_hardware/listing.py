"""The answer of `edge-sdk boards`: the facts as one document, and as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from edge_hardware.catalog import list_accelerators, list_boards, load_accelerator, load_board
from edge_sdk.configuration import as_dict
from edge_sdk.energy.estimate import Board, energy_model, latency_model

if TYPE_CHECKING:
    from edge_sdk.documents.boards import AcceleratorEntry, BoardEntry, Boards

_INDENT = 22


def boards_document(name: str | None = None) -> Boards:
    """{schema, boards, accelerators}: all of them, or the one called `name`.

    Each board also says why there is no MODEL energy or latency for it (null: there is).
    Raises ConfigError for an unknown name.
    """
    if name is None:
        boards, accelerators = list_boards(), list_accelerators()
    elif name in list_accelerators():
        boards, accelerators = [], [name]
    else:
        boards, accelerators = [name], []
    return {
        "schema": "edge-sdk/boards/1",
        "boards": [_board(load_board(board)) for board in boards],
        "accelerators": [as_dict(load_accelerator(one)) for one in accelerators],
    }


def describe(document: Boards) -> str:
    """The document for people, a paragraph for each board and accelerator."""
    boards = ["\n".join(_board_lines(board)) for board in document["boards"]]
    others = ["\n".join(_accelerator_lines(one)) for one in document["accelerators"]]
    return "\n\n".join(boards + others)


def _board(board: Board) -> BoardEntry:
    entry = {
        **as_dict(board),
        "energy_model_because": energy_model(board, macs=1).because or None,
        "latency_model_because": latency_model(board, macs=1).because or None,
    }
    return cast("BoardEntry", entry)


def _board_lines(board: BoardEntry) -> Iterator[str]:
    yield f"{board['name']}: {board['title']}"
    yield _line("processor", f"{board['soc']}, {board['cores']} x {board['cpu']}")
    yield _line("clock", f"{board['clock_mhz']} MHz")
    yield _line("RAM", f"{' or '.join(str(size) for size in board['ram_mb'])} MB")
    yield _line("accelerators by", ", ".join(board["interfaces"]))
    yield _line("power meter", board["power_meter"] or "none: an external one is needed")
    yield _line("source", board["source"])
    power = board["power"]
    for state, watts in (
        ("idle", power["idle"]),
        ("active", power["active"]),
        ("stress", power["stress"]),
    ):
        if watts:
            yield _line(f"{state} power", f"{watts['watts']:g} W ({watts['source']})")
    for figure in board["cpu_figures"]:
        what = f"{figure['network']}, {figure['precision']}"
        yield _line("CPU figure", f"{what}: {figure['ms']:g} ms ({figure['source']})")
    yield _line(
        "MODEL energy", board["energy_model_because"] or f"yes, with --board {board['name']}"
    )
    yield _line("MODEL latency", board["latency_model_because"] or "yes")
    if board["accelerator"]:
        yield from _accelerator_lines(board["accelerator"])


def _accelerator_lines(accelerator: AcceleratorEntry) -> Iterator[str]:
    yield f"{accelerator['name']}: {accelerator['title']}"
    yield _line("connector", accelerator["interface"])
    for fact in accelerator["facts"]:
        yield _line("fact", f"{fact['what']}: {fact['value']:g} {fact['unit']} ({fact['source']})")


def _line(name: str, value: str) -> str:
    return f"  {name:<{_INDENT - 2}}{value}"
