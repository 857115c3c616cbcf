"""Runs in the guest, under icount.c: counted.py BUNDLE…. For each, marks around inferences (begin
1, end 2) and around whole frame steps (begin 3, end 4).
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

import cv2
import numpy as np

from edge_sdk import Bundle, Frame, Recognizer, open_engine

TIMES = 6
"""The first ones fill caches; the last is counted."""

_FILLER = b"x" * 8


def mark(number: int) -> None:
    """Tell the plugin."""
    with suppress(OSError):
        os.write(1001, _FILLER[:number])


def count(path: str) -> None:
    """Inferences and frame steps (preprocess, invoke, postprocess) of one bundle, one thread."""
    with Bundle.open(path) as bundle:
        engine = open_engine("litert", bundle.model(), threads=1)
        recognizer = Recognizer(bundle.manifest.interface, bundle.labels, engine)
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    frame = Frame(pixels, "rgb", 1)
    recognizer(frame)
    gc.collect()
    gc.freeze()
    gc.disable()
    for _ in range(TIMES):
        mark(1)
        engine.invoke()
        mark(2)
    for _ in range(TIMES):
        mark(3)
        recognizer(frame)
        mark(4)


cv2.setNumThreads(1)  # counts are exact for one thread
for argument in sys.argv[1:]:
    count(argument)
