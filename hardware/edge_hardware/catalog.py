"""Finding and reading the TOML files of boards and accelerators."""

from __future__ import annotations

import dataclasses
import tomllib
from importlib import resources
from typing import TypeVar

from edge_sdk.configuration import nearest, parse
from edge_sdk.energy.estimate import Accelerator, Board
from edge_sdk.errors import ConfigError

T = TypeVar("T")


def list_boards() -> list[str]:
    """Names of all boards, sorted."""
    return _names("boards")


def list_accelerators() -> list[str]:
    """Names of all accelerators, sorted."""
    return _names("accelerators")


def load_board(name: str) -> Board:
    """A board by name, or with an accelerator: "rpi4", "rpi4+coral-usb".

    Raises ConfigError for an unknown name, or an accelerator that the board has no plug for.
    """
    board_name, plus, accelerator_name = name.partition("+")
    board = _load(Board, "boards", board_name, what="board")
    if not plus:
        return board
    accelerator = load_accelerator(accelerator_name)
    if accelerator.interface not in board.interfaces:
        raise ConfigError(
            f"{board.title} has no {accelerator.interface} connector for {accelerator.title}",
            fix=f"name an accelerator with one of: {', '.join(board.interfaces)}",
        )
    return dataclasses.replace(board, name=name, accelerator=accelerator)


def load_accelerator(name: str) -> Accelerator:
    """An accelerator by name. Raises ConfigError for an unknown one."""
    return _load(Accelerator, "accelerators", name, what="accelerator")


def _names(folder: str) -> list[str]:
    files = resources.files(__package__).joinpath(folder).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def _load(cls: type[T], folder: str, name: str, *, what: str) -> T:
    known = _names(folder)
    if name not in known:
        raise ConfigError(f"unknown {what} {name!r}", fix=nearest(name, known))
    where = f"{folder}/{name}.toml"
    text = resources.files(__package__).joinpath(where).read_text(encoding="utf-8")
    return parse(cls, tomllib.loads(text), where=where)
