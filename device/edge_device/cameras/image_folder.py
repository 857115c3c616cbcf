"""Camera `folder:PATH`: the images of a folder and of those inside it, in the order of names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_device.cameras.replay import ReplayedCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError, FileError, ImageError
from edge_sdk.frames import Frame
from edge_sdk.images.image_files import list_images, read_image

_NAMED = 5
"""Unreadable images that the notes name; the others are counted."""


class FolderCamera(ReplayedCamera):
    """Raises FileError where there is no such folder, CameraError where it holds no images.

    An image that cannot be read is skipped, and counted once, however often the folder is gone
    through; the notes name the first few.
    """

    def __init__(self, spec: CameraSpec, **clock: Any) -> None:
        super().__init__(spec, **clock)
        self._paths = list_images(spec.address, recursive=True)
        if not self._paths:
            raise CameraError(
                f"{spec.address} holds no images",
                fix="put .jpg or .png files into it, or name another folder",
            )
        self._skipped: dict[Path, str] = {}
        self._images = self._in_order()

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the report; here also which images cannot be read."""
        reasons = list(self._skipped.values())
        if not reasons:
            return super().notes
        more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        return (*super().notes, f"unreadable, skipped: {'; '.join(reasons[:_NAMED])}{more}")

    def _read(self) -> Frame | None:
        return next(self._images, None)

    def _in_order(self) -> Iterator[Frame]:
        while True:
            for path in self._paths:
                try:
                    frame = read_image(path)
                except (ImageError, FileError) as error:
                    self._skipped.setdefault(path, str(error))
                    self.unreadable = len(self._skipped)
                else:
                    yield frame
            if len(self._skipped) == len(self._paths):
                raise CameraError(
                    f"none of the {len(self._paths)} images in {self.spec.address} can be read: "
                    f"{next(iter(self._skipped.values()))}",
                    fix="copy them again, or name another folder",
                )
            if not self.spec.loop:
                return


def open_backend(spec: CameraSpec, **clock: Any) -> FolderCamera:
    """Open the folder at `spec.address`. Raises as FolderCamera does."""
    return FolderCamera(spec, **clock)
