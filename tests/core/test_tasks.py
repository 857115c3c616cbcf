"""The port of tasks: each is complete, and chosen by what names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from edge_sdk import Bundle, Recognizer
from edge_sdk.data.samples import Image, Scene
from edge_sdk.engines import open_engine
from edge_sdk.errors import BundleError
from edge_sdk.evaluation.metrics import EVALUATORS
from edge_sdk.images.image_files import read_image
from edge_sdk.model.interface import SequenceEntry, TaskName
from edge_sdk.tasks import TASKS, task_of

Make = Callable[..., Path]


def test_every_name_has_a_task_whose_metric_can_be_measured() -> None:
    assert set(TASKS) == set(get_args(TaskName))
    for name in TASKS:
        task = task_of(SimpleNamespace(task=name))
        assert task.name == name
        evaluator = EVALUATORS[task.metric]
        assert evaluator.metric == task.metric
        assert task.finds_objects is (evaluator.metric == "mAP")


def test_a_manifest_and_its_interface_have_one_task(
    tiny_bundle: Make, detector_bundle: Make
) -> None:
    for path, name, sample in (
        (tiny_bundle(), "classify", Image),
        (detector_bundle(), "detect", Scene),
    ):
        with Bundle.open(path) as bundle:
            task, interface = task_of(bundle.manifest), bundle.manifest.interface
            assert task is task_of(interface) is task_of(SimpleNamespace(task=name))
            assert task.sample_type(interface) is sample
            assert task.shows_something(interface, bundle.labels, bundle.golden().outputs)


def test_a_recognizer_needs_no_manifest(
    tiny_bundle: Make, write_images: Callable[..., list[Path]], tmp_path: Path
) -> None:
    (path,) = write_images(tmp_path / "images", 1)
    with Bundle.open(tiny_bundle()) as bundle, Recognizer.open(bundle) as whole:
        engine = open_engine("litert", bundle.model())
        with Recognizer(bundle.manifest.interface, bundle.labels, engine) as bare:
            frame = read_image(path)
            assert bare(frame).classes == whole(frame).classes


def test_a_task_refuses_what_is_not_its_own(tiny_bundle: Make) -> None:
    with Bundle.open(tiny_bundle()) as bundle:
        interface, labels = bundle.manifest.interface, len(bundle.labels)
    task_of(interface).check(interface, labels, "here")
    with pytest.raises(BundleError, match=f"here: {labels + 1} labels for {labels} scores"):
        task_of(interface).check(interface, labels + 1, "here")
    with pytest.raises(BundleError, match='here: task "classify" has no "sequence"'):
        clip = replace(interface, sequence=SequenceEntry(3, 1))
        task_of(interface).check(clip, labels, "here")
    with pytest.raises(BundleError, match='here: task "sequence" needs "sequence"'):
        task_of(SimpleNamespace(task="sequence")).check(interface, labels, "here")
    with pytest.raises(BundleError, match="here: no output has the role boxes, classes, count"):
        task_of(SimpleNamespace(task="detect")).check(interface, labels, "here")
