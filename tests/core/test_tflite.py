"""The reader of .tflite files: counts against the papers' architectures, damage, and metadata."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import open_engine
from edge_sdk.errors import ModelError
from edge_sdk.tensors import QuantParams
from edge_sdk.tflite.graph import Graph, Operator, Tensor, read_graph
from edge_sdk.tflite.metadata import ModelMetadata, read_metadata
from edge_sdk.tflite.tiny import tiny_classifier


def mobilenet_v1(alpha: float, size: int, classes: int, channels: int = 3) -> int:
    """MACs of MobileNet v1 (Howard et al. 2017, table 1)."""
    side, width = size // 2, int(32 * alpha)
    macs = side * side * width * 9 * channels
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    for outputs, stride in [*blocks, (1024, 2), (1024, 1)]:
        side, wide = side // stride, int(outputs * alpha)
        macs += side * side * width * 9 + side * side * width * wide
        width = wide
    return macs + width * classes


def mobilenet_v2(size: int, classes: int) -> int:
    """MACs of MobileNet v2 1.0 (Sandler et al. 2018, table 2)."""
    side, width = size // 2, 32
    macs = side * side * width * 27
    for factor, wide, repeats, stride in [
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ]:
        for step in [stride, *[1] * (repeats - 1)]:
            inner = width * factor
            macs += side * side * width * inner if factor > 1 else 0
            side //= step
            macs += side * side * inner * 9 + side * side * inner * wide
            width = wide
    return macs + side * side * width * 1280 + 1280 * classes


# ResNet-8 and the keyword spotter: the layers of MLPerf Tiny's reference models (mlcommons/tiny).
RESNET_8 = 442_368 + 2 * 2_359_296 + 2 * (1_179_648 + 2_359_296 + 131_072) + 640
DS_CNN = 125 * 64 * 40 + 4 * (125 * 64 * 9 + 125 * 64 * 64) + 64 * 12

KNOWN = {
    "models/mobilenet_v1_0.25_224_float": ("float32", mobilenet_v1(0.25, 224, 1001)),
    "models/mobilenet_v1_0.25_224_quant": ("uint8", mobilenet_v1(0.25, 224, 1001)),
    "models/tf2_mobilenet_v2_1.0_224_ptq": ("int8", mobilenet_v2(224, 1001)),
    "models/vww_96_float": ("float32", mobilenet_v1(0.25, 96, 2)),
    "models/vww_96_int8": ("int8", mobilenet_v1(0.25, 96, 2)),
    "models/resnet8_cifar10_float": ("float32", RESNET_8),
    "models/resnet8_cifar10_int8": ("int8", RESNET_8),
    "models/kws_int8": ("int8", DS_CNN),
    "edgetpu/mobilenet_v1_0.25_128_quant": ("uint8", mobilenet_v1(0.25, 128, 1001)),
    "edgetpu/mobilenet_v1_0.5_160_quant": ("uint8", mobilenet_v1(0.5, 160, 1001)),
    "edgetpu/mobilenet_v2_1.0_224_quant": ("uint8", mobilenet_v2(224, 1001)),
    "edgetpu/dense_256": ("int8", 256 * 256),
    "edgetpu/split_concat": ("uint8", 0),
    "hostile/person_detect_bad_quantized_dimension": ("int8", mobilenet_v1(0.25, 96, 2, 1)),
}


def test_the_published_figures() -> None:
    assert mobilenet_v1(0.25, 224, 1001) == 41_030_528
    assert mobilenet_v1(1.0, 224, 1000) == 568_740_352
    assert mobilenet_v2(224, 1000) == 300_774_272


@pytest.mark.parametrize("name", KNOWN)
def test_precision_and_macs_of_known_models(name: str, shared_data: Path) -> None:
    graph = read_graph((shared_data / f"{name}.tflite").read_bytes())
    assert (graph.precision, graph.macs) == KNOWN[name]


def test_every_model_is_read_as_the_interpreter_reads_it(shared_data: Path) -> None:
    compared = 0
    for path in sorted(shared_data.glob("models/*.tflite")):
        model = path.read_bytes()
        graph = read_graph(model)
        with open_engine("litert", model) as engine:
            assert graph.input_specs == engine.inputs
            assert [s.dtype for s in graph.output_specs] == [s.dtype for s in engine.outputs]
            assert [s.quant for s in graph.output_specs] == [s.quant for s in engine.outputs]
        compared += 1
    assert compared >= 9


def test_compiled_models_are_one_custom_operator(shared_data: Path) -> None:
    compiled = shared_data / "edgetpu" / "mobilenet_v2_1.0_224_quant_edgetpu.tflite"
    graph = read_graph(compiled.read_bytes())
    assert [operator.name for operator in graph.operators] == ["CUSTOM(edgetpu-custom-op)"]
    assert graph.macs == 0


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_a_tiny_model(dtype: Any) -> None:
    graph = read_graph(tiny_classifier((4, 6, 3), 5, dtype=dtype))
    assert [operator.name for operator in graph.operators] == [
        *("RESHAPE", "FULLY_CONNECTED", "SOFTMAX")
    ]
    assert [operator.version for operator in graph.operators] == [1, 4, 2]
    assert (graph.precision, graph.macs, graph.subgraphs) == (dtype, 4 * 6 * 3 * 5, 1)
    assert graph.input_specs[0].shape == (1, 4, 6, 3)
    constants = [tensor.name for tensor in graph.tensors if tensor.is_constant]
    assert constants == ["size", "weights", "bias"]
    assert graph.metadata == {}


def test_a_tiny_model_needs_sizes() -> None:
    for shape, classes in (((0, 4, 1), 3), ((4, 4, 1), 0)):
        with pytest.raises(ModelError):
            tiny_classifier(shape, classes)


def tensor(dtype: str, *shape: int, scales: tuple[float, ...] = ()) -> Tensor:
    return Tensor("t", shape, shape, dtype, scales, (), 0, 0)


def layer(name: str, *tensors: Tensor, inputs: tuple[int, ...] | None = None) -> Graph:
    """A graph of one operator whose last tensor is its output."""
    last = len(tensors) - 1
    operator = Operator(0, name, 1, inputs or tuple(range(last)), (last,))
    return Graph(tensors, (operator,), (0,), (last,), 1, {})


@pytest.mark.parametrize(
    ("graph", "macs"),
    [
        (
            layer(
                "CONV_2D",
                *(tensor("int8", 1, 8, 8, 3), tensor("int8", 16, 5, 5, 3)),
                tensor("int8", 1, 4, 4, 16),
            ),
            4 * 4 * 16 * 5 * 5 * 3,
        ),
        (
            layer(
                "DEPTHWISE_CONV_2D",
                *(tensor("int8", 1, 8, 8, 4), tensor("int8", 1, 3, 3, 8)),
                tensor("int8", 1, 8, 8, 8),
            ),
            8 * 8 * 8 * 9,
        ),
        (
            layer(
                "TRANSPOSE_CONV",
                *(tensor("int32", 4), tensor("int8", 6, 2, 2, 3), tensor("int8", 1, 5, 5, 3)),
                tensor("int8", 1, 10, 10, 6),
            ),
            5 * 5 * 3 * 2 * 2 * 6,
        ),
        (layer("ADD", *[tensor("int8", 1, 8)] * 3), 0),
    ],
)
def test_macs_by_the_definition_of_each_layer(graph: Graph, macs: int) -> None:
    assert graph.macs == macs


PRECISIONS = {
    "float32": ("float32", "float32"),
    "dynamic": ("float32", "int8"),
    "int8": ("int8", "int8"),
    "uint8": ("uint8", "uint8"),
    "int16x8": ("int16", "int8"),
    "int4": ("int8", "int4"),
    "mixed": ("int8", "float32"),
}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision_is_that_of_weights_and_activations(precision: str) -> None:
    data, weights = PRECISIONS[precision]
    graph = layer("FULLY_CONNECTED", tensor(data, 1, 8), tensor(weights, 4, 8), tensor(data, 1, 4))
    assert graph.precision == precision
    with_others = replace(graph, tensors=(*graph.tensors, tensor("bool", 1)), inputs=(3,))
    assert with_others.precision == precision


def test_float16_weights_pass_through_a_dequantize() -> None:
    tensors = (
        *(tensor("float32", 1, 8), tensor("float32", 4, 8), tensor("float16", 4, 8)),
        tensor("float32", 1, 4),
    )
    operators = (
        Operator(0, "DEQUANTIZE", 1, (2,), (1,)),
        Operator(1, "FULLY_CONNECTED", 1, (0, 1), (3,)),
    )
    assert Graph(tensors, operators, (0,), (3,), 1, {}).precision == "float16"


def test_two_kinds_of_layers_are_mixed_and_none_is_that_of_the_input() -> None:
    graph = layer("FULLY_CONNECTED", *[tensor("int8", 4, 8)] * 3)
    tensors = (*graph.tensors, *[tensor("float32", 4, 8)] * 3)
    other = Operator(1, "FULLY_CONNECTED", 1, (3, 4), (5,))
    assert replace(graph, tensors=tensors, operators=(*graph.operators, other)).precision == "mixed"
    assert layer("RESHAPE", *[tensor("uint8", 1)] * 2).precision == "uint8"


def test_a_scale_without_a_zero_point_means_zero() -> None:
    assert tensor("int16", 1, scales=(0.5,)).spec.quant == QuantParams(0.5, 0)
    assert tensor("int8", 1, scales=(0.5, 0.25)).spec.quant is None


def use(model: bytes) -> None:
    """All that is read of a model that may be anybody's."""
    graph = read_graph(model)
    assert isinstance(graph.macs, int)
    assert graph.precision
    assert isinstance(graph.input_specs, tuple)
    assert isinstance(graph.output_specs, tuple)
    assert isinstance(read_metadata(model, graph), ModelMetadata)


TINY = [tiny_classifier(dtype=dtype) for dtype in ("int8", "uint8", "float32")]
WORDS = [0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


@given(
    st.sampled_from(TINY),
    st.lists(
        st.tuples(
            st.integers(8, min(map(len, TINY)) - 4), st.integers(0, 255) | st.sampled_from(WORDS)
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_damage_is_a_model_error_or_harmless(model: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(model)
    for position, value in changes:
        size = 1 if value < 256 else 4
        damaged[position : position + size] = value.to_bytes(size, "little")
    try:
        use(bytes(damaged))
    except ModelError as error:
        assert error.fix


@pytest.mark.campaign
def test_damage_anywhere(campaign: Callable[[str, int, int], int]) -> None:
    random = np.random.default_rng(0)
    outcomes = {True: 0, False: 0}
    for number in range(campaign("models", 600, 100_000)):
        damaged = bytearray(TINY[number % 3])
        for _ in range(random.integers(1, 4)):
            position = random.integers(8, len(damaged) - 4)
            word = int(random.choice([*WORDS, random.integers(256)]))
            size = 1 if word < 256 else 4
            damaged[position : position + size] = word.to_bytes(size, "little")
        try:
            use(bytes(damaged))
        except ModelError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("model", TINY)
def test_cut_off_anywhere(model: bytes) -> None:
    for end in range(0, len(model) - 1, 11):
        try:
            use(model[:end])
        except ModelError as error:
            assert error.fix


@given(st.binary(max_size=200))
def test_any_bytes_with_the_right_mark(data: bytes) -> None:
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        read_graph(data)
    try:
        use(data[:4].ljust(4, b"\0") + b"TFL3" + data[4:])
    except ModelError as error:
        assert "damaged" in str(error)


def repacked(change: Callable[[Any], None]) -> bytes:
    """The tiny model with its schema objects changed."""
    model = schema.ModelT.InitFromPackedBuf(TINY[0], 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def without_weights(model: Any) -> None:
    model.subgraphs[0].operators[1].inputs = [1]


def without_graph(model: Any) -> None:
    model.subgraphs = []


def strange_tensor(model: Any) -> None:
    model.subgraphs[0].operators[1].inputs = [1, 99, -1]


@pytest.mark.parametrize("change", [without_weights, without_graph, strange_tensor])
def test_a_graph_that_makes_no_sense(change: Callable[[Any], None]) -> None:
    with pytest.raises(ModelError, match="damaged TensorFlow Lite model"):
        read_graph(repacked(change))


def sharing(count: int, vector: str, length: int) -> bytes:
    """A file of `count` tensors in a list that all are one table, with a vector of `length`."""
    builder = flatbuffers.Builder(1024)
    shared = builder.CreateNumpyVector(np.ones(length, np.int32))
    name = builder.CreateString("n" * length)
    schema.TensorStart(builder)
    if vector == "shape":
        schema.TensorAddShape(builder, shared)
    elif vector == "signature":
        schema.TensorAddShapeSignature(builder, shared)
    else:
        schema.TensorAddName(builder, name)
    entry = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(entry)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("vector", "length"), [("shape", 5000), ("shape", 30), ("signature", 5000), ("name", 5000)]
)
def test_vectors_that_many_tensors_share_are_not_read_again_and_again(
    vector: str, length: int
) -> None:
    """Small files, that would take gigabytes."""
    model = sharing(5000, vector, length)
    tracemalloc.start()
    with pytest.raises(ModelError, match="damaged TensorFlow Lite model"):
        read_graph(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * len(model)
    assert len(read_graph(sharing(3, vector, 4)).tensors) == 3


def without_buffers(model: Any) -> None:
    model.buffers = None


def test_a_model_without_a_list_of_buffers() -> None:
    graph = read_graph(repacked(without_buffers))
    assert not any(tensor.is_constant for tensor in graph.tensors)


def table(builder: flatbuffers.Builder, fields: dict[int, tuple[str, Any]]) -> int:
    """A flatbuffers table: field number -> (kind, value)."""
    builder.StartObject(max(fields) + 1)
    for number, (kind, value) in fields.items():
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        elif kind == "int8":
            builder.PrependInt8Slot(number, value, 0)
        else:
            builder.PrependUint8Slot(number, value, 0)
    return int(builder.EndObject())


def vector(builder: flatbuffers.Builder, items: list[int]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())


def floats(builder: flatbuffers.Builder, values: list[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


def metadata_buffer(mean: list[float], std: list[float], labels: str, kind: int = 2) -> bytes:
    """ModelMetadata as TensorFlow Lite Support's schema lays it out."""
    b = flatbuffers.Builder(256)
    means, stds = floats(b, mean), floats(b, std)
    options = table(b, {0: ("offset", means), 1: ("offset", stds)})
    unit = table(b, {0: ("uint8", 1), 1: ("offset", options)})
    image = table(b, {4: ("offset", vector(b, [unit]))})
    name = b.CreateString(labels)
    file = table(b, {0: ("offset", name), 2: ("int8", kind)})
    scores = table(b, {6: ("offset", vector(b, [file]))})
    inputs, outputs = vector(b, [image]), vector(b, [scores])
    graph = table(b, {2: ("offset", inputs), 3: ("offset", outputs)})
    b.Finish(table(b, {3: ("offset", vector(b, [graph]))}), b"M001")
    return bytes(b.Output())


def described(metadata: bytes, files: bytes = b"") -> bytes:
    """The tiny model with a metadata buffer and a zip of files behind it."""

    def change(model: Any) -> None:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(metadata, np.uint8)
        entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [entry]

    return repacked(change) + files


def zipped(name: str, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def found_in(model: bytes) -> ModelMetadata:
    return read_metadata(model, read_graph(model))


META = metadata_buffer([127.5], [127.0], "labels.txt")
LABELS = "cat\n犬\nowl\n\n".encode()


def test_labels_and_normalisation_are_found() -> None:
    assert found_in(described(META, zipped("labels.txt", LABELS))) == ModelMetadata(
        ("cat", "犬", "owl"), (127.5,), (127.0,)
    )
    three = metadata_buffer([1, 2, 3], [4, 5, 6], "labels.txt", kind=3)
    assert found_in(described(three, zipped("labels.txt", LABELS, zipfile.ZIP_STORED))) == (
        ModelMetadata(("cat", "犬", "owl"), (1, 2, 3), (4, 5, 6))
    )


def bomb() -> bytes:
    """64 MiB of labels in 64 KiB, said to be 100 bytes."""
    data = bytearray(zipped("labels.txt", b"a\n" * (32 << 20)))
    size = data.rindex(b"PK\1\2") + 24
    data[size : size + 4] = (100).to_bytes(4, "little")
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped("labels.txt", LABELS))
    data[data.rindex(b"PK\1\2") + 8] |= 1
    return bytes(data)


def with_damaged_data() -> bytes:
    data = bytearray(zipped("labels.txt", LABELS))
    data[data.index(b"labels.txt") + 10] ^= 0xFF
    return bytes(data)


UNREADABLE = {
    "no zip": lambda: b"",
    "another file": lambda: zipped("other.txt", LABELS),
    "not UTF-8": lambda: zipped("labels.txt", b"\xff\xfe"),
    "too large": lambda: zipped("labels.txt", b"a\n" * (3 << 20)),
    "lzma": lambda: zipped("labels.txt", LABELS, zipfile.ZIP_LZMA),
    "bzip2": lambda: zipped("labels.txt", LABELS, zipfile.ZIP_BZIP2),
    "encrypted": encrypted,
    "damaged": with_damaged_data,
    "a bomb": bomb,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_labels_that_cannot_be_read_are_none(name: str) -> None:
    model = described(META, UNREADABLE[name]())
    tracemalloc.start()
    try:
        assert found_in(model).labels == ()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 32 << 20


def test_a_file_that_is_no_list_of_labels() -> None:
    other = metadata_buffer([0], [1], "vocabulary.txt", kind=5)
    assert found_in(described(other, zipped("vocabulary.txt", LABELS))).labels == ()


def test_labels_without_normalisation() -> None:
    b = flatbuffers.Builder(64)
    name = b.CreateString("labels.txt")
    file = table(b, {0: ("offset", name), 2: ("int8", 2)})
    scores = table(b, {6: ("offset", vector(b, [file]))})
    graph = table(b, {3: ("offset", vector(b, [scores]))})
    b.Finish(table(b, {3: ("offset", vector(b, [graph]))}), b"M001")
    model = described(bytes(b.Output()), zipped("labels.txt", LABELS))
    assert found_in(model) == ModelMetadata(("cat", "犬", "owl"))


def test_no_metadata_and_empty_metadata() -> None:
    assert found_in(TINY[0]) == ModelMetadata()
    assert found_in(described(b"")) == ModelMetadata()
    b = flatbuffers.Builder(16)
    b.Finish(table(b, {0: ("uint8", 1)}), b"M001")
    assert found_in(described(bytes(b.Output()))) == ModelMetadata()


@given(st.lists(st.tuples(st.integers(0, len(META) - 1), st.integers(0, 255)), max_size=6))
def test_damaged_metadata_is_never_an_error(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(META)
    for position, value in changes:
        damaged[position] = value
    graph = replace(read_graph(TINY[0]), metadata={"TFLITE_METADATA": bytes(damaged)})
    model = TINY[0] + zipped("labels.txt", LABELS)
    assert isinstance(read_metadata(model, graph), ModelMetadata)


@given(st.binary(min_size=1, max_size=100))
def test_any_bytes_as_metadata_are_never_an_error(data: bytes) -> None:
    graph = replace(read_graph(TINY[0]), metadata={"TFLITE_METADATA": data})
    assert isinstance(read_metadata(TINY[0], graph), ModelMetadata)


def test_metadata_of_real_models(shared_data: Path) -> None:
    model = (shared_data / "models" / "mobilenet_v1_0.25_224_quant.tflite").read_bytes()
    found = found_in(model)
    assert (len(found.labels), found.labels[:2]) == (1001, ("background", "tench"))
    assert (found.mean, found.std) == ((127.5,), (127.5,))
    bare = (shared_data / "models" / "vww_96_int8.tflite").read_bytes()
    assert found_in(bare) == ModelMetadata()
