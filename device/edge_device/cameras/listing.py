"""The cameras attached to this machine: which are usable, and why the others are not."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_device.cameras.backends import BACKENDS
from edge_device.cameras.v4l2 import Device, query
from edge_sdk.errors import CameraError, EdgeError

if TYPE_CHECKING:
    from edge_sdk.documents.cameras import CameraEntry, CameraKind, Cameras

_PI_DRIVERS = ("unicam", "rp1-cfe", "bcm2835-isp", "bcm2835-codec", "pispbe", "rpivid")
"""Kernel drivers of the Pi's camera port, image processor and decoders: libcamera's to use."""

_AV_FIX = 'pip install "edge-sdk-device[video]"'


@dataclass(frozen=True)
class ListedCamera:
    """A camera that is attached. spec: what to give to --camera. because, fix: why it is not usable
    and the way out; "" where it is.
    """

    spec: str
    kind: str
    name: str
    usable: bool = True
    because: str = ""
    fix: str = ""

    def as_dict(self) -> CameraEntry:
        """The JSON form."""
        return {
            "spec": self.spec,
            "kind": self.kind,
            "name": self.name,
            "usable": self.usable,
            "because": self.because,
            "fix": self.fix,
        }


def list_cameras(
    dev: Path = Path("/dev"),
    sys: Path = Path("/sys"),
    ask: Callable[[Path], Device] = query,
) -> list[ListedCamera]:
    """The cameras that are attached, in the order in which `run` would take them.

    dev, sys: where devices, and what the kernel says of them, are found. ask: about one of them.
    """
    return [*_pi_cameras(), *_usb_cameras(dev, sys, ask)]


def first_usable(found: list[ListedCamera]) -> str:
    """The SPEC of the first camera that can be used.

    Raises CameraError, naming what was tried.
    """
    for camera in found:
        if camera.usable:
            return camera.spec
    tried = "; ".join(f"{camera.spec}: {camera.because}" for camera in found)
    raise CameraError(
        f"no camera was given, and no attached camera is usable ({tried})",
        fix="give one: --camera rtsp://HOST/PATH, --camera folder:images?fps=30 or "
        "--camera video:film.mp4; edge-sdk cameras shows them all",
    )


def cameras_document(found: list[ListedCamera]) -> Cameras:
    """The JSON form: what is attached, and every kind with how it is written."""
    kinds: list[CameraKind] = [
        {
            "kind": kind,
            "write": backend.usage(kind),
            "parameters": list(backend.parameters),
            "help": backend.help,
        }
        for kind, backend in BACKENDS.items()
    ]
    return {
        "schema": "edge-sdk/cameras/1",
        "cameras": [camera.as_dict() for camera in found],
        "kinds": kinds,
    }


def _pi_cameras() -> list[ListedCamera]:
    try:
        listed = importlib.import_module("edge_device.cameras.picamera2").list_cameras()
    except EdgeError as error:
        return [ListedCamera("picamera2", "picamera2", "", False, str(error), error.fix)]
    if not listed:
        because = "no camera is attached to the Pi's port"
        fix = "switch the Pi off, seat both ends of the cable, and switch it on again"
        return [ListedCamera("picamera2", "picamera2", "", False, because, fix)]
    return [ListedCamera(f"picamera2:{index}", "picamera2", model) for index, model in listed]


def _usb_cameras(dev: Path, sys: Path, ask: Callable[[Path], Device]) -> list[ListedCamera]:
    paths = [path for path in dev.glob("video*") if re.fullmatch("video[0-9]+", path.name)]
    found = [_usb_camera(path, sys, ask) for path in sorted(paths, key=_number)]
    if found:
        return found
    because = f"there is no {dev}/video*"
    return [ListedCamera("v4l2", "v4l2", "", False, because, "plug a USB camera in")]


def _usb_camera(path: Path, sys: Path, ask: Callable[[Path], Device]) -> ListedCamera:
    spec, name = f"v4l2:{path}", _kernel_name(path.name, sys)
    try:
        device = ask(path)
    except CameraError as error:
        return ListedCamera(spec, "v4l2", name, False, str(error), error.fix)
    name = name or device.name
    if device.driver in _PI_DRIVERS or device.driver.startswith("rpi"):
        because, fix = f"belongs to the Pi's own camera ({device.driver})", "use picamera2"
    elif not device.captures:
        because, fix = "is not a capture device (metadata node or codec)", ""
    elif importlib.util.find_spec("av") is None:
        because, fix = "PyAV is not installed", _AV_FIX
    else:
        return ListedCamera(spec, "v4l2", name)
    return ListedCamera(spec, "v4l2", name, False, because, fix)


def _kernel_name(device: str, sys: Path) -> str:
    try:
        text = (sys / "class" / "video4linux" / device / "name").read_text("utf-8", "replace")
    except OSError:
        return ""
    return text.strip()


def _number(path: Path) -> int:
    return int(path.name.removeprefix("video"))
