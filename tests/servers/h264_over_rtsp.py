"""A network camera for tests: H.264 over RTSP (RFC 2326, 6184), interleaved in TCP, in a process of
its own: so small that faults can be told to it. A server of others is tested beside it.

    python h264_over_rtsp.py PORT

Prints "ready" when it serves rtsp://127.0.0.1:PORT/cam: frame n of a connection is flat grey of the
value 8 * n. control.py says what it does when told.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av
import numpy as np
from control import State, serve, turns

TICKS = 90_000
"""A second, in RTP's time of videos."""


class Handler(socketserver.StreamRequestHandler):
    """One client: its requests are answered, and from PLAY on a thread sends images between."""

    def setup(self) -> None:
        super().setup()
        self.sending = threading.Lock()

    def handle(self) -> None:
        with suppress(OSError, UnicodeDecodeError):
            while (request := self.rfile.readline().decode()).strip():
                headers = {}
                while line := self.rfile.readline().decode().strip():
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                while State.mode == "stall":
                    time.sleep(0.05)
                self.answer(request.split()[0], headers["cseq"])

    def answer(self, method: str, cseq: str) -> None:
        status, more, body = "200 OK", [], ""
        if method == "OPTIONS":
            more = ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"]
        elif method == "DESCRIBE" and State.mode == "wrong":
            status = "404 Not Found"
        elif method == "DESCRIBE":
            body = described()
            more = ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            more = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]
        lines = [f"RTSP/1.0 {status}", f"CSeq: {cseq}", "Session: 1", *more, "", body]
        with self.sending:
            self.wfile.write("\r\n".join(lines).encode())
        if method == "PLAY":
            threading.Thread(target=self.play, daemon=True).start()

    def play(self) -> None:
        with suppress(OSError):
            for number, (nal, last, instant) in enumerate(units()):
                marker = 0x80 if last else 0
                rtp = struct.pack(">BBHII", 0x80, marker | 96, number & 0xFFFF, instant, 7)
                size = struct.pack(">BBH", 0x24, 0, len(rtp) + len(nal))
                with self.sending:
                    self.wfile.write(size + rtp + nal)
            self.connection.shutdown(socket.SHUT_RDWR)


def units() -> Iterator[tuple[bytes, bool, int]]:
    """NAL units: whether each is an image's last, and its time."""
    encoder, size, start = None, None, time.monotonic()
    for number in turns():
        if size != State.size:
            size = State.size
            encoder = new_encoder(size)
        assert encoder is not None
        instant = int((time.monotonic() - start) * TICKS) & 0xFFFFFFFF
        nals = encoded(encoder, size, number)
        for nal in nals:
            broken = nal[:1] + bytes(len(nal) - 1)  # zeros: some random bytes can be decoded
            yield broken if State.mode == "corrupt" else nal, nal is nals[-1], instant


def new_encoder(size: tuple[int, int]) -> Any:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.framerate, encoder.gop_size = "yuv420p", 30, 10
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast"}
    return encoder


def encoded(encoder: Any, size: tuple[int, int], number: int) -> list[bytes]:
    """An image's NAL units, without their start codes (H.264, annex B)."""
    pixels = np.full((size[1], size[0], 3), 8 * number % 256, np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts = number
    data = b"".join(bytes(packet) for packet in encoder.encode(frame))
    return [unit for piece in data.split(b"\0\0\1") if (unit := piece.rstrip(b"\0"))]


def described() -> str:
    """The session (RFC 4566), with the parameter sets that a decoder begins with."""
    first = encoded(new_encoder(State.size), State.size, 0)
    sets = ",".join(b64encode(unit).decode() for unit in first if unit[0] & 31 in (7, 8))
    lines = [
        *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "t=0 0", "a=control:*"),
        *("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=control:track1"),
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}",
        "",
    ]
    return "\r\n".join(lines)


if __name__ == "__main__":
    serve(Handler)
