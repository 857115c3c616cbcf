"""The table of cameras: what kinds there are, how each is written, and whether a SPEC can be one.

Nothing here opens or imports a backend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_device.cameras.spec import CameraSpec, masked, parse_spec
from edge_sdk.configuration import nearest
from edge_sdk.errors import ConfigError


@dataclass(frozen=True)
class Backend:
    """One row of the table of cameras. parameters: which ones its SPEC takes. address: what follows
    the colon, for example; "" for nothing, in brackets where it may be left out. live: it is opened
    again when it fails (recovery.py). streams: it can deliver a second, smaller stream.
    """

    module: str
    parameters: tuple[str, ...]
    help: str
    address: str = ""
    live: bool = False
    streams: bool = False

    @property
    def url(self) -> bool:
        """Whether its SPEC is a URL, with our parameters behind a "#"."""
        return self.address.startswith("//")

    def write(self, kind: str) -> str:
        """How a SPEC of this kind is written: "folder:PATH"."""
        if self.address.startswith("["):
            return f"{kind}[:{self.address[1:]}"
        return f"{kind}:{self.address}" if self.address else kind


_NUMBER = "[0-9]{1,3}"

_COMMON = ("fps", "width", "height", "rotate", "hflip")
_NETWORK = "edge_device.cameras.network"

BACKENDS: dict[str, Backend] = {
    "picamera2": Backend(
        *("edge_device.cameras.picamera2", _COMMON, "a camera of the Pi (CSI), by its number"),
        *("[0]", True, True),
    ),
    "v4l2": Backend(
        "edge_device.cameras.v4l2", _COMMON, "a USB camera (Video4Linux)", "/dev/video0", True
    ),
    "rtsp": Backend(_NETWORK, _COMMON, "a network camera (RTSP)", "//HOST/PATH", True),
    "http": Backend(_NETWORK, _COMMON, "a network camera (Motion JPEG)", "//HOST/PATH.mjpg", True),
    "https": Backend(_NETWORK, _COMMON, "the same, encrypted", "//HOST/PATH.mjpg", True),
    "folder": Backend(
        "edge_device.cameras.image_folder", (*_COMMON, "loop"), "the images in a folder", "PATH"
    ),
    "video": Backend("edge_device.cameras.video_file", (*_COMMON, "loop"), "a video file", "PATH"),
    "synthetic": Backend(
        "edge_device.cameras.synthetic", (*_COMMON, "frames"), "a moving pattern, always the same"
    ),
    "fake": Backend(
        "edge_device.cameras.fake", (*_COMMON, "frames"), "scripted frames, for tests of the rest"
    ),
}


def check_spec(text: str) -> CameraSpec:
    """What a SPEC says, without opening anything.

    Raises ConfigError for an unknown kind or parameter, or an address that cannot be one.
    """
    kind = text.partition("?")[0].partition(":")[0]
    if kind in BACKENDS:
        backend = BACKENDS[kind]
        spec = parse_spec(text, backend.parameters, url=backend.url)
        _check_address(spec, backend)
        return spec
    shown = masked(text)
    if written := _meant(text):
        raise ConfigError(f"camera {shown!r} does not say its kind", fix=f"write {written}")
    raise ConfigError(
        f"unknown camera {shown!r}", fix=f"write KIND:ADDRESS; {nearest(kind, BACKENDS)}"
    )


def _meant(text: str) -> str:
    """How to write what is clear without its kind: a device, a file, a camera's number; or ""."""
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
    wanted, fix = backend.address, f"write {backend.write(spec.kind)}"
    given = spec.address.removeprefix(f"{spec.kind}:") if backend.url else spec.address
    if wanted and not given and not wanted.startswith("["):
        raise ConfigError(f"camera {spec.text!r} does not say which {spec.kind}", fix=fix)
    if given and not wanted:
        raise ConfigError(f"camera {spec.text!r}: {spec.kind} has no address", fix=fix)
    if wanted == "[0]" and given and not re.fullmatch(_NUMBER, given):
        fix = f"write {spec.kind}:0, or another number that edge-sdk cameras shows"
        raise ConfigError(f"camera {spec.text!r}: {given!r} is no camera's number", fix=fix)
    if spec.kind == "v4l2" and re.fullmatch(_NUMBER, given):
        fix = f"write v4l2:/dev/video{given}"
        raise ConfigError(f"camera {spec.text!r}: {given!r} is no device", fix=fix)
    if backend.url and not _has_host(spec.address):
        escapes = "in a user or a password write %40 for @, %23 for #, %2F for /"
        raise ConfigError(f"camera {spec.text!r} is no URL", fix=f"{fix}; {escapes}")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False
