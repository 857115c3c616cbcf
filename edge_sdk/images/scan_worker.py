"""The worker of `scan`: a request is a list of paths, the answer the list of their looks.

python -m edge_sdk.images.scan_worker PARENT_PID REPLIES_FD
"""

from __future__ import annotations

import os
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

import cv2

from edge_sdk.images.scan import ImageScan, scan_or_error
from edge_sdk.processes.service import serve


def looks(paths: list[str]) -> list[Any]:
    """For each path the fields of its ImageScan, or why it cannot be read."""
    found = map(scan_or_error, map(Path, paths))
    return [astuple(one) if isinstance(one, ImageScan) else one for one in found]


if __name__ == "__main__":
    os.dup2(2, 1)  # standard output is for the command's own answer
    cv2.setNumThreads(1)  # there is a worker for each core
    sys.exit(serve(sys.argv[1:], looks))
