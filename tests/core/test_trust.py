"""A model that nobody here has run yet is opened in a child process first."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import Bundle
from edge_sdk.bundle.manifest import Manifest
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.errors import EngineError, GateFailed, ModelError
from edge_sdk.inference.admission import open_bare_engine, open_bundle_engine
from edge_sdk.tflite.tiny import tiny_classifier

Parts = tuple[Manifest, dict[str, bytes]]


def in_children(work: Callable[[], Any]) -> float:
    """Seconds of CPU time that ended child processes spent on `work`: 0 where there was none."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def open_and_close(bundle: Bundle, name: str = "litert") -> None:
    engine, check = open_bundle_engine(bundle, name)
    with engine:
        assert check.passed is not False
        engine(np.zeros(engine.inputs[0].shape, engine.inputs[0].dtype))


def accepted(state: Path) -> list[str]:
    return sorted(path.read_text() for path in (state / "accepted").glob("*"))


def test_the_first_opening_is_in_a_child_and_the_second_is_not(
    tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    assert in_children(lambda: open_and_close(bundle)) > 0
    assert accepted(fresh_state) == [f"{bundle.sha256} litert tiny-1.0.0.edge\n"]
    assert in_children(lambda: open_and_close(bundle)) == 0


def test_accepted_is_one_bundle_on_one_engine(
    tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    first, other = (Bundle.open(tiny_bundle(seed=seed)) for seed in (0, 1))
    open_and_close(first)
    assert in_children(lambda: open_and_close(other)) > 0
    assert in_children(lambda: open_and_close(first, "isolated:litert")) > 0
    assert len(accepted(fresh_state)) == 3


def test_an_unproven_engine_is_never_accepted(
    tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    assert in_children(lambda: open_and_close(bundle, "fake")) > 0
    assert in_children(lambda: open_and_close(bundle, "fake")) > 0
    assert accepted(fresh_state) == []


def test_a_bundle_whose_golden_outputs_differ_is_not_accepted(
    tiny_parts: Callable[..., Parts], fresh_state: Path, tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    members["model.tflite"] = tiny_classifier(seed=99)
    write_bundle(tmp_path / "x.edge", manifest, members)
    with pytest.raises(GateFailed, match="golden outputs do not match"):
        open_bundle_engine(Bundle.open(tmp_path / "x.edge"))
    assert accepted(fresh_state) == []


@pytest.mark.parametrize("kind", ["a file in its place", "a file below", "a folder in the way"])
def test_a_state_folder_that_cannot_be_written_only_costs_time(
    kind: str, tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    if kind == "a file in its place":
        fresh_state.parent.touch()
    elif kind == "a file below":
        fresh_state.mkdir(parents=True)
        (fresh_state / "accepted").touch()
    else:
        open_and_close(bundle)
        (note,) = (fresh_state / "accepted").iterdir()
        note.unlink()
        note.mkdir()
    assert in_children(lambda: open_and_close(bundle)) > 0
    assert in_children(lambda: open_and_close(bundle)) > 0


def test_a_name_that_is_not_utf8_is_remembered(
    tiny_bundle: Callable[..., Path], fresh_state: Path, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"b\xff.edge")
    shutil.copy(tiny_bundle(), path)
    bundle = Bundle.open(path)
    open_and_close(bundle)
    assert accepted(fresh_state) == [f"{bundle.sha256} litert b\\udcff.edge\n"]


HOMELESS = """
import os, sys
from edge_sdk import Bundle
from edge_sdk.inference.admission import open_bundle_engine
sys.modules["pwd"] = None  # as for a user id without an entry
for name in ("HOME", "XDG_STATE_HOME"):
    os.environ.pop(name, None)
engine, check = open_bundle_engine(Bundle.open(sys.argv[1]))
print(check.passed)
"""


def test_a_user_without_a_home_remembers_nothing(tiny_bundle: Callable[..., Path]) -> None:
    line = [sys.executable, "-c", HOMELESS, tiny_bundle()]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_bundle_whose_model_ends_its_interpreter_is_a_model_error(
    tiny_parts: Callable[..., Parts],
    segfaulting_model: bytes,
    fresh_state: Path,
    tmp_path: Path,
) -> None:
    manifest, members = tiny_parts()
    members["model.tflite"] = segfaulting_model
    write_bundle(tmp_path / "x.edge", manifest, members)
    for _ in range(2):
        with pytest.raises(ModelError, match="SIGSEGV"):
            open_bundle_engine(Bundle.open(tmp_path / "x.edge"))
    assert accepted(fresh_state) == []


def test_a_bare_model_is_tried_every_time(segfaulting_model: bytes, fresh_state: Path) -> None:
    def use() -> None:
        with open_bare_engine(tiny_classifier()) as engine:
            engine(np.zeros((1, 4, 4, 1), np.int8))

    assert in_children(use) > 0
    assert in_children(use) > 0
    with pytest.raises(ModelError, match="SIGSEGV"):
        open_bare_engine(segfaulting_model)
    assert accepted(fresh_state) == []


def test_hostile_bare_models(shared_data: Path) -> None:
    with pytest.raises(ModelError, match=r"refuses the model: .* custom op"):
        open_bare_engine((shared_data / "hostile" / "model_invoking_error.tflite").read_bytes())
    bad = shared_data / "hostile" / "person_detect_bad_quantized_dimension.tflite"
    with pytest.raises((ModelError, EngineError)):
        open_bare_engine(bad.read_bytes())
