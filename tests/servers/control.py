"""How the cameras of tests are told what to do: lines on their standard input, each answered by
"done" when it holds.

fps 50       frames a second
size 64 48   of the images
stall        connections are taken and kept, nothing is sent
corrupt      what is sent cannot be decoded
truncated    images are cut in half (Motion JPEG alone)
wrong        new connections get something that is no stream
go           ends the four before
silence      connections that are open now stay open and get nothing any more; new ones do
hang-up      connections that are open now are closed
after 5      "done" is said when five more images were begun
"""

from __future__ import annotations

import socketserver
import sys
import threading
import time
from collections.abc import Iterator


class State:
    """What the lines change."""

    fps = 50.0
    size = (64, 48)
    mode = "go"
    silences = 0
    hang_ups = 0
    begun = 0


def turns() -> Iterator[int]:
    """0, 1, 2 … at the pace asked for, when the connection that asks should send an image."""
    number, hang_ups, silences = 0, State.hang_ups, State.silences
    while hang_ups == State.hang_ups:
        if State.mode != "stall" and silences == State.silences:
            State.begun += 1
            yield number
            number += 1
        time.sleep(1 / State.fps)


def serve(handler: type[socketserver.BaseRequestHandler]) -> None:
    """Serve on the port that the command line names, until standard input ends."""
    server = _Server(("127.0.0.1", int(sys.argv[1])), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        name, *values = line.split()
        if name == "fps":
            State.fps = float(values[0])
        elif name == "size":
            State.size = (int(values[0]), int(values[1]))
        elif name == "after":
            enough = State.begun + int(values[0])
            while State.begun < enough:
                time.sleep(1 / State.fps)
        elif name == "hang-up":
            State.hang_ups += 1
        elif name == "silence":
            State.silences += 1
        else:
            State.mode = name
        print("done", flush=True)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
