"""`convert MODEL.onnx`: the ways it can be refused, and the real way through onnx2tf where
EDGE_SDK_ONNX2TF_PYTHON names an environment that has it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_converter import ConvertOptions, convert
from edge_converter.conversion.readers import onnx
from edge_converter.conversion.readers.onnx import VARIABLE
from edge_sdk import Bundle
from edge_sdk.errors import ModelError
from listeners import Lines

pytestmark = pytest.mark.slow

Command = Callable[..., subprocess.CompletedProcess[str]]

# Convolution with weights that see colours and places, as PyTorch exports it: channels first.
MAKE = """
import sys
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

folder = sys.argv[1]
random = np.random.default_rng(0)
kernel = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
dense = random.normal(size=(4 * 8 * 10, 5)).astype(np.float32) / 4
weights = [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(dense, "dense")]

def model(name, shape, first=(), head="Softmax"):
    nodes = [*first,
        helper.make_node("Conv", ["nchw" if first else "image", "kernel"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "dense"], ["l"]),
        helper.make_node(head, ["l"], ["scores"])]
    tensor = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "net", [tensor("image", shape)], [tensor("scores", [shape[0], 5])], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, f"{folder}/{name}.onnx")

turn = helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2])
model("nchw", ["N", 3, 8, 10])
model("nhwc", [1, 8, 10, 3], [turn])
model("any", ["N", 3, "H", "W"])
model("odd", [1, 3, 8, 10], head="Hardmax2")
"""


def refusal(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    error, fix = done.stderr.splitlines()[-2:]
    assert "Traceback" not in done.stderr
    return error, fix


def test_without_the_environment_the_commands_are_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"hello")
    given = ("convert", "net.onnx", "--quantize", "float16", "--mean", "0", "--std", "1")
    error, fix = refusal(command(*given, env={VARIABLE: ""}, cwd=tmp_path))
    assert VARIABLE in error
    assert "python3.11 -m venv" in fix and f"export {VARIABLE}=" in fix
    words = shlex.split(fix)
    pins = Path(words[words.index("-c") + 1])
    assert pins.is_absolute() and pins.parent == Path(onnx.__file__).parent
    assert any(line.startswith("onnx2tf==") for line in pins.read_text().splitlines())
    constraints = Path(__file__).parents[2] / "constraints" / "onnx.txt"  # docs/convert.md names it
    assert constraints.read_text() == pins.read_text()
    error, fix = refusal(command(*given, env={VARIABLE: "/nowhere/python"}, cwd=tmp_path))
    assert "'/nowhere/python', which is not a program" in error and "bin/python" in fix
    error, fix = refusal(command(*given, env={VARIABLE: sys.executable}, cwd=tmp_path))
    assert f"{sys.executable} cannot import onnx" in error
    assert f"{sys.executable} -m pip install onnx2tf" in fix
    error, _ = refusal(command("convert", "nowhere.onnx", *given[2:], cwd=tmp_path))
    assert "nowhere.onnx does not exist" in error


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small .onnx files, made by the onnx package of that environment."""
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"NOT TESTED: ONNX, as {VARIABLE} is not set (docs/convert.md makes it)")
    folder = tmp_path_factory.mktemp("onnx")
    subprocess.run([python, "-c", MAKE, str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["nchw", "nhwc"])
def test_onnx_becomes_a_bundle_that_answers_as_onnx_runtime_does(
    models: Path, write_images: Callable[..., list[Path]], tmp_path: Path, name: str
) -> None:
    write_images(tmp_path / "data", 12)
    said = Lines("note", "warning")
    options = ConvertOptions(mean=(127.5,), std=(127.5,))
    report = convert(
        models / f"{name}.onnx", options, data=tmp_path / "data", out=tmp_path / "x.edge",
        listen=said,
    )  # fmt: skip
    agreement = report.document["agreement"]
    assert agreement["onnx"]["samples"] == 12 and agreement["onnx"]["distance"] < 1e-5
    assert agreement["onnx"]["same_class"] == 1.0
    assert report.document["source_format"] == "onnx"
    first = "[None, 3, 8, 10] in ONNX, channels last"
    assert any(first in line for line in said) == (name == "nchw")
    with Bundle.open(report.bundle) as bundle:
        assert bundle.manifest.input.tensor.shape == (1, 8, 10, 3)
        assert bundle.manifest.models["litert"].precision == "int8"
        assert np.ptp(bundle.golden().outputs[0].astype(int), axis=0).max() > 10


def test_onnx_that_cannot_be_taken(models: Path, tmp_path: Path) -> None:
    (models / "junk.onnx").write_bytes(b"hello")
    options = ConvertOptions(mean=(0.0,), std=(1.0,), quantize="float32")
    for name, says in (
        ("junk", "is not an ONNX model"),
        ("any", r"takes images of any size: \[None, 3, None, None\]"),
        ("odd", "Hardmax2"),
    ):
        with pytest.raises(ModelError, match=says) as caught:
            convert(models / f"{name}.onnx", options, out=tmp_path / "x.edge")
        assert "\n" not in str(caught.value) and caught.value.fix
