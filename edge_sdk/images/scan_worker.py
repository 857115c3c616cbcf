"""The child of `looking`: a line is a JSON list of paths, and is answered by one with the looks.

python -m edge_sdk.looking_child PARENT_PID
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import astuple
from pathlib import Path

import cv2

from edge_sdk.images.scan import Look, look_or_why
from edge_sdk.processes import die_with_parent


def main(arguments: list[str]) -> int:
    """Serve until standard input ends."""
    die_with_parent(int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    cv2.setNumThreads(1)  # there is a child for each core
    for line in sys.stdin.buffer:
        looks = map(look_or_why, map(Path, json.loads(line)))
        found = [astuple(one) if isinstance(one, Look) else one for one in looks]
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
