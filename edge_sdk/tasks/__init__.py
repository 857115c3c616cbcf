"""Tasks: what a model's outputs mean. One file for each; `task_of` is the only place that chooses.

Decoding is in pure functions. Tasks know data and model interfaces, not engines, bundles or
evaluation, which all build on them (docs/adr/0009-tasks.md).
"""

from __future__ import annotations

from typing import Protocol

from edge_sdk.model.interface import TaskName
from edge_sdk.tasks.base import Task
from edge_sdk.tasks.classify import Classify
from edge_sdk.tasks.detect import Detect
from edge_sdk.tasks.sequence import ClassifySequence

__all__ = ["TASKS", "Task", "task_of"]

TASKS: dict[TaskName, Task] = {
    task.name: task for task in (Classify(), ClassifySequence(), Detect())
}


class HasTask(Protocol):
    """A manifest, a model's interface, a recipe: what names its task."""

    @property
    def task(self) -> TaskName:
        """The name of the task."""


def task_of(described: HasTask) -> Task:
    """The task that a manifest, an interface or a recipe names."""
    return TASKS[described.task]
