"""Camera `picamera2[:N]`: a camera on the Pi's own connector, by libcamera.

The ISP delivers two streams of the same instant and the same part of the scene: a small one for the
model, in planes (YUV 4:2:0: all that a Pi 4's ISP has beside the first stream), and the one that
people look at, as the frame's `image`. The camera may give other than it was asked for: format,
size, row length, colour range and orientation are read back, and believed.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from edge_device.cameras.base import CLOSE_TIMEOUT_S, Camera
from edge_device.cameras.isp import Size, Stream, frame_of, inference_size, turned
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError, MissingPackage
from edge_sdk.frames import Frame

DEFAULT_SIZE = (1280, 720)
DEFAULT_FPS = 30.0

MIN_PATIENCE_S = 10.0
PATIENCE_PERIODS = 10
"""A read ends with an error after 10 frame periods without a frame, and 10 s at least."""

BUFFERS = 4
"""Of each stream: one at the sensor, one waiting for it, one being read, one to spare."""

_LOOK_S = 0.05
"""Seconds between two checks of a waiting read whether the camera was closed."""

_log = logging.getLogger("edge_device.cameras")


class PiCamera(Camera):
    """Frames as the ISP scales them.

    inference: width and height of the model's input. None: one stream, for people and model alike.
    index: the place in `list_cameras()`.
    """

    remedy = "sudo dmesg | grep -i -e imx -e ov5647 -e unicam -e cfe; check the camera's cable"

    def __init__(
        self, spec: CameraSpec, index: int, inference: Size | None = None, **clock: Any
    ) -> None:
        # Size and orientation are seen to here, not by the base class.
        upright = replace(spec, width=None, height=None, rotate=0, hflip=False)
        super().__init__(upright, **clock)
        self._asked = spec
        self._job: Any = None
        from picamera2 import Picamera2

        self._camera = Picamera2(index)
        try:
            self._configure(inference)
            self._camera.start()
        except BaseException:
            self._close()
            raise

    def _read(self) -> Frame | None:
        request = self._next_request()
        if request is None:
            return None
        try:
            metadata = request.get_metadata()
            main, *small = (
                frame_of(request.make_buffer(name), stream)
                for name, stream in self._streams.items()
            )
        finally:
            request.release()
        image = turned(main, *self._left_to_turn)
        frame = replace(turned(small[0], *self._left_to_turn), image=image) if small else image
        exposure_us = metadata.get("ExposureTime")
        return replace(
            frame,
            sensor_ns=min(metadata.get("SensorTimestamp", 0), self._now_ns()),
            exposure_ns=None if exposure_us is None else 1000 * exposure_us,
        )

    def _next_request(self) -> Any:
        """The next completed request, None when the camera was closed meanwhile."""
        fps = self._asked.fps or DEFAULT_FPS
        patience_s = max(MIN_PATIENCE_S, PATIENCE_PERIODS / fps)
        give_up = time.monotonic() + patience_s
        # Kept where a read gives up: its request must be released by whoever gets it.
        self._job = self._job or self._camera.capture_request(wait=False)
        while not self._closing.is_set():
            try:
                request = self._job.get_result(timeout=_LOOK_S)
            except TimeoutError:
                if time.monotonic() > give_up:
                    raise CameraError(
                        f"camera {self.spec.text!r} gave no frame for {patience_s:g} s",
                        fix=self.remedy,
                    ) from None
                continue
            self._job = None
            return request
        return None

    def _close(self) -> None:
        """libcamera may hang in here ("Camera frontend has timed out"); it is then left behind."""
        closer = threading.Thread(target=self._let_go, name="edge-camera-close", daemon=True)
        closer.start()
        closer.join(CLOSE_TIMEOUT_S)
        if closer.is_alive():
            _log.warning("camera %r does not stop; it is left behind", self.spec.text)

    def _let_go(self) -> None:
        with suppress(Exception):  # a read's job that waits would keep the one that stops waiting
            self._camera.cancel_all_and_flush()
        try:
            self._camera.close()
        except Exception as error:
            _log.warning("camera %r did not close: %s", self.spec.text, error)

    def _configure(self, inference: Size | None) -> None:
        from libcamera import ColorSpace, Transform

        camera, spec = self._camera, self._asked
        sideways = spec.rotate in (90, 270)
        half = spec.rotate == 180
        flips = Transform() if sideways else Transform(hflip=spec.hflip != half, vflip=half)
        main = _main_size(spec, camera.sensor_resolution, sideways)
        if inference is not None:
            inference = inference_size(main, inference[::-1] if sideways else inference)
        camera.configure(
            camera.create_video_configuration(
                main={"size": main, "format": "RGB888"},
                lores={"size": inference, "format": "YUV420"} if inference else None,
                transform=flips,
                colour_space=ColorSpace.Sycc(),
                buffer_count=BUFFERS,
                queue=False,  # a frame from before the question is never the answer
                controls=_pace(camera.camera_controls, spec.fps or DEFAULT_FPS),
                display=None,
                encode=None,
            )
        )
        given = camera.camera_configuration()
        names = ("main", "lores") if inference else ("main",)
        self._streams = {name: self._given(given[name], place) for place, name in enumerate(names)}
        done = given["transform"] == flips and not sideways
        self._left_to_turn = (0, False) if done else (spec.rotate, spec.hflip)

    def _given(self, stream: dict[str, Any], place: int) -> Stream:
        """The stream as configured; place: its place in libcamera's configuration."""
        from libcamera import ColorSpace

        space = self._camera.libcamera_config.at(place).color_space
        encodings = ColorSpace.YcbcrEncoding
        if space is not None and space.ycbcrEncoding not in (encodings.Rec601, encodings.Null):
            self._notes.append(f"colours are {space.ycbcrEncoding}, and read as BT.601")
        full = space is None or space.range == ColorSpace.Range.Full
        return Stream(stream["format"], tuple(stream["size"]), stream["stride"], full)


def open_backend(spec: CameraSpec, *, inference: Size | None = None, **clock: Any) -> PiCamera:
    """Open the camera with the number `spec.address` (0). inference: as PiCamera.

    Raises MissingPackage without picamera2, CameraError where there is no such camera or it is in
    use.
    """
    index, cameras = int(spec.address or 0), list_cameras()
    if index >= len(cameras):
        there = ", ".join(f"picamera2:{place} ({model})" for place, model in cameras)
        raise CameraError(
            f"there is no camera {index} on this Pi",
            fix=f"use one of: {there}"
            if there
            else "switch the Pi off, seat both ends of the camera's cable, and switch it on again",
        )
    return PiCamera(spec, index, inference, **clock)


def list_cameras() -> list[tuple[int, str]]:
    """Number (as in picamera2:NUMBER) and model of each camera that libcamera sees.

    Raises MissingPackage without picamera2.
    """
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:WARN")  # read when libcamera is loaded
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise MissingPackage(
            f"the Pi's cameras need picamera2, which is not usable here: {error}",
            fix="sudo apt install python3-picamera2, and create the environment with "
            "python3 -m venv --system-site-packages (make device does)",
        ) from error
    # By its place in this list, not by "Num": that is how Picamera2(place) counts.
    cameras = Picamera2.global_camera_info()
    return [(place, str(camera.get("Model", ""))) for place, camera in enumerate(cameras)]


def _main_size(spec: CameraSpec, sensor: Size, sideways: bool) -> Size:
    """The stream for people, as the sensor lies; one side alone keeps the sensor's aspect ratio."""
    width, height = (spec.height, spec.width) if sideways else (spec.width, spec.height)
    if width is None and height is None:
        return DEFAULT_SIZE
    width = width or round((height or 0) * sensor[0] / sensor[1])
    height = height or round(width * sensor[1] / sensor[0])
    return width - width % 2, height - height % 2


def _pace(controls: dict[str, Any], fps: float) -> dict[str, Any]:
    """The control that holds the frame rate, where the camera has it; inf: as fast as it goes."""
    if "FrameDurationLimits" not in controls:
        return {}
    shortest = controls["FrameDurationLimits"][0]
    duration_us = shortest if math.isinf(fps) else round(1_000_000 / fps)
    return {"FrameDurationLimits": (duration_us, duration_us)}
