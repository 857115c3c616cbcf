"""A stream of frames (or of features) through a bundle of task "sequence"."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.results import Result
from edge_sdk.tasks.sequence import Window

_FEATURES = Frame(np.zeros((0, 0), np.uint8), "gray")
"""Stands for a row of features in a Result, which has no image."""


class SequenceRecognizer:
    """Answers about the newest steps: first when the model's number of them has come, then after
    every `stride` more (both are the manifest's).

    steps: what came so far. skipped: windows that were due and gave way to newer ones.
    Raises ConfigError where the bundle is not one of task "sequence".
    """

    def __init__(self, recognizer: Recognizer) -> None:
        sequence = recognizer.interface.sequence
        if sequence is None:
            raise ConfigError(
                f"{recognizer.interface.name} classifies single images",
                fix="give a bundle whose task is sequence",
            )
        self.skipped = self.steps = 0
        self._recognizer = recognizer
        self._window = Window(recognizer.preprocessor)
        self._stride = sequence.stride
        self._until_due = sequence.frames
        self._due = False

    def push(
        self, value: Frame | NDArray[np.float32], *, capture_ns: int = 0, behind: bool = False
    ) -> Result | None:
        """Take one step: a frame, or features of shape (features,) float32. None where no answer is
        due yet. behind: newer steps wait already, and the answer shall be about them.

        Raises ModelError, EngineError.
        """
        self.steps += 1
        self._until_due -= 1
        if not self._until_due:
            self.skipped += self._due
            self._due, self._until_due = True, self._stride
        if behind or not self._due:
            self._window.push(value)
            return None
        self._due, self._until_due = False, self._stride
        frame = value if isinstance(value, Frame) else _FEATURES
        return self._recognizer.answer(partial(self._fill, value), frame, capture_ns)

    def _fill(self, value: Frame | NDArray[np.float32], tensor: NDArray[Any]) -> None:
        self._window.push(value)
        self._window.write(tensor)
