"""Data sets: labelled samples in three parts, opened by the recipe's `data.source`."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edge_converter.datasets.parts import Parts, by_file, hold_out, split
from edge_converter.recipe.loading import Recipe
from edge_sdk.data.sample_sets import check_unreadable, digest_of
from edge_sdk.data.samples import Image, Sample
from edge_sdk.data.sources import PARTS, split_spec
from edge_sdk.data.splits import MIN, imbalance
from edge_sdk.documents.build import NearPair as NearPairRecord
from edge_sdk.documents.build import SplitCount
from edge_sdk.errors import DataError, EdgeError, NotAvailableYet
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.images.perceptual_hash import Hash, near_duplicates, perceptual_hash
from edge_sdk.images.scan import in_threads, scan_images

OPENERS = {
    "digits": "edge_converter.datasets.digits",
    "folder": "edge_converter.datasets.image_folders",
    "keras": "edge_converter.datasets.keras_datasets",
    "csv": "edge_converter.datasets.csv_file",
    "video": "edge_converter.datasets.video_folders",
}
_ON_DISK = ("folder", "csv", "video")
_NAMED = 5
"""Files that a warning or an error names."""


@dataclass(frozen=True, eq=False)
class Source:
    """The samples of a data source. parts: {"all": …} to be split, or "train", "val" and "test".

    what: a sample's name for people. cut: makes a file's samples out of one that stands for the
    whole file; raises EdgeError for a file that is no good. numbered: the labels are values, which
    `data.labels` may name. left_out: files of other kinds.
    """

    labels: tuple[str, ...]
    parts: Mapping[str, Sequence[Sample]]
    what: str = "image"
    cut: Callable[[Sample], Sequence[Sample]] | None = None
    numbered: bool = False
    left_out: tuple[Path, ...] = ()


@dataclass(frozen=True)
class NearPair:
    """A sample that looks like one in another part, without being equal; `bits` of 64 differ."""

    name: str
    part: str
    other: str
    other_part: str
    bits: int

    def as_dict(self) -> NearPairRecord:
        """The JSON form."""
        return {
            "name": self.name,
            "part": self.part,
            "other": self.other,
            "other_part": self.other_part,
            "bits": self.bits,
        }


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples in three parts. `labels[sample.target]` is a sample's class.

    unreadable: what was left out, one line each. duplicates: samples whose content stands earlier
    in the set; across: those that stand in another part as well; near: images that look like one
    of an earlier part, `compared` of them all: clips, features and small images are not.
    left_out: files of a kind that is not read. what: "image", "clip", "sequence".
    """

    labels: tuple[str, ...]
    train: Sequence[Sample]
    val: Sequence[Sample]
    test: Sequence[Sample]
    unreadable: tuple[str, ...] = ()
    duplicates: int = 0
    across: int = 0
    sha256: str = ""
    near: tuple[NearPair, ...] = ()
    compared: int = 0
    left_out: tuple[Path, ...] = ()
    what: str = "image"

    @property
    def per_class(self) -> dict[str, SplitCount]:
        """{label: {"train": n, "val": n, "test": n}}."""
        train, val, test = (
            Counter(sample.label for sample in part) for part in (self.train, self.val, self.test)
        )
        return {
            label: {"train": train[index], "val": val[index], "test": test[index]}
            for index, label in enumerate(self.labels)
        }


def warnings(data: Dataset) -> list[str]:
    """Warnings about the data, one line each."""
    lines = []
    if data.across:
        appear = "s appear" if data.across > 1 else " appears"
        lines.append(
            f"{data.across} {data.what}{appear} in several splits; test accuracy will be too high"
        )
    if data.near:
        pair = data.near[0]
        lines.append(
            f"near-duplicates across splits: {len(data.near)} {data.what}s (first: {pair.name} in "
            f"{pair.part}, {pair.other} in {pair.other_part}); test accuracy will be too high: "
            "keep near-duplicates in one split, with folders train/, val/ and test/"
        )
    if data.left_out:
        shown = ", ".join(map(str, data.left_out[:_NAMED]))
        more = ", …" if len(data.left_out) > _NAMED else ""
        lines.append(
            f"{len(data.left_out)} files left out, of another kind or in no class folder: "
            f"{shown}{more}"
        )
    counts = {label: parts["train"] for label, parts in data.per_class.items()}
    return [*lines, *filter(None, [imbalance(counts, data.what)])]


def open_dataset(recipe: Recipe, listen: Listener = ignore) -> Dataset:
    """The recipe's data, every file looked at once.

    Unreadable files are left out, counted and listed; more than `data.max_unreadable` of them is
    an error. Raises ConfigError, FileError, DataError, NotAvailableYet.
    """
    source = _named(_open(recipe), recipe.data.labels)
    _check_labels(source.labels)
    looks = _scan_all(source, listen)
    unreadable = tuple(look.why for part in looks.values() for look in part if look.why)
    check_unreadable(
        unreadable,
        sum(map(len, looks.values())),
        recipe.data.max_unreadable,
        fix=f"{'lower sequence.frames, ' if source.cut else ''}remove or replace them, or raise "
        "data.max_unreadable",
    )
    parts = {name: [s for look in part for s in look.samples] for name, part in looks.items()}
    _check_classes(source, parts, unreadable)
    shares = recipe.data.split
    if "all" in parts:
        parts = split(parts["all"], len(source.labels), shares, recipe.seed)
    elif "val" not in parts:
        parts |= hold_out(parts["train"], source.labels, shares, recipe.seed, source.what)
    hashes = {id(s): look.hash for part in looks.values() for look in part for s in look.samples}
    return _finish(source, parts, unreadable, hashes)


def _open(recipe: Recipe) -> Source:
    kind, rest = split_spec(recipe.data.source)
    if kind not in OPENERS:
        raise NotAvailableYet(
            f"data.source {recipe.data.source!r} is not available yet",
            fix=f"use one of: {', '.join(OPENERS)}",
        )
    target = str(recipe.folder / Path(rest).expanduser()) if kind in _ON_DISK else rest
    opener: Callable[..., Source] = importlib.import_module(OPENERS[kind]).open_source
    return opener(target, recipe.cut) if recipe.cut else opener(target)


def _named(source: Source, wanted: tuple[str, ...]) -> Source:
    """The source with its labels in the recipe's order; values get the names at their places."""
    if not wanted or wanted == source.labels:
        return source
    if set(wanted) != set(source.labels):
        if source.numbered and len(wanted) == len(source.labels):
            _check_order(source.labels)
            return replace(source, labels=wanted)
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
    return replace(source, labels=wanted, parts=parts)


def _check_order(values: tuple[str, ...]) -> None:
    """Names by place go wrong unnoticed where values sort in an unexpected order: 0, 1, 10, 2."""
    if all(value.isdecimal() for value in values) and list(values) != sorted(values, key=int):
        raise DataError(
            f"the classes sort as text, {', '.join(values[:4])}, …, so data.labels would name them "
            "in another order than their numbers",
            fix="write the numbers with as many digits each (00, 01, … 10), or leave data.labels "
            "empty",
        )


def _check_labels(labels: tuple[str, ...]) -> None:
    """labels.txt holds one label a line, in UTF-8; a folder's name may be any bytes."""
    for label in labels:
        if label.splitlines() != [label] or label.encode("utf-8", "replace").decode() != label:
            raise DataError(f"class {label!r} is not one line of text in UTF-8", fix="rename it")


@dataclass(frozen=True)
class _FileScan:
    """samples: what the file holds, none where it is unreadable; then `why`."""

    samples: Sequence[Sample]
    hash: Hash = None
    why: str = ""


def _scan_all(source: Source, listen: Listener) -> dict[str, list[_FileScan]]:
    """A look at each file of each part, in order."""
    total, done = sum(map(len, source.parts.values())), 0
    found: dict[str, list[_FileScan]] = {}
    for name, part in source.parts.items():
        found[name] = []
        for one in _scans(source, part):
            found[name].append(one)
            done += 1
            listen(Event("progress", "data", "", done, total, "files"))
    return found


def _scans(source: Source, part: Sequence[Sample]) -> Iterator[_FileScan]:
    files = [one.path for one in part if isinstance(one, Image) and one.path is not None]
    if len(files) < len(part):
        yield from in_threads(partial(_scan_other, source), part)
        return
    for image, found in zip(part, scan_images(files), strict=True):
        if isinstance(found, str):
            yield _FileScan([], why=found)
            continue
        # Its cached property, filled from the bytes that were just read: nobody reads them again.
        object.__setattr__(image, "sha256", found.sha256)
        yield _FileScan([image], found.hash)


def _scan_other(source: Source, sample: Sample) -> _FileScan:
    """The scan of a clip, a row, or an image in memory."""
    try:
        if source.cut:
            return _FileScan(source.cut(sample))
        return _FileScan(
            [sample], perceptual_hash(sample.read()) if isinstance(sample, Image) else None
        )
    except EdgeError as error:
        return _FileScan([], why=str(error))


def _check_classes(source: Source, parts: Parts, unreadable: tuple[str, ...]) -> None:
    labels, what = source.labels, source.what
    if len(labels) < 2:
        raise DataError(f"there is only one class: {labels[0]}", fix="add a second class")
    least = MIN if "all" in parts else 1
    for name, part in parts.items():
        for label, own in zip(labels, by_file(part, len(labels)), strict=True):
            if len(own) < least:
                where = "" if name == "all" else f" in {name}/"
                why = f" (unreadable: {'; '.join(unreadable[:_NAMED])})" if unreadable else ""
                raise DataError(
                    f"class {label!r} has {len(own)} readable {what}{'s' * (len(own) != 1)}{where},"
                    f" at least {least} needed{why}",
                    fix=f"add {what}s to it, or remove the class",
                )


def _finish(
    source: Source, parts: Parts, unreadable: tuple[str, ...], hashes: dict[int, Hash]
) -> Dataset:
    seen: dict[str, set[str]] = {}
    duplicates = 0
    for name, part in parts.items():
        for sample in part:
            where = seen.setdefault(sample.sha256, set())
            duplicates += bool(where)
            where.add(name)
    return Dataset(
        source.labels,
        parts["train"],
        parts["val"],
        parts["test"],
        unreadable,
        duplicates,
        sum(len(where) > 1 for where in seen.values()),
        digest_of([sample for name in PARTS for sample in parts[name]]),
        _near(parts, hashes),
        sum(value is not None for value in hashes.values()),
        source.left_out,
        source.what,
    )


def _near(parts: Parts, hashes: dict[int, Hash]) -> tuple[NearPair, ...]:
    found = near_duplicates({name: [hashes[id(s)] for s in parts[name]] for name in PARTS})
    pairs = []
    for near in found:
        one, other = parts[near.part][near.index], parts[near.other_part][near.other]
        if one.sha256 != other.sha256:  # equal ones are counted as such
            pairs.append(NearPair(one.name, near.part, other.name, near.other_part, near.bits))
    return tuple(pairs)
