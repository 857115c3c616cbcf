"""Data sets: labelled pictures in three parts, opened by the recipe's `data.source`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_converter.recipe import Recipe
from edge_sdk.errors import DataError, EdgeError, NotAvailableYet
from edge_sdk.evaluation import check_unreadable, digest_of
from edge_sdk.sources import Picture, Sample, split_spec

LEAST_PICTURES = 3
"""Pictures a class needs: one each to train, validate and test."""

OPENERS = {
    "digits": "edge_converter.datasets.digits",
    "folder": "edge_converter.datasets.folder",
    "keras": "edge_converter.datasets.keras_datasets",
    "csv": "edge_converter.datasets.csv_file",
    "video": "edge_converter.datasets.video",
}
_ON_DISK = ("folder", "csv", "video")


@dataclass(frozen=True, eq=False)
class Source:
    """What an opener returns. parts: {"all": …} to be split, or "train", "val" and "test"."""

    labels: tuple[str, ...]
    parts: Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures in three parts. `labels[picture.label]` is a picture's class.

    unreadable: what was left out, one line each. duplicates: pictures whose content stands
    earlier in the set; across: those that stand in another part as well.
    """

    labels: tuple[str, ...]
    train: Sequence[Sample]
    val: Sequence[Sample]
    test: Sequence[Sample]
    unreadable: tuple[str, ...] = ()
    duplicates: int = 0
    across: int = 0
    sha256: str = field(default="")

    @property
    def per_class(self) -> dict[str, dict[str, int]]:
        """{label: {"train": n, "val": n, "test": n}}."""
        return {
            label: {
                part: sum(picture.label == index for picture in getattr(self, part))
                for part in ("train", "val", "test")
            }
            for index, label in enumerate(self.labels)
        }


def open_dataset(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """The recipe's data, every picture looked at once.

    Unreadable pictures are left out, counted and listed; more than `data.max_unreadable` of them
    is an error. Raises ConfigError, FileError, DataError, NotAvailableYet.
    """
    kind, rest = split_spec(recipe.data.source)
    if kind not in OPENERS:
        raise NotAvailableYet(
            f"data.source {recipe.data.source!r} is not available yet",
            fix=f"use one of: {', '.join(OPENERS)}",
        )
    target = str(recipe.folder / Path(rest).expanduser()) if kind in _ON_DISK else rest
    opener: Callable[..., Source] = importlib.import_module(OPENERS[kind]).open_source
    source = opener(target, recipe.cut) if recipe.cut else opener(target)
    source = _in_order(source, recipe.data.labels)
    _check_labels(source.labels)
    pictures = [picture for part in source.parts.values() for picture in part]
    unreadable = _look_at(pictures, progress)
    check_unreadable(
        list(unreadable.values()),
        len(pictures),
        recipe.data.max_unreadable,
        fix="remove or replace them, or raise data.max_unreadable",
    )
    parts = {
        name: [picture for picture in part if id(picture) not in unreadable]
        for name, part in source.parts.items()
    }
    _check_classes(source.labels, parts)
    if "all" in parts:
        parts = _split(parts["all"], len(source.labels), recipe.data.split, recipe.seed)
    elif "val" not in parts:
        parts |= _hold_out(parts["train"], source.labels, recipe.data.split, recipe.seed)
    return _finish(source.labels, parts, tuple(unreadable.values()))


def _in_order(source: Source, wanted: tuple[str, ...]) -> Source:
    """The source with its labels in the recipe's order."""
    if not wanted or wanted == source.labels:
        return source
    if set(wanted) != set(source.labels):
        missing = sorted(set(source.labels) - set(wanted))
        extra = sorted(set(wanted) - set(source.labels))
        raise DataError(
            "data.labels does not match the data: "
            + "; ".join(
                f"{what}: {', '.join(names)}"
                for what, names in (("not in data.labels", missing), ("not in the data", extra))
                if names
            ),
            fix=f"name exactly the classes found: {', '.join(source.labels)}",
        )
    number = {label: index for index, label in enumerate(wanted)}
    parts = {
        name: [sample.labelled(number[source.labels[sample.label]]) for sample in part]
        for name, part in source.parts.items()
    }
    return Source(wanted, parts)


def _check_labels(labels: tuple[str, ...]) -> None:
    """labels.txt holds one label a line, in UTF-8; a folder's name may be any bytes."""
    for label in labels:
        if label.splitlines() != [label] or label.encode("utf-8", "replace").decode() != label:
            raise DataError(
                f"class {label!r} is not one line of text in UTF-8", fix="rename its folder"
            )


def _look_at(
    pictures: Sequence[Sample], progress: Callable[[int, int], None] | None
) -> dict[int, str]:
    """{id(picture): why} for pictures that cannot be decoded. Arrays in memory always can."""

    def reason(picture: Sample) -> str:
        try:
            picture.read()
        except EdgeError as error:
            return str(error)
        return ""

    on_disk = [p for p in pictures if isinstance(p, Picture) and p.path is not None]
    found: dict[int, str] = {}
    with ThreadPoolExecutor() as pool:
        for done, (picture, why) in enumerate(
            zip(on_disk, pool.map(reason, on_disk), strict=True), start=1
        ):
            if why:
                found[id(picture)] = why
            if progress:
                progress(done, len(on_disk))
    return found


def _check_classes(labels: tuple[str, ...], parts: dict[str, list[Sample]]) -> None:
    if len(labels) < 2:
        raise DataError(
            f"there is one class only: {labels[0]}", fix="add a second class folder to tell apart"
        )
    least = LEAST_PICTURES if "all" in parts else 1
    for name, part in parts.items():
        counts = np.bincount([p.label for p in part], minlength=len(labels)).tolist()
        for label, count in zip(labels, counts, strict=True):
            if count < least:
                where = "" if name == "all" else f" in {name}/"
                raise DataError(
                    f"class {label!r} has {count} readable picture{'s' * (count != 1)}{where}, "
                    f"at least {least} needed",
                    fix="add pictures to it (20 or more to learn anything), or remove its folder",
                )


def _split(
    pictures: list[Sample], classes: int, shares: tuple[float, float, float], seed: int
) -> dict[str, list[Sample]]:
    """Stratified: each class in the same shares, at least one picture of it in each part."""
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    random = np.random.default_rng(seed)
    for label in range(classes):
        own = [p for p in pictures if p.label == label]
        order = [own[i] for i in random.permutation(len(own))]
        val, test = (max(1, round(share * len(own))) for share in shares[1:])
        while val + test >= len(own):
            val, test = (val - 1, test) if val >= test else (val, test - 1)
        parts["val"] += order[:val]
        parts["test"] += order[val : val + test]
        parts["train"] += order[val + test :]
    return parts


def _hold_out(
    train: list[Sample], labels: tuple[str, ...], shares: tuple[float, float, float], seed: int
) -> dict[str, list[Sample]]:
    """A validation part out of `train`, for sources that have train and test only."""
    share = shares[1] / (shares[0] + shares[1])
    random = np.random.default_rng(seed)
    held: set[int] = set()
    for number, label in enumerate(labels):
        own = [i for i, p in enumerate(train) if p.label == number]
        if len(own) < 2:
            raise DataError(
                f"class {label!r} has {len(own)} readable picture in train/, at least 2 needed",
                fix="add pictures to train/, or give the source a val/ part",
            )
        count = min(len(own) - 1, max(1, round(share * len(own))))
        held.update(random.permutation(own)[:count].tolist())
    return {
        "train": [p for i, p in enumerate(train) if i not in held],
        "val": [p for i, p in enumerate(train) if i in held],
    }


def _finish(
    labels: tuple[str, ...], parts: dict[str, list[Sample]], unreadable: tuple[str, ...]
) -> Dataset:
    seen: dict[str, set[str]] = {}
    duplicates = 0
    for name, part in parts.items():
        for picture in part:
            where = seen.setdefault(picture.sha256, set())
            duplicates += bool(where)
            where.add(name)
    digest = digest_of([p for name in ("train", "val", "test") for p in parts[name]])
    return Dataset(
        labels,
        parts["train"],
        parts["val"],
        parts["test"],
        unreadable,
        duplicates,
        sum(len(where) > 1 for where in seen.values()),
        digest,
    )
