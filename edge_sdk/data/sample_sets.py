"""Sets of samples: what they hold, whether a model was trained on them, what could not be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from edge_sdk.data.samples import Sample
from edge_sdk.errors import DataError

MAX_UNREADABLE = 0.01
"""Share of unreadable images above which an evaluation stops."""

PREFIX = 16
"""Hex digits of an image's SHA-256 kept in the training record."""


def skipped_warning(unreadable: Sequence[str]) -> str:
    """The line about images that could not be read and were left out."""
    count = len(unreadable)
    return f"{count} image{'' if count == 1 else 's'} skipped: {'; '.join(unreadable)}"


def check_unreadable(
    unreadable: Sequence[str], total: int, most: float, *, fix: str = "remove or replace them"
) -> None:
    """Raises DataError when more than a share of `most` of `total` images could not be read."""
    if len(unreadable) > most * total:
        shown = "; ".join(unreadable[:5]) + ("; …" if len(unreadable) > 5 else "")
        raise DataError(
            f"{len(unreadable)} of {total} images cannot be read (allowed: {most:.1%}): {shown}",
            fix=fix,
        )


def training_prefixes(build: dict[str, Any]) -> frozenset[str]:
    """The first 16 hex digits of each training image's SHA-256, from a build record."""
    dataset = build.get("dataset")
    packed = dataset.get("train_sha256_prefixes") if isinstance(dataset, dict) else None
    text = packed if isinstance(packed, str) else ""
    return frozenset(text[i : i + PREFIX] for i in range(0, len(text), PREFIX))


def pack_prefixes(images: Iterable[Sample]) -> str:
    """The training record: prefixes of all images' SHA-256, sorted, one after another."""
    return "".join(sorted(image.sha256[:PREFIX] for image in images))


def digest_of(images: Iterable[Sample]) -> str:
    """One SHA-256 (hex) for a set of samples with their targets, whatever their order."""
    lines = sorted(f"{image.sha256} {image.target}\n" for image in images)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
