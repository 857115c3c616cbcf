"""`video:PATH`: a folder of clips per class, or train/, val/ and test/ with class folders in each.

Clips are cut into windows of `sequence.frames` frames, one every `sequence.stride` frames.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_converter.datasets import Source
from edge_converter.datasets.image_folders import open_classes
from edge_sdk.data.samples import Clip, LabelledImages, Sample
from edge_sdk.errors import ConfigError, EdgeError, ImageError
from edge_sdk.images.video import SUFFIXES, count_frames
from edge_sdk.model.interface import SequenceEntry


def open_source(path: str, sequence: SequenceEntry) -> Source:
    """The clips below `path`, one sample a file, to be cut. Raises FileError, DataError."""

    def clip(label: int, file: Path) -> Clip:
        return Clip(label, str(file), path=file, frames=sequence.frames)

    source = open_classes(Path(path), SUFFIXES, "clip", clip)
    return replace(source, cut=partial(windows, stride=sequence.stride))


def windows(clip: Sample, stride: int) -> list[Sample]:
    """The windows of a whole clip: as many frames each as the clip says.

    Raises FileError, ImageError (it does not decode, or is shorter than one window).
    """
    assert isinstance(clip, Clip) and clip.path is not None
    found = count_frames(clip.path)
    if found < clip.frames:
        raise ImageError(
            f"{clip.path} has {found} frame{'s' * (found != 1)}, sequence.frames = {clip.frames} "
            "are needed",
            fix="use longer clips, or lower sequence.frames",
        )
    starts = range(0, found - clip.frames + 1, stride)
    return [replace(clip, name=f"{clip.path}#{start}", start=start) for start in starts]


def test_samples(path: str, sequence: SequenceEntry | None) -> LabelledImages:
    """The windows of the test part, or of all clips where there is none, for `evaluate`.

    Raises ConfigError without `sequence`, FileError, DataError.
    """
    if sequence is None:
        raise ConfigError(
            "data source video: needs a bundle for sequences",
            fix="use folder: for a bundle for single images",
        )
    source = open_source(path, sequence)
    part = "test" if "test" in source.parts else "all"
    found: list[Sample] = []
    for clip in source.parts[part]:
        own = [clip]  # one that cannot be cut stays whole, and is unreadable when it is read
        with contextlib.suppress(EdgeError):
            own = windows(clip, sequence.stride)
        found += own
    return LabelledImages(source.labels, found, part)
