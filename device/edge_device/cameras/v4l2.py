"""Camera `v4l2:/dev/video0`: USB cameras, by the kernel's Video4Linux and PyAV."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_device.cameras.pyav import load_av
from edge_device.cameras.pyav_stream import Source, StreamCamera
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError

_LOOK = "edge-sdk cameras shows what is attached"

_QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP of <linux/videodev2.h>: _IOR('V', 0, struct v4l2_capability)."""
_CAPABILITY = struct.Struct("16s32s32sIII12x")
_VIDEO_CAPTURE = 0x00000001
_DEVICE_CAPS = 0x80000000

_RAW_PIXELS = 640 * 480
"""Pixels that USB 2 carries uncompressed at 30 frames a second; larger images come as JPEGs."""


@dataclass(frozen=True)
class Device:
    """A video device as the kernel describes it. captures: it gives images, as a camera does."""

    driver: str
    name: str
    captures: bool


def query(path: Path) -> Device:
    """Ask the kernel about `path`. Raises CameraError where no device answers."""
    try:
        return device_of(_ask(path))
    except OSError as error:
        raise _refused(path, error) from error


def device_of(answer: bytes) -> Device:
    """Decode a struct v4l2_capability. A USB camera has a second node, for metadata: what counts
    is what the node can do, not the camera behind it.
    """
    driver, name, _, _, capabilities, of_device = _CAPABILITY.unpack(answer)
    flags = of_device if capabilities & _DEVICE_CAPS else capabilities
    return Device(_text(driver), _text(name), bool(flags & _VIDEO_CAPTURE))


def _ask(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return fcntl.ioctl(descriptor, _QUERYCAP, bytes(_CAPABILITY.size))
    finally:
        os.close(descriptor)


def sources(spec: CameraSpec) -> list[Source]:
    """The sources that PyAV may open for `spec`, best first: cameras differ in their formats."""
    size = (spec.width, spec.height)
    if spec.rotate in (90, 270):
        size = (spec.height, spec.width)
    options = {}
    if size[0] and size[1]:
        options["video_size"] = f"{size[0]}x{size[1]}"
    if spec.fps and spec.fps != float("inf"):
        options["framerate"] = f"{spec.fps:g}"
    plain = Source(spec.address, "v4l2", options, kernel_time=True)
    if (size[0] or 0) * (size[1] or 0) <= _RAW_PIXELS:
        return [plain]
    jpeg = {**options, "input_format": "mjpeg"}
    return [Source(spec.address, "v4l2", jpeg, kernel_time=True), plain]


class UsbCamera(StreamCamera):
    """A camera that the kernel has a driver for."""

    remedy = "check that no other program uses the camera and that it has this size and rate"


def open_backend(spec: CameraSpec, **clock: Any) -> UsbCamera:
    """Open the device at `spec.address`. Raises MissingPackage without PyAV, CameraError."""
    if not query(Path(spec.address)).captures:
        raise CameraError(f"{spec.address} is not a capture device", fix=_LOOK)
    av = load_av("USB cameras need")
    *others, last = sources(spec)
    for source in others:
        try:
            return UsbCamera(spec, av, source, **clock)
        except CameraError:  # it has no such format
            continue
    return UsbCamera(spec, av, last, **clock)


def _refused(path: Path, error: OSError) -> CameraError:
    if isinstance(error, FileNotFoundError):
        return CameraError(f"there is no {path}", fix=f"plug the camera in; {_LOOK}")
    if isinstance(error, PermissionError):
        return CameraError(
            f"{path} may not be opened by this user",
            fix="sudo usermod -aG video $USER, then log out and in again",
        )
    if error.errno == errno.ENOTTY:
        return CameraError(f"{path} is not a video device", fix=_LOOK)
    return CameraError(f"{path} cannot be opened: {error.strerror or error}", fix=_LOOK)


def _text(padded: bytes) -> str:
    return padded.split(b"\0")[0].decode("utf-8", "replace")
