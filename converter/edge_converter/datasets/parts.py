"""Samples into parts: stratified by class, and what comes from one file stays together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edge_sdk.data.samples import Sample
from edge_sdk.data.splits import held_out, split_sizes
from edge_sdk.errors import DataError

Parts = dict[str, list[Sample]]


def by_file(samples: Iterable[Sample], classes: int) -> list[list[list[Sample]]]:
    """For each class its samples in groups: the windows of one clip, else one sample each."""
    groups: list[dict[object, list[Sample]]] = [{} for _ in range(classes)]
    for sample in samples:
        groups[sample.label].setdefault(sample.path or id(sample), []).append(sample)
    return [list(own.values()) for own in groups]


def split(
    samples: Sequence[Sample], classes: int, shares: tuple[float, float, float], seed: int
) -> Parts:
    """{"train", "val", "test"}: each class in the same shares, at least one file of it in each."""
    parts: Parts = {"train": [], "val": [], "test": []}
    random = np.random.default_rng(seed)
    for own in by_file(samples, classes):
        order = [own[i] for i in random.permutation(len(own))]
        _, val, test = split_sizes(len(own), shares)
        parts["val"] += _flat(order[:val])
        parts["test"] += _flat(order[val : val + test])
        parts["train"] += _flat(order[val + test :])
    return parts


def hold_out(
    train: Sequence[Sample],
    labels: tuple[str, ...],
    shares: tuple[float, float, float],
    seed: int,
    what: str,
) -> Parts:
    """A validation part out of `train`, for sources that have train and test only.

    what: "image", "clip". Raises DataError for a class of one file.
    """
    random = np.random.default_rng(seed)
    held: set[int] = set()
    for label, own in zip(labels, by_file(train, len(labels)), strict=True):
        if len(own) < 2:
            raise DataError(
                f"class {label!r} has {len(own)} readable {what} in train/, at least 2 needed",
                fix=f"add {what}s to train/, or give the source a val/ part",
            )
        chosen = random.permutation(len(own))[: held_out(len(own), shares)]
        held.update(id(sample) for i in chosen for sample in own[i])
    return {
        "train": [sample for sample in train if id(sample) not in held],
        "val": [sample for sample in train if id(sample) in held],
    }


def _flat(groups: Iterable[list[Sample]]) -> list[Sample]:
    return [sample for group in groups for sample in group]
