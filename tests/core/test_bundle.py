"""Bundles that are whole: written, read back, the same every time, never half on disk."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest

from edge_sdk import Bundle, Recognizer
from edge_sdk.bundle.archive import MEMBERS
from edge_sdk.bundle.manifest import LabelsEntry, Manifest, ModelEntry
from edge_sdk.bundle.reading import Golden, load_model, write_bundle
from edge_sdk.engines import open_engine
from edge_sdk.errors import BundleError, FileError, ModelError, NotAvailableYet
from edge_sdk.inference.admission import open_bundle_engine
from edge_sdk.inference.golden import answers
from edge_sdk.model.interface import InputEntry, TensorEntry
from edge_sdk.tflite.tiny import tiny_classifier

Parts = tuple[Manifest, dict[str, bytes]]


def test_what_is_written_is_read_back(
    tiny_parts: Callable[..., Parts], tiny_bundle: Callable[..., Path]
) -> None:
    options: dict[str, Any] = {
        "labels": ("开", "closed door", "neither"),
        "build": '{"schema": "edge-sdk/build/1"}',
    }
    manifest, members = tiny_parts(**options)
    path = tiny_bundle(**options)
    with Bundle.open(path) as bundle:
        assert replace(bundle.manifest, members={}) == manifest
        assert bundle.labels == ("开", "closed door", "neither")
        assert bundle.build == {"schema": "edge-sdk/build/1"}
        assert bundle.model() == members["model.tflite"]
        assert bundle.read("labels.txt") == members["labels.txt"]
        assert bundle.golden().to_npz() == members["golden.npz"]
        assert bundle.golden().inputs[0].shape == (10, 1, 4, 4, 1)
        assert bundle.identity == {
            "name": "tiny",
            "version": "1.0.0",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "path": str(path),
        }


def with_a_second_input(model: bytes) -> bytes:
    """The same model, which also takes a number and does nothing with it."""
    changed = schema.ModelT.InitFromPackedBuf(model, 0)
    (graph,) = changed.subgraphs
    number = schema.TensorT()
    number.name, number.shape, number.type, number.buffer = b"number", [1], 0, 0
    graph.tensors.append(number)
    graph.inputs = [*graph.inputs, len(graph.tensors) - 1]
    builder = flatbuffers.Builder(1024)
    builder.Finish(changed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_bundle_with_several_inputs_is_proven_and_its_recognizer_refused(
    tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    model = with_a_second_input(members["model.tflite"])
    with open_engine("litert", model) as engine:
        shapes = [(spec.shape, spec.dtype) for spec in engine.inputs]
        inputs = tuple(np.zeros((10, *shape), dtype) for shape, dtype in shapes)
        golden = Golden(inputs, answers(engine, inputs))
        several = replace(
            manifest,
            inputs=(manifest.input, InputEntry(TensorEntry.of(engine.inputs[1]), None)),
            signature="serving_default",
        )
    path = tmp_path / "several.edge"
    write_bundle(path, several, {**members, "model.tflite": model, "golden.npz": golden.to_npz()})
    with Bundle.open(path) as bundle:
        assert [array.shape for array in bundle.golden().inputs] == [(10, 1, 4, 4, 1), (10, 1)]
        opened, check = open_bundle_engine(bundle)
        opened.close()
        assert check.passed
        with pytest.raises(
            NotAvailableYet, match=r"tiny takes 2 inputs \(image, number\)"
        ) as caught:
            Recognizer.open(bundle)
        assert "one input" in caught.value.fix


def test_the_file_is_as_the_contract_says(tiny_bundle: Callable[..., Path]) -> None:
    path = tiny_bundle(build="{}")
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.decode() == hashlib.sha256(data[:-64]).hexdigest()
        assert set(archive.namelist()) == set(MEMBERS) - {"model_edgetpu.tflite"}
        assert archive.namelist()[0] == "manifest.json"
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        listed = json.loads(archive.read("manifest.json"))["members"]
        for name in archive.namelist()[1:]:
            member = archive.read(name)
            digest = hashlib.sha256(member).hexdigest()
            assert listed.pop(name) == {"bytes": len(member), "sha256": digest}
    assert listed == {}


def test_the_same_contents_give_the_same_bytes(
    tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts(build="{}")
    write_bundle(tmp_path / "a.edge", manifest, members)
    turned = dict(reversed(members.items()))
    write_bundle(tmp_path / "b.edge", manifest, turned)
    assert (tmp_path / "a.edge").read_bytes() == (tmp_path / "b.edge").read_bytes()


def test_the_build_record_outlives_the_members(tiny_bundle: Callable[..., Path]) -> None:
    with Bundle.open(tiny_bundle(build='{"a": 1}')) as bundle:
        pass
    assert bundle.build == {"a": 1}
    with pytest.raises(BundleError, match=r"has no model\.tflite"):
        bundle.model()
    assert Bundle.open(tiny_bundle()).build == {}


def test_a_model_that_is_not_there(tiny_bundle: Callable[..., Path]) -> None:
    with Bundle.open(tiny_bundle()) as bundle:
        with pytest.raises(BundleError, match="no model for edgetpu") as caught:
            bundle.model("edgetpu")
        assert caught.value.fix == "it has: litert"
        with pytest.raises(BundleError, match=r"has no build\.json"):
            bundle.read("build.json")


def test_two_models(tiny_parts: Callable[..., Parts], tmp_path: Path) -> None:
    manifest, members = tiny_parts()
    second = ModelEntry("model_edgetpu.tflite", "int8", min_runtime=14, mapped_ops=3, ops=3)
    manifest = replace(manifest, models={**manifest.models, "edgetpu": second})
    members["model_edgetpu.tflite"] = b"compiled"
    write_bundle(tmp_path / "x.edge", manifest, members)
    with Bundle.open(tmp_path / "x.edge") as bundle:
        assert bundle.model("edgetpu") == b"compiled"
        assert bundle.manifest.models["edgetpu"] == second


def without(name: str) -> Callable[[Manifest, dict[str, bytes]], Any]:
    return lambda manifest, members: members.pop(name)


REFUSED = {
    "labels.txt is missing": without("labels.txt"),
    "model.tflite is missing": without("model.tflite"),
    "golden.npz is missing": without("golden.npz"),
    "has 4 labels": lambda manifest, members: members.update({"labels.txt": b"a\nb\nc\nd\n"}),
    "is not UTF-8": lambda manifest, members: members.update({"labels.txt": b"\xff\nb\nc\n"}),
    "build.json is not JSON": lambda manifest, members: members.update({"build.json": b"[]"}),
    "unknown member 'notes.txt'": lambda manifest, members: members.update({"notes.txt": b""}),
    "unknown member '../x'": lambda manifest, members: members.update({"../x": b""}),
}


@pytest.mark.parametrize("says", REFUSED)
def test_contents_that_do_not_fit_are_not_written(
    says: str, tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    path = tmp_path / "x.edge"
    path.write_bytes(b"old")
    REFUSED[says](manifest, members)
    with pytest.raises(BundleError, match=says.replace(".", r"\.")):
        write_bundle(path, manifest, members)
    assert path.read_bytes() == b"old"


def test_a_manifest_that_contradicts_itself_is_not_written(
    tiny_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    manifest, members = tiny_parts()
    with pytest.raises(BundleError, match="4 labels for 3 scores"):
        write_bundle(
            tmp_path / "x.edge", replace(manifest, labels=LabelsEntry("labels.txt", 4)), members
        )
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        Bundle.open(tmp_path / "x.edge")
    with pytest.raises(FileError, match="is a folder, not a bundle"):
        Bundle.open(tmp_path)
    (tmp_path / "empty.edge").write_bytes(b"")
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.open(tmp_path / "empty.edge")
    with (tmp_path / "huge.edge").open("wb") as file:
        file.truncate(256 * 1024 * 1024 + 1)  # sparse: it takes no room on disk
    with pytest.raises(FileError, match="too large for a bundle"):
        Bundle.open(tmp_path / "huge.edge")


def test_load_model_takes_bundles_and_bare_models(
    tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bare = tmp_path / "x.tflite"
    bare.write_bytes(tiny_classifier(seed=3))
    assert load_model(bare) == (tiny_classifier(seed=3), None)
    model, bundle = load_model(tiny_bundle())
    assert bundle is not None
    assert model == bundle.model()
    (tmp_path / "text.tflite").write_text("hello, I am no model")
    with pytest.raises(ModelError, match="neither a bundle nor"):
        load_model(tmp_path / "text.tflite")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".onnx", ".ONNX"])
def test_a_model_of_another_format_is_to_be_converted(suffix: str, tmp_path: Path) -> None:
    """A .keras file is a zip file, as a bundle is."""
    path = tmp_path / f"my model{suffix}"
    path.write_bytes(b"\x89HDF hello, I am a model")
    if suffix == ".keras":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("config.json", "{}")
    for reader in (Bundle.open, load_model):
        with pytest.raises((BundleError, ModelError)) as caught:
            reader(path)
        assert caught.value.fix == f"edge-sdk convert '{path}'"


NO_ROOM = """
import resource, signal, sys
from edge_sdk import Bundle
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.errors import FileError
bundle = Bundle.open(sys.argv[1])
members = {name: bundle.read(name) for name in bundle.manifest.members}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
for path in sys.argv[1:]:
    try:
        write_bundle(path, bundle.manifest, members)
    except FileError as error:
        print(error.fix)
"""


def test_a_full_disk_leaves_the_old_bundle_or_none(
    tiny_bundle: Callable[..., Path], tmp_path: Path, unmeasured: dict[str, str]
) -> None:
    old = tiny_bundle(tmp_path)
    before = old.read_bytes()
    line = [sys.executable, "-c", NO_ROOM, old, tmp_path / "new.edge"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=unmeasured)
    assert done.stdout.count("free some space") == 2
    assert old.read_bytes() == before
    assert list(tmp_path.iterdir()) == [old]


REWRITE = """
import sys
from edge_sdk import Bundle
from edge_sdk.bundle.reading import write_bundle
bundle = Bundle.open(sys.argv[1])
members = {name: bundle.read(name) for name in bundle.manifest.members}
while True:
    for origin in (b"first", b"other"):
        padding = origin * 200_000
        members["build.json"] = b'{"padding": "' + padding + b'"}'
        write_bundle(sys.argv[2], bundle.manifest, members)
        print("written", flush=True)
"""


@pytest.mark.campaign
def test_killed_while_writing_whatever_is_there_opens(
    tiny_bundle: Callable[..., Path],
    tmp_path: Path,
    campaign: Callable[[str, int, int], int],
    unmeasured: dict[str, str],
) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "x.edge"
    seen = set()
    for _ in range(campaign("kills", 5, 300)):
        line = [sys.executable, "-c", REWRITE, tiny_bundle(), path]
        with subprocess.Popen(line, stdout=subprocess.PIPE, env=unmeasured) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(random.uniform(0.02, 0.2))
            writer.send_signal(signal.SIGKILL)
        seen.add(Bundle.open(path).build["padding"][:5])
    assert seen <= {"first", "other"}


def test_a_bundle_that_is_replaced_in_place_while_it_is_read(
    tiny_bundle: Callable[..., Path],
) -> None:
    """Its hash would be that of the old bytes, its members those of the new ones."""
    path, other = tiny_bundle(labels=("a", "b", "c")), tiny_bundle(labels=("x", "y", "z"))
    digest = Bundle.open(path).sha256
    state = path.stat()

    def overwrite(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name == "read_members":
            sys.setprofile(None)
            path.write_bytes(other.read_bytes())

    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns - 10**9))  # written long ago
    sys.setprofile(overwrite)
    try:
        with pytest.raises(BundleError, match="changed while it was read") as caught:
            Bundle.open(path, verify=False)
    finally:
        sys.setprofile(None)
    assert caught.value.fix == "run it again"
    assert Bundle.open(path).sha256 != digest
