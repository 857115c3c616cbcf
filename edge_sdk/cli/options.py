"""Options that several commands have, of core and of the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from edge_sdk.cli import console

F = TypeVar("F", bound=Callable[..., Any])


def engine_option(command: F) -> F:
    """--engine, given to the command as `engine`."""
    return click.option(
        "--engine", default="auto", show_default=True, help="Interpreter (see `edge-sdk engines`)."
    )(command)


def prove_option(command: F) -> F:
    """--prove, given to the command as `prove`."""
    return click.option(
        "--prove", is_flag=True, help="Check all golden samples, even if they matched here before."
    )(command)


def threads_option(default: int) -> Callable[[F], F]:
    """--threads, given to the command as `threads`."""
    return click.option(
        "--threads",
        type=console.THREADS,
        default=default,
        show_default=True,
        help="CPU threads per inference.",
    )
