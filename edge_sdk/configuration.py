"""Typed settings: a mapping (TOML, JSON) into a frozen dataclass, every mistake named by its path.

A dataclass is the whole schema: field types, defaults, and limits given by `limits(...)`.
An unknown key, a value of another type or a value out of range is a ConfigError that says where.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from edge_sdk.errors import ConfigError

T = TypeVar("T")

MAX_THREADS = 256
"""Most CPU threads per inference: more do not help, and interpreters crash on absurd numbers."""


def limits(
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
) -> dict[str, Any]:
    """Metadata for a numeric field: `ge <= value <= le`, `gt < value < lt`."""
    return {"ge": ge, "le": le, "gt": gt, "lt": lt}


_LIMITS = {
    "ge": (operator.ge, "at least"),
    "le": (operator.le, "at most"),
    "gt": (operator.gt, "above"),
    "lt": (operator.lt, "below"),
}


def parse(cls: type[T], data: Mapping[str, Any], *, where: str, path: str = "") -> T:
    """An instance of the dataclass `cls` from `data`.

    `where` names the file in errors, `path` the table inside it (dotted).
    Raises ConfigError for unknown, missing, ill-typed or out-of-range keys.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{where}: {path or 'the document'} is {_shown(data)}, not a table",
            fix=f"write {path or 'it'} as a table of keys",
        )
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    hints = _hints(cls)  # type: ignore[arg-type]  # mypy: no type is hashable
    for key in data:
        if key not in fields:
            raise ConfigError(
                f"{where}: unknown key {_join(path, str(key))}",
                fix=nearest(str(key), fields),
            )
    values = {}
    for name, field in fields.items():
        here = _join(path, name)
        if name in data:
            values[name] = _value(hints[name], data[name], where, here)
            _check_limits(values[name], field.metadata, where, here)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: {here} is missing", fix=f"add {here}")
    return cls(**values)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Evaluating a dataclass's annotations takes longer than reading a table of it."""
    return typing.get_type_hints(cls)


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """A fix line: the closest known word, then all of them."""
    import difflib  # only mistakes need it

    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listing = "known: " + ", ".join(names)
    return f'did you mean "{close[0]}"? ({listing})' if close else listing


def as_dict(value: Any) -> Any:
    """The plain (JSON, TOML) form of a settings dataclass: `parse` reads it back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: as_dict(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_dict(item) for item in value]
    return value


def _value(hint: Any, value: Any, where: str, path: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _value(next(a for a in args if a is not type(None)), value, where, path)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in args):
            raise ConfigError(
                f"{where}: {path} is {_shown(value)}",
                fix=nearest(_shown(value).strip("'"), [str(a) for a in args]),
            )
        return value
    if origin is tuple:
        return _sequence(args, value, where, path)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _ill_typed(where, path, value, "a table")
        return {str(k): _value(args[1], v, where, _join(path, str(k))) for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return parse(typing.cast(type, hint), value, where=where, path=path)
    return _scalar(hint, value, where, path)


def _sequence(args: tuple[Any, ...], value: Any, where: str, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _ill_typed(where, path, value, "a list")
    if args[-1] is Ellipsis:
        kinds = [args[0]] * len(value)
    elif len(value) != len(args):
        raise _ill_typed(where, path, value, f"a list of {len(args)}")
    else:
        kinds = list(args)
    return tuple(
        _value(kind, item, where, f"{path}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _scalar(hint: Any, value: Any, where: str, path: str) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _ill_typed(where, path, value, "a finite number")
        return number
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise _ill_typed(where, path, value, names.get(hint, str(hint)))


def _check_limits(value: Any, metadata: Mapping[str, Any], where: str, path: str) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if not isinstance(item, (int, float)):
            continue
        limit = {name: metadata.get(name) for name in _LIMITS}
        if any(
            bound is not None and not holds(item, bound)
            for bound, (holds, _) in zip(limit.values(), _LIMITS.values(), strict=True)
        ):
            bounds = [
                f"{word} {limit[name]}"
                for name, (_, word) in _LIMITS.items()
                if limit[name] is not None
            ]
            raise ConfigError(
                f"{where}: {path} is {_shown(item)}",
                fix=f"set {path} {' and '.join(bounds)}",
            )


def _ill_typed(where: str, path: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(
        f"{where}: {path} is {_shown(value)}, not {wanted}", fix=f"write {path} as {wanted}"
    )


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or a number of thousands of digits
        text = f"a {type(value).__name__} too long to show"
    return text if len(text) <= 60 else text[:57] + "..."


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
