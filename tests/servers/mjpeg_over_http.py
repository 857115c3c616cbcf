"""A network camera for tests: Motion JPEG over HTTP, in a process of its own.

    python mjpeg_over_http.py PORT

Prints "ready" when it serves http://127.0.0.1:PORT/stream.mjpg: frame n is flat grey of the value
8 * n. /private asks for user "eye" and password "s3cret", /nothing is not there. control.py says
what it does when told.
"""

from __future__ import annotations

from base64 import b64encode
from http.server import BaseHTTPRequestHandler

import cv2
import numpy as np
from control import State, serve, turns
from numpy.typing import NDArray

WHO_MAY = "Basic " + b64encode(b"eye:s3cret").decode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/private") and self.headers["Authorization"] != WHO_MAY:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif self.path.startswith("/nothing"):
            self.send_error(404)
        elif State.mode == "wrong":
            self.answer("text/html")
            self.wfile.write(b"<html>sign in</html>" * 50)
        else:
            self.stream()

    def answer(self, content: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content)
        self.end_headers()

    def stream(self) -> None:
        self.answer("multipart/x-mixed-replace; boundary=frame")
        try:
            for number in turns():
                jpeg = image(number)
                size = f"Content-Length: {len(jpeg)}"
                head = f"--frame\r\nContent-Type: image/jpeg\r\n{size}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Nothing: what it serves is no output of the tests."""


def image(number: int) -> bytes:
    width, height = State.size
    pixels = np.full((height, width, 3), 8 * number % 256, np.uint8)
    if State.mode == "truncated":  # noise, so that its half is more than a head
        jpeg = _jpeg(np.random.default_rng(number).integers(0, 256, pixels.shape, np.uint8))
        return jpeg[: len(jpeg) // 2]
    jpeg = _jpeg(pixels)
    return bytes(len(jpeg)) if State.mode == "corrupt" else jpeg


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", pixels)[1].tobytes()


if __name__ == "__main__":
    serve(Handler)
