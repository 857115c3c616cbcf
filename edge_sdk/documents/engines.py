"""edge-sdk/engines/1: the interpreters, and whether they are usable here."""

from typing import Literal, TypedDict


class EngineEntry(TypedDict):
    """One interpreter."""

    name: str
    usable: bool
    version: str | None  # null where it is not usable
    help: str
    because: str  # why it is not usable; "" where it is
    fix: str  # the way out; "" where it is usable


class Engines(TypedDict):
    """Printed by `engines`."""

    schema: Literal["edge-sdk/engines/1"]
    engines: list[EngineEntry]
