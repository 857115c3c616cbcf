"""manifest.json: what is written is read back, and anything else is a BundleError that says why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.bundle.manifest import (
    SCHEMA,
    Budget,
    GoldenEntry,
    LabelsEntry,
    Manifest,
    MemberEntry,
    ModelEntry,
    Postprocess,
    check_name,
    parse_manifest,
)
from edge_sdk.configuration import as_dict
from edge_sdk.errors import BundleError, ConfigError
from edge_sdk.model.interface import InputEntry, OutputEntry, TensorEntry
from edge_sdk.preprocess import PreprocessSpec
from edge_sdk.tensors import QuantParams, TensorSpec

MANIFEST = Manifest(
    "doors",
    "1.0.0",
    "classify",
    {"litert": ModelEntry("model.tflite", "int8", 3_204_096)},
    InputEntry(
        TensorEntry("serving_default_image:0", (1, 96, 96, 3), "int8", 0.00784313772, -1),
        PreprocessSpec(),
    ),
    (OutputEntry("scores", TensorEntry("out", (1, 3), "int8", 0.00390625, -128)),),
    LabelsEntry("labels.txt", 3),
    GoldenEntry("golden.npz", 10, "test", "litert", "2.3.0", "builtin", "xnnpack", 4),
    budget=Budget(accuracy_loss=0.01, latency_ms=40.0),
    members={"model.tflite": MemberEntry(141_320, "00" * 32)},
)
DOCUMENT = json.loads(MANIFEST.to_json())


def changed(path: str, value: Any) -> bytes:
    """DOCUMENT with the value at a dotted path replaced, or taken away by `...`."""
    document = json.loads(MANIFEST.to_json())
    *parents, last = path.split(".")
    table = document
    for key in parents:
        table = table[int(key) if key.isdigit() else key]
    if value is ...:
        del table[last]
    else:
        table[int(last) if last.isdigit() else last] = value
    return json.dumps(document).encode()


def refused(data: bytes) -> BundleError:
    with pytest.raises(BundleError) as caught:
        parse_manifest(data, where="m.json")
    assert caught.value.fix
    return caught.value


def test_the_document_is_the_one_of_the_contract() -> None:
    assert list(DOCUMENT) == [
        *("schema", "name", "version", "task", "models", "input", "outputs", "labels", "golden"),
        *("postprocess", "budget", "members"),
    ]
    assert DOCUMENT["schema"] == SCHEMA
    assert DOCUMENT["models"]["litert"] == {
        "file": "model.tflite",
        "precision": "int8",
        "macs": 3_204_096,
    }
    assert DOCUMENT["golden"] == {
        **{"file": "golden.npz", "samples": 10, "from": "test", "engine": "litert"},
        **{"version": "2.3.0", "resolver": "builtin", "delegate": "xnnpack", "steps": 4},
    }
    assert DOCUMENT["input"]["preprocess"] == {
        **{"color": "rgb", "fit": "crop", "resize": "linear", "mean": [127.5], "std": [127.5]}
    }
    assert parse_manifest(MANIFEST.to_json()) == MANIFEST


def test_several_inputs_and_a_signature_are_read_back() -> None:
    depth = InputEntry(TensorEntry("depth", (1, 96, 96, 1), "float32"), None)
    several = replace(MANIFEST, inputs=(MANIFEST.input, depth), signature="serving_default")
    document = json.loads(several.to_json())
    assert document["inputs"][0] == document["input"]
    assert document["signature"] == "serving_default"
    assert parse_manifest(several.to_json()) == several
    assert several.interface.inputs == (MANIFEST.input, depth)
    assert several.interface.input == MANIFEST.input
    assert MANIFEST.interface.inputs == (MANIFEST.input,)


OTHER_INPUT = {**DOCUMENT["input"], "preprocess": None}

MISTAKES = [
    ("inputs", [OTHER_INPUT, DOCUMENT["input"]], "input is not the first of inputs", "build"),
    ("inputs", [{"tensor": 3}], "inputs[0].tensor is 3", "table"),
    ("inputs", DOCUMENT["input"], "inputs is", "list"),
    ("signature", "", "signature is empty", "leave it out"),
    ("signature", 3, "signature is 3", "text"),
    ("schema", "edge-sdk/manifest/2", "this version reads", "upgrade"),
    ("schema", "somebody/else/1", "has schema 'somebody/else/1'", "made by edge-sdk"),
    ("schema", ..., "has no schema", "made by edge-sdk"),
    ("schema", [[]], "has no schema", "made by edge-sdk"),
    ("name", "../doors", "name is '../doors'", "letters, digits"),
    ("name", ".doors", "name is '.doors'", "letters, digits"),
    ("name", "doors\n", "name is", "letters, digits"),
    ("name", "d" * 65, "name is", "1 to 64"),
    ("version", "1.0/0", "version is '1.0/0'", "1.0.0"),
    ("version", "one", "version is 'one'", "1.0.0"),
    ("task", "translate", "task is 'translate'", "classify, sequence, detect"),
    ("models", {}, 'no "litert"', "build"),
    ("models.litert.macs", -1, "models.litert.macs is -1", "at least 0"),
    ("models.litert.sise", 1, "unknown key models.litert.sise", "known: file"),
    ("input.tensor.shape", [], "does not fit color 'rgb'", "build"),
    ("input.tensor.shape", [1, 96, 96, 1], "does not fit color 'rgb'", "build"),
    ("input.tensor.shape", [0, 96, 96, 3], "input.tensor.shape is 0", "at least 1"),
    ("input.tensor.dtype", "float64", "input.tensor.dtype is 'float64'", "float32"),
    ("input.tensor.scale", 0.0, "input.tensor.scale is 0", "above 0"),
    ("input.preprocess.std", [0.0], "input.preprocess.std is 0", "above 0"),
    ("input.preprocess.fit", "cropp", "input.preprocess.fit", 'did you mean "crop"'),
    ("outputs", [], "outputs is empty", "build"),
    ("outputs.0.role", "state", 'no output has the role "scores"', "build"),
    ("outputs.0.tensor.shape", [], "3 labels for 1 scores", "one label for each"),
    ("outputs.0.tensor.shape", [1, 4], "3 labels for 4 scores", "one label for each"),
    ("outputs.0.tensor.shape", [1, 2, 3], "3 labels for 6 scores", "one label for each"),
    ("labels.count", 4, "4 labels for 3 scores", "one label for each"),
    ("golden.samples", 0, "golden.samples is 0", "at least 10"),
    ("golden.samples", 9, "golden.samples is 9", "at least 10"),
    ("golden.from", "internet", "is 'internet'", "test, synthetic"),
    ("golden", ..., "golden is missing", "golden"),
    ("budget.mapped", 1.5, "budget.mapped is 1.5", "at most 1"),
]


@pytest.mark.parametrize(("path", "value", "says", "fix"), MISTAKES)
def test_a_mistake_is_named(path: str, value: Any, says: str, fix: str) -> None:
    error = refused(changed(path, value))
    assert str(error).startswith("m.json")
    assert says in str(error)
    assert fix in error.fix


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"3", b"\xff\xfe{", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000],
    ids=["empty", "open", "list", "number", "not-text", "nested", "nested-tables", "digits"],
)
def test_not_a_json_object(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("depth", [900, 950, 980, 990, 994])
def test_nested_as_deep_as_json_allows(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for key in ("schema", "name", "task", "extra"):
        document = {**DOCUMENT, key: "NESTED"}
        refused(json.dumps(document).replace('"NESTED"', nested).encode())


def test_tensor_entries_and_specs_are_the_same() -> None:
    for quant in (None, QuantParams(0.5, 3)):
        spec = TensorSpec("x", (1, 2), "int8", quant)
        assert TensorEntry.of(spec).spec == spec


def test_features_have_no_preprocessing() -> None:
    data = json.loads(changed("input.preprocess", None))
    data["input"]["tensor"]["shape"] = [1, 16, 2]
    assert parse_manifest(json.dumps(data).encode()).input.preprocess is None


def test_a_bad_name_is_a_config_error_while_building() -> None:
    check_name("doors_v2.1-x", "1.0.0-rc.1", "recipe.toml")
    with pytest.raises(ConfigError, match=r"recipe\.toml: name"):
        check_name("doors/x", "1", "recipe.toml")


positive = st.floats(0, 1e30, exclude_min=True)
scales = positive | st.none()
text = st.text(st.characters(exclude_categories=["Cs"]))


def tensors(shape: tuple[int, ...]) -> st.SearchStrategy[TensorEntry]:
    return st.builds(
        TensorEntry,
        text,
        st.just(shape),
        st.sampled_from(["int8", "uint8", "float32", "int16", "int32", "int64"]),
        scales,
        st.integers(-(2**31), 2**31) | st.none(),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    shape = draw(
        st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
    )
    scores = draw(st.lists(st.integers(1, 9), max_size=4).map(tuple))
    preprocess = st.builds(
        PreprocessSpec,
        st.sampled_from(["rgb", "bgr"]) if shape[3] == 3 else st.just("gray"),
        st.sampled_from(["stretch", "crop", "letterbox"]),
        st.sampled_from(["linear", "area"]),
        st.lists(st.floats(-1e9, 1e9)).map(tuple),
        st.lists(positive).map(tuple),
    )
    entry = st.builds(ModelEntry, text, text, st.integers(0))
    return Manifest(
        draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)),
        draw(st.from_regex(r"[0-9]+(\.[0-9]+){0,3}([.+-][A-Za-z0-9.+-]{1,32})?", fullmatch=True)),
        "classify",
        {"litert": draw(entry), **draw(st.dictionaries(text, entry))},
        InputEntry(draw(tensors(shape)), draw(st.none() | preprocess)),
        (OutputEntry("scores", draw(tensors(scores))),),
        LabelsEntry(draw(text), math.prod(scores)),
        GoldenEntry(
            *(draw(text), draw(st.integers(10)), draw(st.sampled_from(["test", "synthetic"]))),
            *(draw(text) for _ in range(4)),
            draw(st.integers(1)),
        ),
        Postprocess(draw(st.sampled_from(["none", "softmax", "sigmoid"])), draw(st.floats(-9, 9))),
        Budget(draw(st.none() | st.floats(0, 1)), draw(st.none() | st.integers(1))),
        draw(st.dictionaries(text, st.builds(MemberEntry, st.integers(0), text))),
    )


@given(manifests())
def test_what_is_written_is_read_back(manifest: Manifest) -> None:
    assert parse_manifest(manifest.to_json()) == manifest
    assert manifest.to_json() == replace(manifest).to_json()


@given(st.binary())
def test_any_bytes_are_a_bundle_error(data: bytes) -> None:
    refused(data)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is something to change in a document."""
    inside: Any = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    return [here, *(path for key, item in inside for path in paths(item, (*here, key)))]


def accepted_or_refused(data: bytes) -> None:
    try:
        manifest = parse_manifest(data)
    except BundleError as error:
        assert error.fix
    else:
        assert parse_manifest(manifest.to_json()) == manifest


@given(st.sampled_from(paths(DOCUMENT)[1:]), junk, st.sampled_from(["replace", "delete", "add"]))
def test_a_changed_document_is_valid_or_refused(
    path: tuple[Any, ...], value: Any, how: str
) -> None:
    document = json.loads(MANIFEST.to_json())
    table = document
    for key in path[:-1]:
        table = table[key]
    if how == "replace":
        table[path[-1]] = value
    elif how == "delete":
        del table[path[-1]]
    elif isinstance(table, dict):
        table["added"] = value
    accepted_or_refused(json.dumps(document).encode())


@given(
    st.lists(
        st.tuples(st.integers(0, len(MANIFEST.to_json()) - 1), st.integers(0, 255)), max_size=4
    )
)
def test_changed_bytes_are_valid_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(MANIFEST.to_json())
    for position, byte in changes:
        data[position] = byte
    accepted_or_refused(bytes(data))


def test_the_bundles_of_these_tests_have_such_manifests(
    tiny_parts: Callable[..., tuple[Manifest, dict[str, bytes]]],
) -> None:
    manifest, _ = tiny_parts()
    assert parse_manifest(manifest.to_json()) == manifest
    assert as_dict(manifest)["input"]["tensor"]["zero_point"] == -128
