"""The child's side of a worker."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from edge_sdk.processes import die_with_parent


def serve(arguments: Sequence[str], answer: Callable[[Any], Any]) -> int:
    """Answer each request with `answer(request)`, a JSON value, until standard input ends; 0.

    arguments: those of the process, PARENT_PID and REPLIES_FD. An exception ends the process.
    """
    parent, replies = (int(argument) for argument in arguments[:2])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    with os.fdopen(replies, "wb") as answers:
        for line in sys.stdin.buffer:
            answers.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
            answers.flush()
    return 0
