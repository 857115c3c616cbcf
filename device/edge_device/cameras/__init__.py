"""Cameras: frames one after another, behind one small interface.

    with open_camera("folder:images?fps=30") as camera:
        while (frame := camera.read()) is not None:
            ...

Backends are opened by name; each imports what it needs when it is opened, not before.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from edge_device.cameras.backends import BACKENDS, check_spec
from edge_device.cameras.base import Camera, Clock, Sleep, one_line
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError, EdgeError
from edge_sdk.specs import masked

__all__ = ["Camera", "open_camera"]


def open_camera(
    spec: str,
    *,
    inference: tuple[int, int] | None = None,
    stop: Callable[[], bool] = lambda: False,
    now_ns: Clock = time.monotonic_ns,
    sleep: Sleep | None = None,
) -> Camera:
    """Open the camera that a SPEC names, for example "folder:images?fps=30&loop=1".

    inference: width and height of what the model is fed. A camera that scales by itself (picamera2)
    then delivers frames about that size, with the large one as their `image`.

    A live camera (picamera2, v4l2, rtsp, http) has given its first frame, and is opened again by
    itself when it fails after that. Its first frame may take seconds; `stop` is asked meanwhile,
    and where it says True the camera is returned without one, ready to be closed.
    Raises ConfigError for a SPEC that cannot be read, MissingPackage, FileError for a path that is
    not there, CameraError for a camera that cannot be opened.
    """
    asked = check_spec(spec)
    backend = BACKENDS[asked.kind]
    options = {"inference": inference} if backend.streams else {}
    open_one = partial(_open_backend, asked, now_ns=now_ns, sleep=sleep, **options)
    if not backend.live:
        return open_one()
    from edge_device.cameras.recovery import RecoveringCamera

    return RecoveringCamera(asked, open_one, stop=stop, now_ns=now_ns, sleep=sleep)


def _open_backend(spec: CameraSpec, **options: Any) -> Camera:
    try:
        module = importlib.import_module(BACKENDS[spec.kind].module)
        camera: Camera = module.open_backend(spec, **options)
    except EdgeError as error:
        if not spec.secret:
            raise
        error.args = (masked(str(error)),)
        raise error from None
    except Exception as error:
        raise CameraError(
            f"camera {spec.text!r} cannot be opened: {one_line(error, spec)}", fix=Camera.remedy
        ) from (None if spec.secret else error)
    return camera
