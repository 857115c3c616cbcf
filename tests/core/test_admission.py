"""A model that nobody here has run yet is opened in a child process first."""

from __future__ import annotations

import json
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


def accepted(state: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (state / "accepted").glob("*")]


def samples(bundle: Bundle, **options: Any) -> int:
    """Golden samples that an opening checked."""
    engine, check = open_bundle_engine(bundle, **options)
    engine.close()
    assert check.passed
    return check.samples


def test_the_first_opening_is_in_a_child_and_the_second_is_not(
    tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    assert in_children(lambda: open_and_close(bundle)) > 0
    (record,) = accepted(fresh_state)
    assert (record["bundle"], record["file"]) == (bundle.sha256, "tiny-1.0.0.edge")
    assert in_children(lambda: open_and_close(bundle)) == 0


def test_all_samples_are_checked_once_then_one_and_all_again_when_asked(
    tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    count = bundle.manifest.golden.samples
    assert count > 1
    found = [samples(bundle), samples(bundle), samples(bundle, prove=True), samples(bundle)]
    assert found == [count, 1, count, 1]
    assert samples(bundle, threads=2) == count
    assert (samples(bundle, threads=2), samples(bundle)) == (1, 1)


ELSEWHERE: list[tuple[str, Any]] = [
    ("schema", "edge-sdk/accepted/0"),
    ("bundle", "0" * 64),
    ("asked.engine", "tflite-runtime"),
    ("asked.threads", 3),
    ("asked.resolver", "builtin-without-delegates"),
    ("build.__init__.py", [1, 1]),
    ("machine.architecture", "riscv64"),
    ("machine.libc", "glibc 2.0"),
    ("machine.cpu", {"model name": "another"}),
    ("engine.version", "0.0.1"),
    ("engine.delegate", "none"),
    ("engine", None),
    ("engine", {}),
]


@pytest.mark.parametrize(
    ("key", "value"), ELSEWHERE, ids=[f"{key}={value}" for key, value in ELSEWHERE]
)
def test_a_record_of_another_engine_or_machine_counts_for_nothing(
    key: str, value: Any, tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    first = samples(bundle)
    (place,) = (fresh_state / "accepted").iterdir()
    record = json.loads(place.read_text())
    *tables, last = key.split(".", 1)
    table = record[tables[0]] if tables else record
    assert table[last] != value
    table[last] = value
    place.write_text(json.dumps(record))
    assert (samples(bundle), samples(bundle)) == (first, 1)


@pytest.mark.parametrize("damage", ["", "cut off", "old", "[]", "null", "[" * 30_000, "\udcff"])
def test_a_damaged_record_counts_for_nothing(
    damage: str, tiny_bundle: Callable[..., Path], fresh_state: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    first = samples(bundle)
    (place,) = (fresh_state / "accepted").iterdir()
    text = place.read_text()[:-20] if damage == "cut off" else damage
    place.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert (samples(bundle), samples(bundle)) == (first, 1)


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
    (record,) = accepted(fresh_state)
    assert record["file"] == "b\\udcff.edge"
    assert samples(bundle) == 1


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
