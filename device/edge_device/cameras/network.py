"""Cameras `rtsp://`, `http://` and `https://`: network cameras, by PyAV.

RTSP goes through TCP: a packet lost on the way would be half an image. HTTP is Motion JPEG, one
part of a multipart answer an image.
"""

from __future__ import annotations

from typing import Any

from edge_device.cameras.pyav import load_av
from edge_device.cameras.pyav_stream import Source, StreamCamera
from edge_device.cameras.spec import CameraSpec

_TIMEOUT_US = "30000000"
"""After 30 s without a byte FFmpeg gives up, so that no thread stays in it; a stalled camera is
noticed and left long before that (recovery.py). PyAV's own timeout would ask Python for the time
again and again, which kills a process that is at its end and left a thread in FFmpeg.
"""

_RTSP = {"rtsp_transport": "tcp", "timeout": _TIMEOUT_US}
_MJPEG = {
    "rw_timeout": _TIMEOUT_US,
    # The first image says all there is to know.
    "probesize": "32",
    "analyzeduration": "0",
}


class NetworkCamera(StreamCamera):
    """A camera somewhere else."""

    remedy = "check that the camera is switched on and sends the stream that the URL names"


def source_of(spec: CameraSpec) -> Source:
    """The source that PyAV opens for `spec`."""
    if spec.kind == "rtsp":
        return Source(spec.address, "rtsp", _RTSP)
    return Source(spec.address, "mpjpeg", _MJPEG)


def open_backend(spec: CameraSpec, **clock: Any) -> NetworkCamera:
    """Open the stream of `spec`. Raises MissingPackage without PyAV, CameraError."""
    return NetworkCamera(spec, load_av("network cameras need"), source_of(spec), **clock)
