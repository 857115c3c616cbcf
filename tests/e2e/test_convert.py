"""`edge-sdk convert` on models that others made, and `predict` with what it packed."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import Bundle
from edge_sdk.cli.table import main
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.preprocess import Preprocessor

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """What an `edge-sdk` line gives, typed in an empty folder; in this process, to save time."""

    def start(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        with contextlib.chdir(tmp_path):
            status = main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return start


def refusal(done: subprocess.CompletedProcess[str], folder: Path) -> tuple[str, str]:
    """The error and the fix of a refused model: two lines, nothing on stdout, no bundle."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    error, fix = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ") and fix.startswith("fix: "), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.rglob("*.edge"))
    return error, fix


# Each: the model, options, precision, I/O, the way into the input tensor, labels, what was said.
PACKED = [
    (
        *("models/tf2_mobilenet_v2_1.0_224_ptq", ()),
        *("int8", "uint8", "copy", 1001, "mean [127.5], std [127.5] (from the model's metadata)"),
    ),
    (
        *("models/mobilenet_v1_0.25_224_quant", ()),
        *("uint8", "uint8", "table", 1001, "mean [127.5], std [127.5] (from the model's metadata)"),
    ),
    (
        *("models/mobilenet_v1_0.25_224_float", ("--mean", "127.5", "--std", "127.5")),
        *("float32", "float32", "table", 1001, "mean [127.5], std [127.5] (from options)"),
    ),
    ("models/vww_96_int8", (), "int8", "int8", "xor", 2, "from pixels 0..255 onto int8"),
    ("models/resnet8_cifar10_int8", (), "int8", "int8", "xor", 10, "onto int8"),
    (
        *("models/resnet8_cifar10_float", ("--mean", "0", "--std", "1")),
        *("float32", "float32", "table", 10, "mean [0.0], std [1.0] (from options)"),
    ),
    (
        *("models/vww_96_float", ("--mean=0,0,0", "--std=255,255,255")),
        *("float32", "float32", "table", 2, "(from options)"),
    ),
    ("edgetpu/bright_16x16", (), "int8", "uint8", "copy", 2, "onto uint8"),
]


@pytest.mark.parametrize(
    ("name", "options", "precision", "io", "tail", "labels", "says"),
    PACKED,
    ids=[row[0].split("/")[1] for row in PACKED],
)
def test_a_model_is_packed_unchanged(
    *,
    shared_data: Path,
    run: Run,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    precision: str,
    io: str,
    tail: str,
    labels: int,
    says: str,
) -> None:
    model = shared_data / f"{name}.tflite"
    done = run("convert", model, *options, "--json", "--out", "x.edge")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert says in done.stderr
    with Bundle.open(tmp_path / "x.edge") as bundle:
        assert bundle.model() == model.read_bytes()
        assert bundle.build == document
        assert len(bundle.labels) == labels
        manifest = bundle.manifest
    assert manifest.name == model.stem
    assert manifest.models["litert"].precision == precision
    assert manifest.input.tensor.dtype == io
    assert manifest.input.preprocess is not None
    assert Preprocessor(manifest.input.preprocess, manifest.input.tensor.spec).tail == tail
    with open_recognizer(tmp_path / "x.edge") as recognizer:
        assert recognizer.golden is not None and recognizer.golden.passed


# Each: the model, options, what the error and the fix must say.
REFUSED = [
    ("models/mobilenet_v1_0.25_224_float", (), "does not say how pixels are normalised", "--mean"),
    ("models/vww_96_float", ("--mean", "0"), "only one of --mean and --std", "give both"),
    ("models/coco_ssd_mobilenet_v1_1.0_quant", (), "not one row of scores", "--task detect"),
    ("models/vww_96_int8", ("--color", "gray"), "has 3 channels, but color is 'gray'", "rgb"),
    (
        "models/vww_96_int8",
        ("--task", "detect"),
        "not a known kind of detector",
        "TFLite_Detection_PostProcess",
    ),
    ("models/vww_96_int8", ("--task", "sequence"), "cannot be converted yet", "--task classify"),
    ("models/vww_96_int8", ("--quantize", "int8"), "calibrate with", "--data DIR"),
    ("models/vww_96_int8", ("--quantize", "dynamic"), "quantized already", "leave --quantize out"),
    ("models/vww_96_int8", ("--preset", "blazeface"), "short-range", "[1, 128, 128, 3]"),
    ("models/vww_96_int8", ("--mean", "a", "--std", "1"), "--mean is 'a'", "1,2,3"),
    ("models/vww_96_int8", ("--mean", "1,2", "--std", "1"), "mean has 2 values", "or 3"),
    ("models/vww_96_int8", ("--out", "."), "is a folder", "NAME.edge"),
    ("models/vww_96_int8", ("--out", "x.tflite"), "not the name of a bundle", "--out x.edge"),
    ("models/vww_96_int8", ("--data", "nowhere"), "nowhere does not exist", "check the path"),
    ("models/nowhere", (), "does not exist", "check the path"),
    ("edgetpu/deeplabv3_mnv2_dm05_pascal_quant", (), "not one row of scores", "classifier"),
    ("edgetpu/movenet_single_pose_lightning_ptq", (), "not one row of scores", "classifier"),
    ("edgetpu/gabor_64x64_p4", (), "not one row of scores", "classifier"),
    ("edgetpu/dense_256", (), "not one image", "classifier"),
    ("edgetpu/split_concat", (), "not one image", "classifier"),
    ("edgetpu/bright_16x16_edgetpu", (), "compiled for the Edge TPU", "compiled from"),
]


@pytest.mark.parametrize(
    ("name", "options", "error", "fix"),
    REFUSED,
    ids=[" ".join((row[0].split("/")[1], *row[1])) for row in REFUSED],
)
def test_what_cannot_be_packed_is_refused(
    shared_data: Path,
    run: Run,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    error: str,
    fix: str,
) -> None:
    done = run("convert", shared_data / f"{name}.tflite", *options)
    said, way_out = refusal(done, tmp_path)
    assert error in said and fix in way_out


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model_invoking_error", "refuses the model"),
        ("person_detect_bad_quantized_dimension", "quantized_dimension"),
    ],
)
def test_hostile_models_do_not_kill_the_command(
    shared_data: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    name: str,
    says: str,
) -> None:
    """In a process of its own."""
    done = command("convert", shared_data / "hostile" / f"{name}.tflite", cwd=tmp_path)
    error, fix = refusal(done, tmp_path)
    assert says in error and "inspect" in fix


def test_labels_from_a_file_or_not_at_all(shared_data: Path, run: Run, tmp_path: Path) -> None:
    model = shared_data / "models" / "vww_96_int8.tflite"
    (tmp_path / "two.txt").write_text("nobody\nsomebody\n")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    error, fix = refusal(run("convert", model, "--labels", "three.txt"), tmp_path)
    assert "three.txt has 3 labels, the model has 2 scores" in error and "give 2 lines" in fix
    assert run("convert", model, "--labels", "two.txt").returncode == 0
    with Bundle.open(tmp_path / "vww_96_int8-1.0.0.edge") as bundle:
        assert bundle.labels == ("nobody", "somebody")


def test_images_for_the_golden_samples(shared_data: Path, run: Run, tmp_path: Path) -> None:
    model = shared_data / "models" / "vww_96_int8.tflite"
    done = run("convert", model, "--data", shared_data / "images", "--out", "x.edge")
    assert done.returncode == 0, done.stderr
    assert "x.edge" in done.stdout and "333,288 bytes" in done.stdout
    with Bundle.open(tmp_path / "x.edge") as bundle:
        assert (bundle.manifest.golden.origin, bundle.manifest.golden.samples) == ("data", 10)


# What a person sees in each photo, by a word of its ImageNet label.
SEEN = {
    "burger.jpg": "burger",
    "cat.bmp": "cat",
    "cat_720p.jpg": "cat",
    "dragonfly.bmp": "dragonfly",
    "hot_dog.jpg": "hotdog",
    "parrot.jpg": "macaw",
    "kite_and_cold.jpg": "seashore",
    "sunflower.bmp": "daisy",  # ImageNet has no sunflower
}


def test_mobilenet_names_what_is_in_the_photos(shared_data: Path, run: Run, tmp_path: Path) -> None:
    model = shared_data / "models" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    done = run("convert", model, "--out", "mobilenet.edge", "--name", "mobilenet")
    assert done.returncode == 0, done.stderr
    done = run("predict", "mobilenet.edge", *(shared_data / "images" / n for n in SEEN), "--json")
    assert done.returncode == 0, done.stderr
    best: dict[str, Any] = {
        Path(result["path"]).name: result["classes"][0]
        for result in json.loads(done.stdout)["results"]
    }
    assert {name: word for name, word in SEEN.items() if word not in best[name]["label"]} == {}
    assert np.median([answer["score"] for answer in best.values()]) > 0.5


def test_int8_and_float_of_one_model_agree(shared_data: Path, run: Run, tmp_path: Path) -> None:
    """The person detector, fed by its own range and by --mean and --std: the same answers."""
    photos = sorted(path for path in (shared_data / "images").iterdir() if path.is_file())
    answers = {}
    for kind, options in (("int8", ()), ("float", ("--mean", "0", "--std", "255"))):
        model = shared_data / "models" / f"vww_96_{kind}.tflite"
        assert run("convert", model, *options, "--out", f"{kind}.edge").returncode == 0
        done = run("predict", f"{kind}.edge", *photos, "--json")
        answers[kind] = [
            {c["label"]: c["score"] for c in result["classes"]}["1"]
            for result in json.loads(done.stdout)["results"]
        ]
    assert len(answers["int8"]) == len(photos) >= 10
    np.testing.assert_allclose(answers["int8"], answers["float"], atol=0.1)
