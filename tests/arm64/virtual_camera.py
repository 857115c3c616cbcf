"""picamera2, unmodified, on libcamera's virtual camera: what no camera on a real Pi needs."""

from __future__ import annotations

import mmap
from typing import Any

import libcamera
import picamera2
from picamera2.allocators import LibcameraAllocator


class _Mapped:
    """A buffer's memory, as long as it is entered."""

    def __init__(self, allocator: object, buffer: Any, write: bool) -> None:
        self._buffer = buffer

    def __enter__(self) -> mmap.mmap:
        planes = self._buffer.planes
        self._memory = mmap.mmap(planes[0].fd, sum(plane.length for plane in planes))
        return self._memory

    def __exit__(self, *exception: object) -> None:
        self._memory.close()


class _Allocator(LibcameraAllocator):
    """Buffers come from libcamera: there is no device that could import them.

    picamera2 asks a frame's metadata how long its planes are; the binding of libcamera 0.4 gives
    memory there that is freed already.
    """

    def __init__(self, camera: Any) -> None:
        super().__init__(camera)
        self.sync = _Mapped


class VirtualPicamera2(picamera2.Picamera2):
    """Its question for raw formats is answered as by a USB camera, with the ordinary ones."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.allocator = _Allocator(self.camera)

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        viewfinder = self.camera.generate_configuration([libcamera.StreamRole.Viewfinder])
        formats = viewfinder.at(0).formats
        return [
            {"format": str(name), "size": (size.width, size.height)}
            for name in formats.pixel_formats
            for size in formats.sizes(name)
        ]


def install() -> None:
    """From here on whoever imports Picamera2 gets this one."""
    picamera2.Picamera2 = VirtualPicamera2
