"""Live streams that PyAV decodes: what network cameras and USB cameras have in common."""

from __future__ import annotations

import errno
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from edge_device.cameras.base import Camera
from edge_device.cameras.pyav import to_frame
from edge_device.cameras.spec import CameraSpec
from edge_sdk.errors import CameraError
from edge_sdk.frames import Frame

_LOW_LATENCY = {"fflags": "nobuffer", "flags": "low_delay"}

_WHOLE_IMAGES = {"err_detect": "explode"}
"""Half a JPEG counts as damaged; the decoder would fill the rest with grey. It is the decoder's
option: given to the demuxer it does nothing.
"""


@dataclass(frozen=True)
class Source:
    """A source for PyAV to open. format: FFmpeg's name of a demuxer, None to find out. options:
    FFmpeg's. kernel_time: the packets' times are those of the kernel's monotonic clock.
    """

    url: str = field(repr=False)
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    kernel_time: bool = False


class Thinning:
    """Which frames of a stream to keep for `fps` frames a second; all where it is None or infinite.

    On average exact, with jitter too: a frame may come half a period early.
    """

    def __init__(self, fps: float | None) -> None:
        self._period_ns = 1e9 / fps if fps and math.isfinite(fps) else 0.0
        self._due_ns = 0.0

    def keeps(self, arrived_ns: int) -> bool:
        """True where the frame that arrived now is one of them."""
        late_ns = arrived_ns - self._due_ns
        if late_ns < -self._period_ns / 2:
            return False
        begun_ns = self._due_ns if late_ns < self._period_ns else arrived_ns
        self._due_ns = begun_ns + self._period_ns
        return True


class StreamCamera(Camera):
    """`av` is PyAV, imported. Raises CameraError where the source cannot be opened.

    sensor_ns is when the packet of a frame arrived; what sensor, encoder and network took before
    that is not known. A packet that cannot be decoded is skipped and counted.
    """

    def __init__(self, spec: CameraSpec, av: Any, source: Source, **clock: Any) -> None:
        super().__init__(spec, **clock)
        self._av, self._source = av, source
        self._keeps = Thinning(spec.fps).keeps
        self._container, self._stream = self._open()
        self._images = self._decoded()

    def _read(self) -> Frame | None:
        try:
            return next(self._images, None)
        except self._av.error.FFmpegError as error:
            raise self._failed(error) from None  # its text may hold the password

    def _close(self) -> None:
        self._images.close()
        self._container.close()

    def _open(self) -> tuple[Any, Any]:
        source = self._source
        try:
            container = self._av.open(
                source.url,
                format=source.format,
                options={**_LOW_LATENCY, **source.options},
            )
        except (self._av.error.FFmpegError, ValueError) as error:
            raise self._failed(error) from None
        if not container.streams.video:
            container.close()
            raise CameraError(f"camera {self.spec.text!r} sends no images", fix=self.remedy)
        stream = container.streams.video[0]
        # Threads that each decode another frame would hold that many frames back.
        stream.thread_type = "SLICE"
        if stream.codec_context.name == "mjpeg":
            stream.codec_context.options = _WHOLE_IMAGES
        return container, stream

    def _decoded(self) -> Generator[Frame, None, None]:
        jpeg = self._stream.codec_context.name == "mjpeg"
        for packet in self._container.demux(self._stream):
            arrived_ns = self._now_ns()
            if self._closing.is_set():
                return
            if jpeg and not self._keeps(arrived_ns):
                continue  # each image stands alone: no need to decode it
            for image in self._images_of(packet):
                if jpeg or self._keeps(arrived_ns):
                    yield to_frame(image, self.spec, self._when_ns(packet, arrived_ns))

    def _images_of(self, packet: Any) -> list[Any]:
        try:
            images: list[Any] = packet.decode()
        except self._av.error.FFmpegError:
            self.unreadable += 1
            return []
        whole = [image for image in images if not image.is_corrupt]
        self.unreadable += len(images) - len(whole)
        return whole

    def _when_ns(self, packet: Any, arrived_ns: int) -> int:
        if self._source.kernel_time and packet.pts is not None:
            return taken_ns(packet.pts * packet.time_base, arrived_ns)
        return arrived_ns

    def _failed(self, error: Exception) -> CameraError:
        because, fix = _explained(error)
        fix = fix.replace("{kind}", self.spec.kind) or self.remedy
        return CameraError(f"camera {self.spec.text!r} {because}", fix=fix)


def taken_ns(kernel_s: Fraction, arrived_ns: int) -> int:
    """When an image was taken that arrived now: the kernel's time, in seconds, where it is one, of
    the last second; some drivers have another clock.
    """
    kernel_ns = int(kernel_s * 1_000_000_000)
    return kernel_ns if 0 <= arrived_ns - kernel_ns < 1_000_000_000 else arrived_ns


def _explained(error: Exception) -> tuple[str, str]:
    """The meaning of an FFmpeg error, without the URL that its text repeats; and the way out where
    it is not the general one.
    """
    name = type(error).__name__
    if getattr(error, "errno", None) == errno.EIO:
        return _NOTHING_USABLE
    if name in _EXPLAINED:
        return _EXPLAINED[name]
    return f"failed: {getattr(error, 'strerror', None) or name}", ""


_NOTHING_USABLE = (
    "was not found, closed the connection, or sends no video stream",
    "check the host and the path of the URL: rtsp:// for RTSP, http:// for Motion JPEG alone",
)
"""FFmpeg's input/output error is any of these."""

_EXPLAINED = {
    "TimeoutError": (
        "does not answer",
        "check that it is switched on and reachable from here, and that address and port are right",
    ),
    "ConnectionRefusedError": (
        "refuses the connection",
        "check address and port, and that its stream is switched on",
    ),
    "HTTPUnauthorizedError": (
        "asks for a user and a password, or refuses these",
        "write them into the URL: {kind}://USER:PASSWORD@HOST/PATH, with %40 for an @ in them",
    ),
    "HTTPForbiddenError": ("forbids this stream", "let the user of the URL see it"),
    "HTTPNotFoundError": (
        "has no such stream",
        "check the path of the URL; the camera's manual names it",
    ),
    "InvalidDataError": _NOTHING_USABLE,
}
