"""The table of cameras: what kinds there are, how each is written, and whether a SPEC can be one.

Nothing here opens or imports a backend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge_device.cameras.spec import PARAMETERS, CameraSpec
from edge_sdk.errors import ConfigError
from edge_sdk.specs import Kind, kind_of, read_spec, show


@dataclass(frozen=True)
class Backend(Kind):
    """One row of the table of cameras. live: it is opened again when it fails (recovery.py).
    streams: it can deliver a second, smaller stream.
    """

    live: bool = False
    streams: bool = False


_NUMBER = "[0-9]{1,3}"

_COMMON = ("fps", "width", "height", "rotate", "hflip")
_MADE_UP = (*_COMMON, "frames")
_NETWORK = "edge_device.cameras.network"

BACKENDS: dict[str, Backend] = {
    "picamera2": Backend(
        *("edge_device.cameras.picamera2", "a camera of the Pi (CSI), by its number", "[0]"),
        *(_COMMON, True, True),
    ),
    "v4l2": Backend(
        *("edge_device.cameras.v4l2", "a USB camera (Video4Linux)", "/dev/video0"),
        *(_COMMON, True),
    ),
    "rtsp": Backend(_NETWORK, "a network camera (RTSP)", "//HOST/PATH", _COMMON, True),
    "http": Backend(_NETWORK, "a network camera (Motion JPEG)", "//HOST/PATH.mjpg", _COMMON, True),
    "https": Backend(_NETWORK, "the same, encrypted", "//HOST/PATH.mjpg", _COMMON, True),
    "folder": Backend(
        "edge_device.cameras.image_folder", "the images in a folder", "PATH", (*_COMMON, "loop")
    ),
    "video": Backend("edge_device.cameras.video_file", "a video file", "PATH", (*_COMMON, "loop")),
    "synthetic": Backend(
        "edge_device.cameras.synthetic", "a moving pattern, always the same", "", _MADE_UP
    ),
    "fake": Backend("edge_device.cameras.fake", "scripted frames, for tests", "", _MADE_UP),
}


def check_spec(text: str) -> CameraSpec:
    """Read a SPEC, without opening anything.

    Raises ConfigError for an unknown kind or parameter, or an address that cannot be one.
    """
    if kind_of(text) not in BACKENDS and (written := _meant(text)):
        shown = show(text, BACKENDS)
        raise ConfigError(f"camera {shown!r} does not say its kind", fix=f"write {written}")
    spec = read_spec(text, BACKENDS, PARAMETERS, of="camera")
    asked = CameraSpec(spec.text, spec.kind, spec.address, **spec.values)
    _check_address(asked, BACKENDS[spec.kind])
    return asked


def _meant(text: str) -> str:
    """The SPEC meant by a device, a file or a number without a kind; "" where none is clear."""
    path = Path(text)
    if text and _exists(path) and not path.is_char_device():
        return f"folder:{text}" if path.is_dir() else f"video:{text}"
    if text.startswith("/dev/"):
        return f"v4l2:{text}"
    if re.fullmatch(_NUMBER, text):
        return f"v4l2:/dev/video{text} for a USB camera, picamera2:{text} for the Pi's own"
    return ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for any file
        return False


def _check_address(spec: CameraSpec, backend: Backend) -> None:
    given, what = spec.address, f"camera {spec.text!r}"
    if backend.address == "[0]" and given and not re.fullmatch(_NUMBER, given):
        fix = f"write {spec.kind}:0, or another number that edge-sdk cameras shows"
        raise ConfigError(f"{what}: {given!r} is not a camera number", fix=fix)
    if spec.kind == "v4l2" and re.fullmatch(_NUMBER, given):
        raise ConfigError(f"{what}: {given!r} is not a device", fix=f"write v4l2:/dev/video{given}")
