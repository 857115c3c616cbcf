"""SPECs: how a camera, a sink or a meter is written in one line of text.

    KIND[:ADDRESS][?name=value&name=value…]      folder:images?fps=30&loop=1
    URL[#name=value&name=value…]                 rtsp://host/path?channel=1#fps=10

Addresses are literal: spaces, percent signs and letters of any script need no escape. The last "?"
begins the parameters when "name=value" or a parameter's name follows it; a path that itself ends
like that is written with one more "?" behind it. Of a URL only what follows the last "#" is ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError

_USER = re.compile(r"(://?[^:]*?:).*@", re.DOTALL)
"""User and password, up to the last "@": a password may hold any letter. A path has one slash left
of two.
"""

_USER_WITHOUT_SLASHES = re.compile(r"(:[/\\]*).*@", re.DOTALL)

_SECRET_VALUE = re.compile(
    r"([?&/;_](?:pass(?:word|wd|phrase)?|pwd|token|secret|(?:api_?)?key|auth)=)(?:.*@)?[^&#\s'\"]*",
    re.IGNORECASE | re.DOTALL,
)
"""Many cameras take the password in the query, some in the path."""


class Parameter(NamedTuple):
    """A parameter's type. read: the value of its text, or ValueError. usage: how to write it, for
    example "width=1280 (1 to 16384 pixels)".
    """

    read: Callable[[str], Any]
    usage: str


@dataclass(frozen=True)
class Kind:
    """One row of a table of kinds. module: where its backend is. parameters: those that its SPEC
    takes. address: what follows the colon, for example; "" for nothing, in brackets where it may be
    left out; "//…" makes the SPEC a URL.
    """

    module: str
    help: str
    address: str = ""
    parameters: tuple[str, ...] = ()

    @property
    def url(self) -> bool:
        """True where its SPEC is a URL, with our parameters behind a "#"."""
        return self.address.startswith("//")

    def usage(self, kind: str) -> str:
        """The form of such a SPEC: "folder:PATH"."""
        if self.address.startswith("["):
            return f"{kind}[:{self.address[1:]}"
        return f"{kind}:{self.address}" if self.address else kind


@dataclass(frozen=True)
class Spec:
    """A SPEC, read.

    text: for people, its passwords masked. address: what is behind "KIND:"; of a URL the whole,
    with its passwords. values: the parameters that were given, by name.
    """

    text: str
    kind: str
    address: str = field(default="", repr=False)
    values: Mapping[str, Any] = field(default_factory=dict)


def kind_of(text: str) -> str:
    """The word that stands where a SPEC has its kind."""
    return text.partition("?")[0].partition(":")[0]


def read_spec(
    text: str, kinds: Mapping[str, Kind], parameters: Mapping[str, Parameter], *, of: str
) -> Spec:
    """The SPEC `text` of one of `kinds`. parameters: the types of all that the kinds take. of: what
    it names, for errors: "camera".

    Raises ConfigError for an unknown kind or parameter, a value that is none, an address that is
    missing or must not be there.
    """
    name = kind_of(text)
    shown = f"{of} {show(text, kinds)!r}"
    if name not in kinds:
        fix = f"write KIND:ADDRESS; {nearest(name, kinds)}"
        raise ConfigError(f"unknown {shown}", fix=fix)
    kind = kinds[name]
    taken = {known: parameters[known] for known in kind.parameters}
    head, asked = _split(text, taken, "#" if kind.url else "?")
    values = _values(asked, taken, shown)
    _check_address(head, name, kind, shown)
    address = head if kind.url else head.partition(":")[2]
    return Spec(show(text, kinds), name, address, values)


def write_spec(kind: str, address: str) -> str:
    """The SPEC of `kind` without parameters whose address is `address`, whatever letters it has."""
    return f"{kind}:{address}?" if "?" in address else f"{kind}:{address}"


def masked(text: str) -> str:
    """`text` without the passwords of URLs in it: user:***@host, and password=*** in a query.

    Rather too much is masked than too little: nothing between "user:" and the last "@" is left.
    """
    if ":/" not in text:
        return text
    return _SECRET_VALUE.sub(r"\1***", _USER.sub(r"\1***@", text))


def show(text: str, kinds: Mapping[str, Kind]) -> str:
    """The SPEC `text` for people, its passwords masked, however wrongly it is written: a URL may
    lack its slashes, or its kind.
    """
    kind = kinds.get(kind_of(text))
    if re.match("[^:/]*://", text):
        return masked(text)
    if kind is not None and not kind.url:
        before, colon, address = text.partition(":")
        return before + colon + masked(address)
    return _SECRET_VALUE.sub(r"\1***", _USER_WITHOUT_SLASHES.sub(r"\1***@", text))


def _split(
    text: str, parameters: Mapping[str, Parameter], mark: str
) -> tuple[str, list[tuple[str, str]]]:
    """The part before the parameters, and the parameters as (name, value)."""
    head, found, tail = text.rpartition(mark)
    # A "#" before the "@" of a URL belongs to a password that was not escaped.
    if not found or (mark == "#" and "@" in tail):
        return text, []
    pieces = [piece.partition("=") for piece in tail.split("&") if piece]
    if any(equals or name in parameters for name, equals, _ in pieces):
        return head, [(name, value) for name, _, value in pieces]
    return (head, []) if not tail else (text, [])


def _check_address(head: str, name: str, kind: Kind, shown: str) -> None:
    address, fix = head.partition(":")[2], f"write {kind.usage(name)}"
    if kind.url:
        if not _has_host(head):
            escapes = "in a user or a password write %40 for @, %23 for #, %2F for /"
            raise ConfigError(f"{shown} is not a valid URL", fix=f"{fix}; {escapes}")
    elif kind.address and not address and not kind.address.startswith("["):
        raise ConfigError(f"{shown} does not say which {name}", fix=fix)
    elif address and not kind.address:
        raise ConfigError(f"{shown}: {name} takes no address", fix=fix)


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def _values(
    asked: list[tuple[str, str]], parameters: Mapping[str, Parameter], shown: str
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in asked:
        if name not in parameters:
            fix = nearest(name, parameters) if parameters else "it takes no parameters"
            raise ConfigError(f"{shown}: unknown parameter {name!r}", fix=fix)
        if name in values:
            raise ConfigError(f"{shown}: {name} is given twice", fix=f"give {name} once")
        try:
            values[name] = parameters[name].read(value)
        except ValueError as error:
            fix = f"write {parameters[name].usage}"
            raise ConfigError(f"{shown}: {name} is {value!r}", fix=fix) from error
    return values


def one_of(name: str, choices: Mapping[str, Any]) -> Parameter:
    """A parameter with a few values, by their text."""

    def read(text: str) -> Any:
        if text not in choices:
            raise ValueError(text)
        return choices[text]

    *others, last = choices
    return Parameter(read, f"{name}={', '.join(others)} or {last}")


def flag(name: str) -> Parameter:
    """A parameter that is on or off: 1 or 0."""
    return one_of(name, {"1": True, "0": False})._replace(usage=f"{name}=1 or {name}=0")


def whole(
    name: str, example: int, *, min: int = 1, max: float = math.inf, unit: str = ""
) -> Parameter:
    """A whole number from `min` to `max`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not min <= int(text) <= max:
            raise ValueError(text)
        return int(text)

    limit = f"{min} or more" if math.isinf(max) else f"{min} to {max:g}"
    return Parameter(read, f"{name}={example} ({limit}{f' {unit}' if unit else ''})")
