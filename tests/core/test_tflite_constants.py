"""Values stored in .tflite files: as the interpreter computes with them, or a ModelError."""

from __future__ import annotations

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
from edge_sdk.tensors import dequantize
from edge_sdk.tflite.constants import constant_inputs, constant_values
from edge_sdk.tflite.graph import Tensor, read_graph
from edge_sdk.tflite.tiny import tiny_classifier

Change = Callable[[Any, dict[str, Any], dict[str, Any]], None]


def repacked(change: Change, dtype: Any = "int8") -> bytes:
    """The tiny model with its schema objects changed: change(model, tensors, buffers), those two by
    the names of the tensors.
    """
    model = schema.ModelT.InitFromPackedBuf(tiny_classifier(dtype=dtype), 0)
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    buffers = {name: model.buffers[tensor.buffer] for name, tensor in tensors.items()}
    change(model, tensors, buffers)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def stored(values: Any) -> np.ndarray[Any, Any]:
    """Values as the bytes of a buffer."""
    return np.frombuffer(values.tobytes(), np.uint8)


def value(model: bytes, name: str) -> np.ndarray[Any, Any]:
    """A constant by its tensor's name."""
    (tensor,) = (t for t in read_graph(model).tensors if t.name == name)
    return constant_values(model, tensor)


def raw(model: bytes, name: str, dtype: Any) -> np.ndarray[Any, Any]:
    """The bytes of a constant, read by the schema's own classes."""
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    (tensor,) = (t for t in root.subgraphs[0].tensors if t.name == name.encode())
    data = np.asarray(root.buffers[tensor.buffer].data, np.uint8)
    return np.frombuffer(data.tobytes(), dtype).reshape(tensor.shape)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 0), ("uint8", 128)])
def test_eight_bit_weights_are_scaled_around_their_zero_point(dtype: Any, zero_point: int) -> None:
    model = tiny_classifier((4, 4, 3), 5, dtype=dtype)
    weights = value(model, "weights")
    steps = raw(model, "weights", dtype).astype(np.int64) - zero_point
    assert weights.dtype == np.float32 and weights.shape == (5, 48)
    assert np.array_equal(weights, (steps / 64).astype(np.float32))
    assert steps.min() < -60 and steps.max() > 60  # both signs: nothing wrapped


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("int8", 0.01), ("uint8", 0.01)])
def test_the_interpreter_computes_with_the_same_numbers(dtype: Any, bound: float) -> None:
    """Logits and softmax from our constants, against the engine's answer."""
    model = tiny_classifier((4, 4, 3), 5, dtype=dtype)
    graph = read_graph(model)
    data, weights, bias = constant_inputs(model, graph, graph.operators[1])
    assert data is None and weights is not None and bias is not None
    with open_engine("litert", model) as engine:
        spec, out = engine.inputs[0], engine.outputs[0]
        pixels = np.random.default_rng(3).integers(0, 256, spec.shape)
        low = np.iinfo(dtype).min if dtype != "float32" else 0
        image = (pixels / 255 if dtype == "float32" else pixels + low).astype(dtype)
        answer = dequantize(engine(image)[0], out)[0]
    logits = weights @ dequantize(image, spec).reshape(-1) + bias
    expected = np.exp(logits) / np.exp(logits).sum()
    assert np.ptp(expected) > 0.1
    assert np.abs(answer - expected).max() < bound


def test_one_scale_and_zero_point_for_each_slice() -> None:
    def per_channel(model: Any, tensors: Any, buffers: Any) -> None:
        quant = tensors["weights"].quantization
        quant.scale, quant.zeroPoint, quant.quantizedDimension = [0.5, 0.25, 2.0], [0, 1, -2], 0

    model = repacked(per_channel)
    steps = raw(model, "weights", np.int8).astype(np.float64)
    expected = (steps - [[0], [1], [-2]]) * [[0.5], [0.25], [2.0]]
    assert np.array_equal(value(model, "weights"), expected.astype(np.float32))


def test_slices_along_the_last_axis_with_one_zero_point_for_all() -> None:
    scales = [2.0**-number for number in range(16)]

    def per_channel(model: Any, tensors: Any, buffers: Any) -> None:
        quant = tensors["weights"].quantization
        quant.scale, quant.zeroPoint, quant.quantizedDimension = scales, [3], 1

    model = repacked(per_channel)
    expected = (raw(model, "weights", np.int8).astype(np.float64) - 3) * np.array(scales)
    assert np.array_equal(value(model, "weights"), expected.astype(np.float32))


def test_sixty_four_bits() -> None:
    """As numbers without scale to the last bit; as a bias (16-bit activations) scaled."""
    large = np.array([2**62 + 1, -(2**40) - 1], np.int64)
    bias = np.array([2**40, -(2**40), 3], np.int64)

    def wide(model: Any, tensors: Any, buffers: Any) -> None:
        tensors["size"].type = tensors["bias"].type = schema.TensorType.INT64
        buffers["size"].data, buffers["bias"].data = stored(large), stored(bias)
        tensors["bias"].quantization.scale = [2.0**-40]

    model = repacked(wide)
    assert value(model, "size").dtype == np.int64 and np.array_equal(value(model, "size"), large)
    assert np.array_equal(value(model, "bias"), np.float32([1, -1, 3 * 2.0**-40]))


def test_the_shape_of_a_reshape_stays_what_it_is() -> None:
    graph = read_graph(model := tiny_classifier((4, 6, 3)))
    data, size = constant_inputs(model, graph, graph.operators[0])
    assert data is None and size is not None
    assert size.dtype == np.int32 and size.tolist() == [1, 72]


def test_float16_weights_behind_a_dequantize_and_an_input_left_out() -> None:
    values = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float16)

    def halve(model: Any, tensors: Any, buffers: Any) -> None:
        graph = model.subgraphs[0]
        half = schema.TensorT()
        half.name, half.shape, half.type = b"half", [3, 16], schema.TensorType.FLOAT16
        half.buffer = tensors["weights"].buffer
        buffers["weights"].data, tensors["weights"].buffer = stored(values), 0
        graph.tensors.append(half)
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        weights = graph.tensors.index(tensors["weights"])
        operator.opcodeIndex = len(model.operatorCodes)
        operator.inputs, operator.outputs = [len(graph.tensors) - 1], [weights]
        model.operatorCodes.append(code)
        graph.operators[1].inputs = [graph.operators[1].inputs[0], weights, -1]
        graph.operators.insert(0, operator)

    graph = read_graph(model := repacked(halve, "float32"))
    assert graph.precision == "float16"
    data, weights, bias = constant_inputs(model, graph, graph.operators[2])
    assert data is None and bias is None and weights is not None
    assert weights.dtype == np.float32 and np.array_equal(weights, values.astype(np.float32))


def test_values_that_lie_behind_the_tables() -> None:
    """As in files above 2 GB: offset and size instead of a vector."""
    plain = tiny_classifier(dtype="float32")
    end = len(plain) + 64

    def outside(model: Any, tensors: Any, buffers: Any) -> None:
        buffers["weights"].data = None
        buffers["weights"].offset, buffers["weights"].size = end, 3 * 16 * 4

    values = raw(plain, "weights", np.float32)
    model = repacked(outside, "float32").ljust(end, b"\0") + values.tobytes()
    assert np.array_equal(value(model, "weights"), values)
    with pytest.raises(ModelError, match="outside the file"):
        value(model[:-1], "weights")


def test_a_place_that_wraps_around_is_outside(segfaulting_model: bytes) -> None:
    with pytest.raises(ModelError, match="damaged TensorFlow Lite model"):
        value(segfaulting_model, "weights")


def wrong_axis(model: Any, tensors: Any, buffers: Any) -> None:
    quant = tensors["weights"].quantization
    quant.scale, quant.zeroPoint, quant.quantizedDimension = [1.0] * 3, [0] * 3, 1


def no_such_axis(model: Any, tensors: Any, buffers: Any) -> None:
    quant = tensors["weights"].quantization
    quant.scale, quant.zeroPoint, quant.quantizedDimension = [1.0] * 3, [0] * 3, -1


def too_few(model: Any, tensors: Any, buffers: Any) -> None:
    buffers["weights"].data = buffers["weights"].data[:-1]


def negative(model: Any, tensors: Any, buffers: Any) -> None:
    tensors["weights"].shape = [-3, -16]


def sub_byte(model: Any, tensors: Any, buffers: Any) -> None:
    tensors["weights"].type = schema.TensorType.INT4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (wrong_axis, "3 scales or zero points along axis 1"),
        (no_such_axis, "along axis -1"),
        (too_few, "of int8 has 47 bytes"),
        (negative, r"\[-3, -16\] of int8"),
        (sub_byte, "stored as int4"),
    ],
)
def test_claims_that_do_not_hold(change: Change, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        value(repacked(change), "weights")
    assert caught.value.fix


def test_what_is_computed_has_no_values() -> None:
    graph = read_graph(model := tiny_classifier())
    with pytest.raises(ModelError, match=r"image .* has 0 bytes"):
        constant_values(model, graph.tensors[graph.inputs[0]])


WHOLE = tiny_classifier()
GRAPH = read_graph(WHOLE)
CONSTANT = next(tensor for tensor in GRAPH.tensors if tensor.name == "weights")


@given(
    st.lists(st.integers(-4, 64), max_size=5).map(tuple),
    st.integers(-8, 2 * len(WHOLE)) | st.just(2**63),
    st.integers(0, 2 * len(WHOLE)),
    st.sampled_from(["int8", "uint8", "int16", "int64", "float16", "float32", "string", "int4"]),
    st.integers(0, 20),
)
def test_any_claim_is_checked(
    shape: tuple[int, ...], start: int, size: int, dtype: str, scales: int
) -> None:
    claim: Tensor = replace(
        CONSTANT,
        **{"shape": shape, "constant_at": start, "constant_bytes": size, "dtype": dtype},
        scales=(0.5,) * scales,
        zero_points=(0,) * scales,
    )
    try:
        found = constant_values(WHOLE, claim)
    except ModelError as error:
        assert error.fix
    else:
        assert found.shape == shape and 8 <= start <= len(WHOLE) - size


def test_a_bad_quantized_dimension_from_elsewhere(shared_data: Path) -> None:
    model = (shared_data / "hostile" / "person_detect_bad_quantized_dimension.tflite").read_bytes()
    graph = read_graph(model)
    with pytest.raises(ModelError, match="scales or zero points along"):
        for operator in graph.operators:
            constant_inputs(model, graph, operator)


ENDS = {
    "models/mobilenet_v1_0.25_224_float": {"RELU6": 27, "NONE": 4},
    "models/mobilenet_v1_0.25_224_quant": {"NONE": 31},
    "models/vww_96_int8": {"RELU": 27, "NONE": 4},
    "models/tf2_mobilenet_v2_1.0_224_ptq": {"RELU6": 35, "NONE": 33},
}


@pytest.mark.parametrize("name", ENDS)
def test_what_layers_end_in(name: str, shared_data: Path) -> None:
    graph = read_graph((shared_data / f"{name}.tflite").read_bytes())
    ends = [operator.activation for operator in graph.operators]
    assert {end: ends.count(end) for end in ends} == ENDS[name]
