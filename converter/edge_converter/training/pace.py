"""The pace of training: losses and accuracy of its steps, and their speed."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

LOOK_EVERY_S = 0.25
"""Interval at which losses are fetched and progress is reported. In between, nothing waits for the
device.
"""


class Tally:
    """The sums over the steps of an epoch: tensors [sum of losses, right answers, samples], left on
    the device until somebody looks.
    """

    def __init__(self) -> None:
        self._pending: list[Any] = []
        self._fetched: list[Any] = []

    def add(self, step: Any) -> None:
        """The next step's; nothing waits for it."""
        self._pending.append(step)

    def fetch(self) -> None:
        """Wait for all steps."""
        self._fetched += [step.numpy() for step in self._pending]
        self._pending.clear()

    @property
    def first_bad(self) -> int:
        """The first step, from 1 on, whose loss is not a number; 0 for none."""
        losses = np.array([step[0] for step in self._fetched])
        return 0 if np.isfinite(losses).all() else 1 + int(np.argmin(np.isfinite(losses)))

    @property
    def means(self) -> tuple[float, float]:
        """Loss and accuracy, of a sample."""
        loss, right, samples = np.array(self._fetched, np.float64).sum(axis=0).tolist()
        return loss / samples, right / samples


class Pace:
    """Decides when to look at the losses, and tells the speed: samples a second, seconds left."""

    def __init__(self, whole: int, samples: float) -> None:
        self._whole, self._samples = whole, samples
        self._looked = -math.inf
        self._start: tuple[int, float] | None = None

    def due(self) -> bool:
        """True when LOOK_EVERY_S has passed, and at first."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return False
        self._looked = now
        return True

    def describe(self, done: int) -> str:
        """After `done` steps. The first, in which TensorFlow draws its graph, does not count."""
        now = time.monotonic()
        if self._start is None:
            self._start = done, now
        before, started = self._start
        if done == before:
            return ""
        a_step = (now - started) / (done - before)
        left = a_step * (self._whole - done)
        return f", {self._samples / a_step:.0f} samples/s, {left:.0f} s left"
