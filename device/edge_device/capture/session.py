"""One camera's frames, shared out among labels, one after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from edge_device.capture.label_folder import ClassFolder
from edge_device.capture.quality import Fault, quality, viewable
from edge_device.capture.settings import Settings
from edge_device.sinks.preview import PREVIEW_S, PREVIEW_SIDE
from edge_sdk.events import Event, Listener, ignore
from edge_sdk.frames import Frame
from edge_sdk.images.contact_sheet import thumbnail
from edge_sdk.images.image_files import write_image
from edge_sdk.images.perceptual_hash import MAX_BITS, Hash, perceptual_hash

STILL = 20
"""After so many near-duplicates in a row there is a warning."""

Frames = Generator[Frame, None, None]


@dataclass(frozen=True)
class Operator:
    """The person at the camera. stop: asked now and then, True ends the capture. entered: True once
    each time Enter was pressed; None without a terminal. listen: told the progress, and by a
    warning what needs attention.
    """

    stop: Callable[[], bool] = lambda: False
    entered: Callable[[], bool] | None = None
    listen: Listener = ignore


@dataclass
class ImageBatch:
    """The images taken of one label."""

    folder: ClassFolder
    files: list[Path] = field(default_factory=list)
    faults: dict[Path, Fault] = field(default_factory=dict)
    skipped: int = 0
    still: int = 0
    hash: Hash = None

    def take(self, image: Frame, keep_similar: bool) -> None:
        """Save the image, unless it is almost the same as the last one. Raises FileError."""
        found = perceptual_hash(image)
        if not keep_similar and _alike(found, self.hash):
            self.skipped += 1
            self.still += 1
            return
        path = self.folder.save(image)
        self.files.append(path)
        self.hash, self.still = found, 0
        if fault := quality(image).fault:
            self.faults[path] = fault


class Session:
    """Takes images from the frames of a camera. interval_s 0: every frame."""

    def __init__(self, frames: Frames, settings: Settings, operator: Operator) -> None:
        self._frames = frames
        self._settings = settings
        self._interval_ns = round(settings.interval_s * 1e9)
        self._delay_ns = round((settings.delay_s or 0.0) * 1e9)
        self._operator = operator
        self._preview_ns = 0

    def ask(self, label: str) -> None:
        """Wait for Enter, the preview going on."""
        entered = self._operator.entered
        assert entered is not None
        while entered():  # pressed before it was asked for
            pass
        for frame in self._frames:
            self._operator.listen(Event("progress", label, "press Enter to begin"))
            self._show(frame)
            if entered():
                return

    def fill(self, batch: ImageBatch) -> None:
        """Take images until there are enough, or no more frames. Raises EdgeError."""
        due = None
        for frame in self._frames:
            due = frame.sensor_ns + self._delay_ns if due is None else due
            if frame.sensor_ns < due:
                self._show(frame)
                self._say(batch, due - frame.sensor_ns)
                continue
            due = _after(due, frame.sensor_ns, self._interval_ns)
            image = viewable(frame)
            batch.take(image, self._settings.keep_similar)
            self._show(image, now=True)
            self._say(batch)
            if len(batch.files) == self._settings.count:
                return

    def _show(self, frame: Frame, *, now: bool = False) -> None:
        """Renew the preview, where it is time to; `now`: with an image that is taken."""
        path = self._settings.preview
        if path is not None and (now or frame.sensor_ns >= self._preview_ns):
            self._preview_ns = frame.sensor_ns + round(PREVIEW_S * 1e9)
            write_image(path, thumbnail(viewable(frame), PREVIEW_SIDE), durable=False)

    def _say(self, batch: ImageBatch, left_ns: int = 0) -> None:
        label = batch.folder.label
        if not batch.files and not batch.skipped and left_ns:
            self._operator.listen(
                Event("progress", label, f"starts in {math.ceil(left_ns / 1e9)} s")
            )
            return
        alike = f", {batch.skipped} near-duplicates skipped" if batch.skipped else ""
        taken = f"{len(batch.files)} of {self._settings.count}{alike}"
        self._operator.listen(Event("progress", label, taken))
        if batch.still == STILL and not left_ns:
            self._operator.listen(
                Event(
                    "warning",
                    label,
                    f"the last {STILL} images looked almost like the one before: move the subject, "
                    "or keep them with --keep-similar",
                )
            )


def _after(due: int, taken: int, interval: int) -> int:
    """The first of the instants due, due + interval, … after `taken`: without drift, and a stall is
    not made up for.
    """
    return due + interval * ((taken - due) // interval + 1) if interval else due


def _alike(one: Hash, other: Hash) -> bool:
    return one is not None and other is not None and (one ^ other).bit_count() <= MAX_BITS
