"""The gate: the one way by which images leave the process while a camera runs.

A sink that shows an image to anybody (preview, a broker, a page) hands frame and result to
`publish` and passes on what it returns; import-linter keeps every other way of drawing and encoding
out of `edge_device.sinks` and `edge_device.run`. What must not be seen is taken away in here.

Outside stand `edge-sdk capture` and `predict --annotate`: their user names the images to keep and
the folder to keep them in, for training and for looking at answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edge_sdk.frames import Frame
from edge_sdk.images.contact_sheet import thumbnail
from edge_sdk.images.drawing import annotated
from edge_sdk.images.image_files import SUFFIXES, write_image
from edge_sdk.results import Result


@dataclass(frozen=True, eq=False)
class PublicImage:
    """An image that has passed the gate: BGR, the answer drawn on it."""

    SUFFIXES: ClassVar[frozenset[str]] = SUFFIXES

    frame: Frame

    def save(self, path: Path) -> None:
        """Replace the image file at `path` (ending in one of SUFFIXES), in a way that wears no card
        more than need be. Raises FileError.
        """
        write_image(path, self.frame, durable=False)


def publish(frame: Frame, result: Result, *, side: int) -> PublicImage:
    """The image that may leave the process for a frame and its answer: the one for people, with the
    answer drawn on it, its longer side of `side` pixels.
    """
    return PublicImage(thumbnail(annotated(frame, result), side))
