"""edge-sdk/cameras/1: attached cameras, and every kind of SPEC."""

from typing import Literal, TypedDict


class CameraEntry(TypedDict):
    """A camera that is attached."""

    spec: str  # for --camera
    kind: str
    name: str
    usable: bool
    because: str  # why it is not usable; "" where it is
    fix: str  # the way out; "" where it is usable


class CameraKind(TypedDict):
    """A kind of camera."""

    kind: str
    write: str  # an example SPEC
    parameters: list[str]
    help: str


class Cameras(TypedDict):
    """Printed by `cameras`."""

    schema: Literal["edge-sdk/cameras/1"]
    cameras: list[CameraEntry]  # in the order in which `run` would take them
    kinds: list[CameraKind]
