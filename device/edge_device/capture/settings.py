"""The settings of a capture, with their defaults for the command and for Python.

Imports nothing heavy, for the command's help shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OUT = Path("images")
"""Where the class folders stand."""

COUNT, INTERVAL_S, DELAY_S = 50, 0.5, 3.0
"""The delay is for the hand to leave the keyboard and the exposure to settle; a file has none."""


@dataclass(frozen=True)
class Settings:
    """count: images of each label. interval_s: from one to the next. delay_s: before the first of
    a label; None is DELAY_S for a camera, 0 for a file. keep_similar: also what is almost the same
    as the last one kept. preview: an image file that is replaced again and again.
    """

    count: int = COUNT
    interval_s: float = INTERVAL_S
    delay_s: float | None = None
    keep_similar: bool = False
    preview: Path | None = None
