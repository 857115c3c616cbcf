"""`convert`: a .tflite of one's own goes into a bundle unchanged, or is refused with the reason."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest

from edge_converter import ConvertOptions, convert
from edge_converter.conversion import describe, parse_options
from edge_sdk import Bundle
from edge_sdk.errors import (
    ConfigError,
    DataError,
    EdgeError,
    FileError,
    ModelError,
    NotAvailableYet,
)
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.preprocess import Preprocessor
from edge_sdk.tflite.tiny import tiny_classifier
from listeners import Lines

Convert = Callable[..., tuple[Bundle, list[str]]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An int8 classifier of 4 x 4 grey images, 3 classes."""
    return write(tmp_path / "model.tflite", tiny_classifier())


@pytest.fixture
def packed(tmp_path: Path) -> Convert:
    """`packed(model, data=None, **options)`: the opened bundle, and what was said."""

    def run(model: Path, *, data: Path | None = None, **options: Any) -> tuple[Bundle, list[str]]:
        said = Lines("note", "warning")
        out = tmp_path / "packed.edge"
        convert(model, ConvertOptions(**options), data=data, out=out, listen=said)
        return Bundle.open(out), said

    return run


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refused(model: Path, kind: type[EdgeError], data: Path | None = None, **options: Any) -> str:
    """The error and its fix; there must be no bundle."""
    out = model.parent / "refused.edge"
    with pytest.raises(kind) as caught:
        convert(model, ConvertOptions(**options), data=data, out=out)
    assert not out.exists()
    return f"{caught.value}\n{caught.value.fix}"


def changed(model: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """The model after `change(model, graph)`."""
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    change(root, root.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


# --- what is packed ------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tail"), [("int8", "xor"), ("uint8", "copy")])
def test_pixels_go_onto_the_range_of_the_input(
    tmp_path: Path, packed: Convert, dtype: Any, tail: str
) -> None:
    """Without options and metadata, a quantized model is fed the pixels themselves."""
    blob = tiny_classifier((6, 5, 3), 4, dtype=dtype)
    bundle, said = packed(write(tmp_path / "own model.tflite", blob))
    assert bundle.model() == blob
    manifest = bundle.manifest
    assert (manifest.name, manifest.version) == ("own-model", "1.0.0")
    assert (manifest.models["litert"].precision, manifest.models["litert"].macs) == (dtype, 90 * 4)
    assert manifest.input.preprocess is not None
    preprocessor = Preprocessor(manifest.input.preprocess, manifest.input.tensor.spec)
    assert preprocessor.tail == tail
    offset = 128 if dtype == "int8" else 0
    wanted = np.arange(256)[:, None].repeat(3, axis=1) - offset
    np.testing.assert_array_equal(preprocessor.table[0].astype(int), wanted)
    assert bundle.labels == ("0", "1", "2", "3")
    assert any(f"pixels 0..255 onto {dtype}" in line for line in said)
    assert any("no labels found" in line and "--labels" in line for line in said)


@pytest.mark.parametrize(("scale", "zero_point"), [(1.0, -128), (2 / 255, -1), (0.5847, 83)])
def test_any_scale_is_fed_the_pixels(
    tmp_path: Path, packed: Convert, scale: float, zero_point: int
) -> None:
    def scaled(_: Any, graph: Any) -> None:
        for tensor in graph.tensors[:2]:  # the image, and the image flattened
            tensor.quantization.scale = [scale]
            tensor.quantization.zeroPoint = [zero_point]
        graph.tensors[4].quantization.scale = [scale / 64]  # biases: inputs times weights

    bundle, _ = packed(write(tmp_path / "model.tflite", changed(tiny_classifier(), scaled)))
    manifest = bundle.manifest
    assert manifest.input.preprocess is not None
    assert Preprocessor(manifest.input.preprocess, manifest.input.tensor.spec).tail == "xor"


def test_a_float_model_needs_mean_and_std(tmp_path: Path, packed: Convert) -> None:
    path = write(tmp_path / "model.tflite", tiny_classifier(dtype="float32"))
    assert "--mean 127.5 --std 127.5" in refused(path, ConfigError)
    assert "only one of --mean and --std" in refused(path, ConfigError, mean=(1.0,))
    assert "only one of --mean and --std" in refused(path, ConfigError, std=(1.0,))
    bundle, said = packed(path, mean=(10.0,), std=(4.0,))
    assert bundle.manifest.input.preprocess is not None
    assert bundle.manifest.input.preprocess.mean == (10.0,)
    assert bundle.manifest.input.preprocess.std == (4.0,)
    assert said[0] == "normalisation: mean [10.0], std [4.0] (from options)"


def test_bytes_without_a_scale_are_fed_the_pixels(tmp_path: Path, packed: Convert) -> None:
    """A model that takes pixels as uint8 and makes floats of them itself."""

    def casts(root: Any, graph: Any) -> None:
        pixels = copy.copy(graph.tensors[0])
        pixels.name, pixels.type = b"pixels", schema.TensorType.UINT8
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
        cast = schema.OperatorT()
        cast.opcodeIndex, cast.inputs, cast.outputs = len(root.operatorCodes), [-1], [0]
        graph.tensors.append(pixels)
        root.operatorCodes.append(code)
        graph.operators.insert(0, cast)
        cast.inputs = graph.inputs = [len(graph.tensors) - 1]

    blob = changed(tiny_classifier(dtype="float32"), casts)
    bundle, said = packed(write(tmp_path / "model.tflite", blob))
    assert bundle.manifest.input.tensor.dtype == "uint8"
    assert bundle.manifest.input.tensor.scale is None
    assert "normalisation: mean [0.0], std [1.0] (from pixels 0..255 as they are)" in said
    golden = bundle.golden().inputs[0]
    assert golden.dtype == np.uint8 and np.ptp(golden) > 100


NAN, INF = float("nan"), float("inf")


def test_a_model_that_answers_nan_is_refused(tmp_path: Path) -> None:
    def spoilt(root: Any, graph: Any) -> None:
        weights = root.buffers[graph.tensors[3].buffer]
        weights.data = np.full(len(weights.data) // 4, NAN, np.float32).view(np.uint8)

    path = write(tmp_path / "model.tflite", changed(tiny_classifier(dtype="float32"), spoilt))
    assert "answers NaN or infinity" in refused(path, ModelError, mean=(0.0,), std=(255.0,))


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.0,), (0.0,)), ((0.0,), (-1.0,)), ((NAN,), (1.0,)), ((0.0,), (INF,)), ((INF,), (NAN,))],
)
def test_normalisation_must_make_numbers(
    model: Path, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    assert "must be finite" in refused(model, ConfigError, mean=mean, std=std)


def test_normalisation_has_one_value_or_one_a_channel(model: Path, tmp_path: Path) -> None:
    assert "mean has 2 values" in refused(model, ConfigError, mean=(1.0, 2.0), std=(1.0,))
    color = write(tmp_path / "color.tflite", tiny_classifier((4, 4, 3)))
    said = refused(color, ConfigError, mean=(1.0, 2.0), std=(1.0,))
    assert "mean has 2 values for color 'rgb'" in said


def test_options_reach_the_manifest(tmp_path: Path, packed: Convert) -> None:
    path = write(tmp_path / "model.tflite", tiny_classifier((4, 4, 3)))
    bundle, _ = packed(
        path, color="bgr", fit="letterbox", resize="area", name="doors", version="2.0"
    )
    spec = bundle.manifest.input.preprocess
    assert spec is not None
    assert (spec.color, spec.fit, spec.resize) == ("bgr", "letterbox", "area")
    assert (bundle.manifest.name, bundle.manifest.version) == ("doors", "2.0")
    assert "has 3 channels, but color is 'gray'" in refused(path, ModelError, color="gray")


def test_the_default_place_is_here(model: Path) -> None:
    with contextlib.chdir(model.parent):
        report = convert("model.tflite")
    assert report.bundle == Path("model-1.0.0.edge")
    assert (model.parent / "model-1.0.0.edge").is_file()
    assert "model-1.0.0.edge" in describe(report) and "bytes" in describe(report)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("模型.tflite", "model"),
        ("_private.tflite", "private"),
        ("..hidden.tflite", "hidden"),
        ("my model (2).tflite", "my-model-2"),
        (f"{'long' * 30}.tflite", "long" * 16),
        ("v1.0_224.TFLITE", "v1.0_224"),
    ],
)
def test_a_name_is_made_of_any_file_name(
    tmp_path: Path, packed: Convert, file: str, name: str
) -> None:
    bundle, _ = packed(write(tmp_path / file, tiny_classifier()))
    assert bundle.manifest.name == name


def test_a_name_that_is_given_is_checked(model: Path) -> None:
    assert "name is 'a b'" in refused(model, ConfigError, name="a b")
    assert "version is 'new'" in refused(model, ConfigError, version="new")


def test_the_document(model: Path, tmp_path: Path) -> None:
    report = convert(model, out=tmp_path / "x.edge")
    document = report.document
    assert document["schema"] == "edge-sdk/build/1" and document["passed"] is True
    assert document["converted"] == {
        "accuracy": None,
        "bytes": model.stat().st_size,
        "quantization": "int8",
        "macs": document["macs"],
    }
    assert document["dataset"] is None and document["float"] is None
    with Bundle.open(tmp_path / "x.edge") as bundle:
        assert bundle.build == document == json.loads(json.dumps(document))


def test_the_same_model_makes_the_same_bytes(model: Path, tmp_path: Path) -> None:
    first = convert(model, out=tmp_path / "a.edge").bundle.read_bytes()
    assert first == convert(model, out=tmp_path / "b.edge").bundle.read_bytes()


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "猫\ndog\nred fox\n".encode(),
        "猫\r\ndog\r\nred fox".encode(),
        b"\xef\xbb\xbf" + "猫\n dog \nred fox\n".encode(),
    ],
    ids=["unix", "windows", "marked"],
)
def test_labels_from_a_file(model: Path, packed: Convert, content: bytes) -> None:
    bundle, _ = packed(model, labels=write(model.parent / "labels.txt", content))
    assert bundle.labels == ("猫", "dog", "red fox")


def test_labels_that_do_not_fit(model: Path, tmp_path: Path) -> None:
    def said(content: bytes) -> str:
        return refused(model, DataError, labels=write(tmp_path / "labels.txt", content))

    assert "has 2 labels, the model has 3 scores" in said(b"a\nb\n")
    assert "give 3 lines" in said(b"a\nb\nc\nd\n")
    assert "has 0 labels" in said(b"")
    assert "is not UTF-8" in said(b"caf\xe9\nb\nc\n")
    assert "does not exist" in refused(model, FileError, labels=tmp_path / "nowhere.txt")
    assert "is a folder" in refused(model, FileError, labels=tmp_path)


# --- golden samples ------------------------------------------------------------------------------


def test_images_of_any_kind_become_golden_samples(
    model: Path, packed: Convert, write_images: Any, tmp_path: Path
) -> None:
    """Found below the folder, whatever their folders are called."""
    write_images(tmp_path / "data", 4)
    write_images(tmp_path / "data" / "more" / "deep 猫", 8, suffix=".jpg", seed=1)
    bundle, said = packed(model, data=tmp_path / "data")
    assert (bundle.manifest.golden.origin, bundle.manifest.golden.samples) == ("data", 10)
    assert len({sample.tobytes() for sample in bundle.golden().inputs[0]}) == 10
    assert not any("synthetic" in line for line in said)
    with open_recognizer(tmp_path / "packed.edge") as recognizer:
        assert recognizer.golden is not None and recognizer.golden.rule == "exact"


def test_without_images_they_are_made_up_and_say_so(model: Path, packed: Convert) -> None:
    bundle, _ = packed(model)
    assert bundle.manifest.golden.origin == "synthetic"
    assert len({sample.tobytes() for sample in bundle.golden().inputs[0]}) == 10
    assert np.ptp(bundle.golden().outputs[0].astype(int), axis=0).max() > 10


def test_too_few_images_are_not_used(
    model: Path, packed: Convert, write_images: Any, tmp_path: Path
) -> None:
    write_images(tmp_path / "data", 9)
    bundle, said = packed(model, data=tmp_path / "data")
    assert bundle.manifest.golden.origin == "synthetic"
    assert bundle.build["golden"] == "synthetic"
    assert "warning: 9 readable images, 10 needed: golden samples are synthetic" in said


def test_broken_images_are_skipped_and_named(
    model: Path, packed: Convert, write_images: Any, tmp_path: Path
) -> None:
    paths = write_images(tmp_path / "data", 12)
    for path in paths[:2]:
        path.write_bytes(path.read_bytes()[:50])
    bundle, said = packed(model, data=tmp_path / "data")
    assert bundle.manifest.golden.origin == "data"
    for path in paths[:2]:
        assert any(line.startswith("warning: skipped: ") and str(path) in line for line in said)


def test_no_images_at_all(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refused(model, DataError, data=tmp_path / "empty")
    assert "does not exist" in refused(model, FileError, data=tmp_path / "nowhere")
    assert "is not a folder" in refused(model, FileError, data=model)


# --- what is refused -----------------------------------------------------------------------------


def test_models_of_sequences_are_not_converted_yet(model: Path) -> None:
    told = refused(model, NotAvailableYet, task="sequence")
    assert "sequence classifiers cannot be converted yet" in told


def test_numbers_on_the_command_line() -> None:
    options = parse_options(mean="1,2.5, 3", std="127.5", size="96x64")
    assert (options.mean, options.std) == ((1.0, 2.5, 3.0), (127.5,))
    assert options.size == (96, 64)
    for text in ("one", "1,,2", "1;2"):
        with pytest.raises(ConfigError, match="--mean is"):
            parse_options(mean=text, std="1")
    for text in ("96", "96x", "0x96", "96X96", "96x96x3", "99999x1"):
        with pytest.raises(ConfigError, match="--size is") as caught:
            parse_options(size=text)
        assert "224x224" in caught.value.fix


def test_files_that_are_no_model(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere.tflite", FileError)
    assert "is a folder" in refused(tmp_path, FileError)
    for content in (b"", b"hello", b"\0\0\0\0TFL3", b"\x1c\0\0\0TFL3" + bytes(100)):
        path = write(tmp_path / "model.tflite", content)
        assert "TensorFlow Lite model" in refused(path, ModelError)


def test_a_image_with_neither_one_nor_three_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "model.tflite", tiny_classifier((4, 4, 4)))
    assert "4 channels" in refused(path, ModelError)


def test_one_score_is_no_classifier(tmp_path: Path) -> None:
    path = write(tmp_path / "model.tflite", tiny_classifier(classes=1))
    assert "answers [1, 1], not one row of scores" in refused(path, ModelError)


@pytest.mark.parametrize("scale", [0.0, NAN, INF, -1.0])
def test_scales_that_no_quantization_has(tmp_path: Path, scale: float) -> None:
    def scaled(_: Any, graph: Any) -> None:
        graph.tensors[0].quantization.scale = [scale]

    path = write(tmp_path / "model.tflite", changed(tiny_classifier(), scaled))
    assert refused(path, EdgeError)


@pytest.mark.campaign
@pytest.mark.slow
def test_damaged_models_are_refused_or_packed_whole(
    tmp_path: Path, campaign: Callable[[str, int, int], int]
) -> None:
    """Bytes changed at random: an answer in our own words, or a bundle that opens."""
    chance = random.Random(4)
    blob = tiny_classifier()
    for _ in range(campaign("damaged models", 10, 500)):
        damaged = bytearray(blob)
        for _ in range(chance.choice([1, 1, 2, 8])):
            damaged[chance.randrange(len(blob))] = chance.randrange(256)
        path = write(tmp_path / "model.tflite", bytes(damaged[: chance.choice([None, None, 700])]))
        out = tmp_path / "x.edge"
        out.unlink(missing_ok=True)
        try:
            convert(path, out=out)
        except EdgeError as error:
            assert error.fix and not out.exists()
        else:
            with Bundle.open(out) as bundle:
                assert bundle.model() == path.read_bytes()


def test_where_nothing_can_be_written(model: Path, tmp_path: Path) -> None:
    for out, says in (
        (tmp_path, "is a folder"),
        (model / "x.edge", "cannot write"),
        (Path("/proc/x/x.edge"), "cannot write"),
    ):
        with pytest.raises(FileError, match=says) as caught:
            convert(model, out=out)
        assert caught.value.fix
