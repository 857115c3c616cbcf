"""edge-sdk/init/1: the files of a new project."""

from typing import Literal, TypedDict


class Init(TypedDict):
    """Printed by `init`."""

    schema: Literal["edge-sdk/init/1"]
    folder: str
    name: str  # of the bundle to be
    files: list[str]  # written now
