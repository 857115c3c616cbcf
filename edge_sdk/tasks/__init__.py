"""Tasks: what a model's outputs mean. One file for each; `task_of` is the only place that chooses.

Decoding is in pure functions. Tasks know data and model interfaces, not engines, bundles or
evaluation, which all build on them (docs/adr/0009-tasks.md). Each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Protocol

from edge_sdk.model.interface import TaskName
from edge_sdk.tasks.base import Task

__all__ = ["TASKS", "Task", "task_of"]

TASKS: dict[TaskName, str] = {
    "classify": "edge_sdk.tasks.classify:Classify",
    "sequence": "edge_sdk.tasks.sequence:ClassifySequence",
    "detect": "edge_sdk.tasks.detect:Detect",
}
"""The class of each task."""


class HasTask(Protocol):
    """A manifest, a model's interface, a recipe: what names its task."""

    @property
    def task(self) -> TaskName:
        """The name of the task."""


def task_of(described: HasTask) -> Task:
    """The task that a manifest, an interface or a recipe names."""
    return _task(described.task)


@cache
def _task(name: TaskName) -> Task:
    module, _, kind = TASKS[name].partition(":")
    task: Task = getattr(importlib.import_module(module), kind)()
    return task
