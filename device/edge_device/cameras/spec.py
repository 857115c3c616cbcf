"""A camera's SPEC as text, and what it says: KIND[:ADDRESS][?name=value&name=value…], or a URL with
its parameters behind a "#".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError

MAX_PIXELS_A_SIDE = 16_384

_SECRET_USER = re.compile(r"(://[^/@?#]*?:).*@", re.DOTALL)
_SECRET_VALUE = re.compile(
    r"([?&/;_](?:pass(?:word|wd|phrase)?|pwd|token|secret|(?:api_?)?key|auth)=)[^&#\s'\"]*",
    re.IGNORECASE,
)
"""Many cameras take the password in the query, some in the path."""


@dataclass(frozen=True)
class CameraSpec:
    """What a SPEC asks for. None: as the camera gives it.

    text: the SPEC for people, its passwords masked. address: what is behind "KIND:"; of a URL the
    whole, with its passwords, for the one who opens it alone.
    fps: frames a second; math.inf ("max") is unpaced. width, height: of the delivered frame, in
    pixels. rotate: degrees clockwise; hflip: mirrored left to right, after rotating. loop: begin
    again at the end. frames: end after so many (made-up images only).
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

    def keeps(self, width: int, height: int) -> bool:
        """Whether an image of `width` x `height` pixels is delivered as it is."""
        sized = self.width in (None, width) and self.height in (None, height)
        return sized and not self.rotate and not self.hflip


def masked(text: str) -> str:
    """`text` without the passwords of URLs in it: user:***@host, and password=*** in a query.

    Rather too much is masked than too little: a password may hold any letter.
    """
    if "://" not in text:
        return text
    return _SECRET_VALUE.sub(r"\1***", _SECRET_USER.sub(r"\1***@", text))


def parse_spec(text: str, parameters: Iterable[str], *, url: bool = False) -> CameraSpec:
    """Read a SPEC whose kind takes `parameters`. Raises ConfigError, naming the parameter.

    url: the SPEC is a URL; its own query is left alone and "#" begins the parameters.

    Addresses are literal: spaces, percent signs and letters of any script need no escape. The last
    "?" begins the parameters when "name=value" or a parameter's name follows it; a path that itself
    ends like that is written with one more "?" behind it.
    """
    shown = masked(text)
    head, asked = _split(text, "#" if url else "?")
    kind, _, address = head.partition(":")
    known = list(parameters)
    values: dict[str, Any] = {}
    for name, value in asked:
        if name not in known:
            raise ConfigError(
                f"camera {shown!r}: unknown parameter {name!r}", fix=nearest(name, known)
            )
        if name in values:
            raise ConfigError(f"camera {shown!r}: {name} is given twice", fix=f"give {name} once")
        values[name] = _read(name, value, shown)
    return CameraSpec(shown, kind, head if url else address, **values)


def _split(text: str, mark: str) -> tuple[str, list[tuple[str, str]]]:
    """The part before the parameters, and the parameters as (name, value)."""
    head, found, tail = text.rpartition(mark)
    if not found:
        return text, []
    pieces = [piece.partition("=") for piece in tail.split("&") if piece]
    if any(equals or name in _READERS for name, equals, _ in pieces):
        return head, [(name, value) for name, _, value in pieces]
    return (head, []) if not tail else (text, [])


def _read(name: str, value: str, shown: str) -> Any:
    read, fix = _READERS[name]
    try:
        return read(value)
    except ValueError as error:
        raise ConfigError(f"camera {shown!r}: {name} is {value!r}", fix=f"write {fix}") from error


def _fps(value: str) -> float:
    rate = math.inf if value == "max" else float(value)
    if not rate > 0 or (math.isinf(rate) and value != "max"):
        raise ValueError(value)
    return rate


def _one_of(choices: dict[str, Any]) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        if value not in choices:
            raise ValueError(value)
        return choices[value]

    return read


def _whole(most: float) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isdecimal() or not 1 <= int(value) <= most:
            raise ValueError(value)
        return int(value)

    return read


_FLAG = {"0": False, "1": True}
_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "fps": (_fps, "fps=30 (any number above 0), or fps=max for as fast as it goes"),
    "width": (_whole(MAX_PIXELS_A_SIDE), f"width=1280 (1 to {MAX_PIXELS_A_SIDE} pixels)"),
    "height": (_whole(MAX_PIXELS_A_SIDE), f"height=720 (1 to {MAX_PIXELS_A_SIDE} pixels)"),
    "rotate": (_one_of({"0": 0, "90": 90, "180": 180, "270": 270}), "rotate=0, 90, 180 or 270"),
    "hflip": (_one_of(_FLAG), "hflip=1 or hflip=0"),
    "loop": (_one_of(_FLAG), "loop=1 or loop=0"),
    "frames": (_whole(math.inf), "frames=100 (1 or more)"),
}
