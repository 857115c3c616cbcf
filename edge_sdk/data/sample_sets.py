"""Sets of samples: what they hold, whether a model was trained on them, what could not be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from edge_sdk.data.sources import Sample
from edge_sdk.errors import DataError

MOST_UNREADABLE = 0.01
"""Share of unreadable pictures above which an evaluation stops."""

PREFIX = 16
"""Hex digits of a picture's SHA-256 kept in the training record."""


def skipped_warning(unreadable: Sequence[str]) -> str:
    """The line about pictures that could not be read and were left out."""
    count = len(unreadable)
    return f"{count} picture{'' if count == 1 else 's'} skipped: {'; '.join(unreadable)}"


def check_unreadable(
    unreadable: Sequence[str], total: int, most: float, *, fix: str = "remove or replace them"
) -> None:
    """Raises DataError when more than a share of `most` of `total` pictures could not be read."""
    if len(unreadable) > most * total:
        shown = "; ".join(unreadable[:5]) + ("; …" if len(unreadable) > 5 else "")
        raise DataError(
            f"{len(unreadable)} of {total} pictures cannot be read (allowed: {most:.1%}): {shown}",
            fix=fix,
        )


def training_prefixes(build: dict[str, Any]) -> frozenset[str]:
    """The first 16 hex digits of each training picture's SHA-256, from a build record."""
    dataset = build.get("dataset")
    packed = dataset.get("train_sha256_prefixes") if isinstance(dataset, dict) else None
    text = packed if isinstance(packed, str) else ""
    return frozenset(text[i : i + PREFIX] for i in range(0, len(text), PREFIX))


def pack_prefixes(pictures: Iterable[Sample]) -> str:
    """The training record: prefixes of all pictures' SHA-256, sorted, one after another."""
    return "".join(sorted(picture.sha256[:PREFIX] for picture in pictures))


def digest_of(pictures: Iterable[Sample]) -> str:
    """One SHA-256 (hex) for a set of pictures with their labels, whatever their order."""
    lines = sorted(f"{picture.sha256} {picture.label}\n" for picture in pictures)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
