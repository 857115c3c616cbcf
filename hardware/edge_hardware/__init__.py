"""Boards and accelerators as facts: TOML files, each number with its source; a machine's heat.

`load_board("rpi4")` and `load_board("rpi4+coral-usb")` give the Board value that
`edge_sdk.estimate` works on. `Thermal` and `Throttling` watch the machine that they run on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_hardware.catalog import (
        list_accelerators,
        list_boards,
        load_accelerator,
        load_board,
    )
    from edge_hardware.listing import boards_document, describe
    from edge_hardware.thermal import Thermal, Throttling

__all__ = [
    "Thermal",
    "Throttling",
    "boards_document",
    "describe",
    "list_accelerators",
    "list_boards",
    "load_accelerator",
    "load_board",
]

_HOMES = {
    "Thermal": "thermal",
    "Throttling": "thermal",
    "boards_document": "listing",
    "describe": "listing",
    "list_accelerators": "catalog",
    "list_boards": "catalog",
    "load_accelerator": "catalog",
    "load_board": "catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
