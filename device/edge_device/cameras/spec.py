"""A camera's SPEC: its parameters, in the grammar of edge_sdk.specs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge_sdk.specs import Parameter, flag, masked, one_of, whole

MAX_PIXELS_A_SIDE = 16_384


@dataclass(frozen=True)
class CameraSpec:
    """The settings in a SPEC. None: as the camera delivers it.

    text: the SPEC for people, its passwords masked. address: what is behind "KIND:"; of a URL the
    whole, with its passwords, for the one who opens it alone.
    fps: frames a second; math.inf ("max") is unpaced. width, height: of the delivered frame, in
    pixels. rotate: degrees clockwise; hflip: mirrored left to right, after rotating. loop: begin
    again at the end. frames: end after so many (generated images only).
    """

    text: str
    kind: str
    address: str = field(default="", repr=False)
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    rotate: int = 0
    hflip: bool = False
    loop: bool = False
    frames: int | None = None

    @property
    def secret(self) -> bool:
        """True where the address holds a password."""
        return masked(self.address) != self.address

    def keeps(self, width: int, height: int) -> bool:
        """True where an image of `width` x `height` pixels is delivered as it is."""
        sized = self.width in (None, width) and self.height in (None, height)
        return sized and not self.rotate and not self.hflip


def _fps(value: str) -> float:
    rate = math.inf if value == "max" else float(value)
    if not rate > 0 or (math.isinf(rate) and value != "max"):
        raise ValueError(value)
    return rate


PARAMETERS = {
    "fps": Parameter(_fps, "fps=30 (any number above 0), or fps=max for as fast as it goes"),
    "width": whole("width", 1280, max=MAX_PIXELS_A_SIDE, unit="pixels"),
    "height": whole("height", 720, max=MAX_PIXELS_A_SIDE, unit="pixels"),
    "rotate": one_of("rotate", {"0": 0, "90": 90, "180": 180, "270": 270}),
    "hflip": flag("hflip"),
    "loop": flag("loop"),
    "frames": whole("frames", 100),
}
"""The fields of CameraSpec that a SPEC sets, by their names."""
