"""`convert` of Keras files, SavedModels and float .tflite files: to a bundle that answers, or to a
line that says why not.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from document_types import check_document
from edge_converter import BuildReport, ConvertOptions, convert
from edge_converter.conversion import describe
from edge_converter.tf.setup import load_tensorflow
from edge_sdk import Bundle, read_image
from edge_sdk.errors import ConfigError, DataError, EdgeError, FileError, ModelError, TrainingError
from edge_sdk.inference.recognizer import open_recognizer
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.tiny import tiny_classifier
from listeners import Lines

pytestmark = pytest.mark.slow

LABELS = ("low", "mid", "top")
PIXELS = {"mean": (0.0,), "std": (255.0,)}


@dataclass(frozen=True)
class Given:
    """A trained model of 16 x 16 images in every format, and images in class folders.

    any.keras takes any size and answers with logits; the others take 16 x 16 and end in a softmax.
    """

    folder: Path
    data: Path


@pytest.fixture(scope="module")
def given(write_classes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Given:
    load_tensorflow()
    import keras
    from keras import layers

    folder = tmp_path_factory.mktemp("given")
    data = write_classes(folder / "data", dict.fromkeys(LABELS, 20), values=(0, 255))
    paths = [path for label in LABELS for path in sorted((data / label).iterdir())]
    images = np.stack([read_image(path).pixels[..., ::-1] for path in paths]) / 255
    keras.utils.set_random_seed(3)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(image)
    x = layers.Dense(3, activation="softmax")(layers.Flatten()(x))
    model = keras.Model(image, x)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, np.repeat(range(3), 20), epochs=30, verbose=0)
    model.save(folder / "fixed.keras")
    model.save(folder / "fixed.h5")
    model.export(folder / "saved", verbose=False)
    any_size = [keras.Input((None, None, 3)), layers.Conv2D(8, 3, strides=2, activation="relu")]
    end = [layers.GlobalAveragePooling2D(), layers.Dense(3)]
    keras.Sequential([*any_size, *end]).save(folder / "any.keras")
    return Given(folder, data)


def packed(given: Given, model: str, out: Path, **options: Any) -> tuple[BuildReport, list[str]]:
    """The report, and what was said. data: None for none."""
    said = Lines("note", "warning")
    data = options.pop("data", given.data)
    chosen = ConvertOptions(**{**PIXELS, **options})
    return convert(given.folder / model, chosen, data=data, out=out, listen=said), said


def right(bundle: Path, data: Path) -> int:
    """How many of the images the bundle names as their folders are called."""
    with open_recognizer(bundle) as recognizer:
        assert recognizer.golden is not None and recognizer.golden.passed
        answers = {path: recognizer(read_image(path)) for path in data.rglob("*.png")}
    return sum(answer.classes[0].label == path.parent.name for path, answer in answers.items())


# --- what is packed ------------------------------------------------------------------------------


def test_a_keras_file_becomes_int8_and_both_are_measured(given: Given, tmp_path: Path) -> None:
    """On the half of the images that did not calibrate."""
    report, said = packed(given, "fixed.keras", tmp_path / "x.edge", io="uint8")
    document = report.document
    check_document(document)
    assert document["dataset"]["n_calibration"] == document["dataset"]["n_test"] == 30
    assert document["float"]["n"] == document["converted"]["n"] == 30
    assert document["converted"]["quantization"] == "int8"
    gap = document["float"]["accuracy"] - document["converted"]["accuracy"]
    assert document["accuracy_loss"] == gap
    assert (document["steps"], document["recipe"]["steps"]) == ([], [])
    assert document["recipe"]["quantize"]["io"] == "uint8"
    assert document["source_format"] == "keras"
    assert set(document["agreement"]) == {"float", "converted"}
    assert "input: [None, 16, 16, 3], fixed to [1, 16, 16, 3]" in said
    assert any(line.startswith("warning: calibrated on 30 images; 100 to 200") for line in said)
    shown = describe(report)
    assert "int8 accuracy" in shown and "accuracy loss" in shown and "(30 of 30)" in shown
    with Bundle.open(report.bundle) as bundle:
        assert bundle.labels == LABELS
        assert bundle.build == json.loads(json.dumps(document))
        assert str(given.folder) not in json.dumps(bundle.build)
        graph = read_graph(bundle.model())
    assert [spec.dtype for spec in (*graph.input_specs, *graph.output_specs)] == ["uint8"] * 2
    assert graph.input_specs[0].quant is not None
    assert graph.input_specs[0].quant.scale == pytest.approx(1 / 255)  # pinned, not from the data
    assert {o.name for o in graph.operators}.isdisjoint({"SHAPE", "PACK", "STRIDED_SLICE"})
    assert right(report.bundle, given.data) == 60


def test_a_saved_model_takes_the_same_road(given: Given, tmp_path: Path) -> None:
    """Keras exports two signatures that are one."""
    report, said = packed(given, "saved", tmp_path / "x.edge")
    assert report.document["source_format"] == "SavedModel"
    assert report.document["converted"]["accuracy"] == 1.0
    assert "input: [None, 16, 16, 3], fixed to [1, 16, 16, 3]" in said
    with Bundle.open(report.bundle) as bundle:
        graph = read_graph(bundle.model())
    assert graph.precision == "int8" and -1 not in graph.tensors[graph.inputs[0]].signature
    assert {o.name for o in graph.operators}.isdisjoint({"SHAPE", "PACK", "STRIDED_SLICE"})
    assert right(report.bundle, given.data) == 60


def test_logits_of_any_size_in_float_without_images(given: Given, tmp_path: Path) -> None:
    report, said = packed(
        *(given, "any.keras", tmp_path / "x.edge"),
        data=None,
        quantize="float16",
        size=(20, 12),
    )
    assert "input: [None, None, None, 3], fixed to [1, 12, 20, 3]" in said
    assert report.document["float"]["accuracy"] is None
    assert report.document["accuracy_loss"] is None
    assert report.document["agreement"]["float"]["distance"] < 1e-5
    with Bundle.open(report.bundle) as bundle:
        assert bundle.manifest.models["litert"].precision == "float16"
        assert bundle.manifest.postprocess.activation == "softmax"
        assert bundle.manifest.golden.origin == "synthetic"
    assert "accuracy" not in describe(report)


def test_a_float_tflite_is_quantized_on_one_image(given: Given, tmp_path: Path) -> None:
    """A file without a signature. One image is few, and is said to be."""
    blob = tiny_classifier((16, 16, 3), dtype="float32")
    (given.folder / "tiny.tflite").write_bytes(blob)
    one = tmp_path / "one"
    one.mkdir()
    image = next(given.data.rglob("*.png"))
    (one / "a.png").write_bytes(image.read_bytes())
    report, said = packed(given, "tiny.tflite", tmp_path / "x.edge", quantize="int8", data=one)
    assert any("calibrated on 1 images; 100 to 200 are usual" in line for line in said)
    assert report.document["left_in_float"] == []
    assert report.document["float"]["bytes"] == len(blob)
    with Bundle.open(report.bundle) as bundle:
        graph = read_graph(bundle.model())
    assert graph.precision == "int8"
    spec = graph.input_specs[0]
    assert spec.dtype == "int8" and spec.quant is not None
    assert spec.quant.scale == pytest.approx(1 / 255, rel=1e-5)
    with open_recognizer(report.bundle) as recognizer:
        assert len(recognizer(read_image(image)).classes) == 3


@pytest.mark.parametrize("mode", ["float16", "dynamic"])
def test_a_float_tflite_needs_no_images_for(given: Given, tmp_path: Path, mode: str) -> None:
    blob = tiny_classifier((16, 16, 3), dtype="float32")
    (given.folder / "tiny.tflite").write_bytes(blob)
    report, _ = packed(given, "tiny.tflite", tmp_path / "x.edge", quantize=mode, data=None)
    assert report.document["converted"]["quantization"] == mode
    assert report.document["converted"]["bytes"] < len(blob)


def test_a_tflite_as_it_is_is_measured_too(given: Given, tmp_path: Path) -> None:
    blob = tiny_classifier((16, 16, 3))
    (given.folder / "tiny.tflite").write_bytes(blob)
    report, _ = packed(given, "tiny.tflite", tmp_path / "x.edge")
    assert report.document["float"] is None and report.document["accuracy_loss"] is None
    found = report.document["converted"]
    assert (found["n"], found["correct"]) == (60, right(report.bundle, given.data))


def test_folders_of_other_names_measure_nothing(given: Given, tmp_path: Path) -> None:
    (given.folder / "tiny.tflite").write_bytes(tiny_classifier((16, 16, 3), 4))
    report, said = packed(given, "tiny.tflite", tmp_path / "x.edge")
    assert report.document["converted"]["accuracy"] is None
    assert any(
        "accuracy not measured: the model has no label low, mid, top" in line for line in said
    )


def test_what_a_killed_conversion_left_goes_but_not_what_one_at_work_has(
    given: Given, tmp_path: Path, unmeasured: dict[str, str]
) -> None:
    (given.folder / "tiny.tflite").write_bytes(tiny_classifier((16, 16, 3), dtype="float32"))
    line = [sys.executable, "-m", "edge_sdk.cli", "convert", str(given.folder / "tiny.tflite")]
    line += ["--quantize", "dynamic", "--mean", "0", "--std", "255"]
    line += ["--out", str(tmp_path / "killed.edge")]
    options = {"quantize": "dynamic", "data": None}
    with subprocess.Popen(line, stderr=subprocess.DEVNULL, env=unmeasured) as other:
        try:
            while not (at_work := set(tmp_path.iterdir())):
                assert other.poll() is None
                time.sleep(0.01)
            other.send_signal(signal.SIGSTOP)
            packed(given, "tiny.tflite", tmp_path / "first.edge", **options)
            assert at_work <= set(tmp_path.iterdir()) and all(path.is_dir() for path in at_work)
        finally:
            other.kill()
    packed(given, "tiny.tflite", tmp_path / "second.edge", **options)
    left = {path.name for path in tmp_path.iterdir() if path.suffix != ".log"}
    assert left == {"first.edge", "second.edge"}


# --- what is refused -----------------------------------------------------------------------------


def refused(
    given: Given, model: str, kind: type[EdgeError], out: Path, **options: Any
) -> tuple[str, str]:
    """The error and its fix, a line each; there must be nothing left behind."""
    with pytest.raises(kind) as caught:
        packed(given, model, out / "x.edge", **options)
    assert not list(out.iterdir())
    error, fix = str(caught.value), caught.value.fix
    assert "\n" not in error + fix and fix
    return error, fix


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("model.bin", ModelError, "is not a model that can be converted"),
        ("model.keras", ModelError, "is not a .keras file"),
        ("model.h5", ModelError, "is not an HDF5 file"),
        ("model.tflite", ModelError, "not a TensorFlow Lite model"),
        ("folder", FileError, "is a folder without a saved_model.pb"),
        ("broken", ModelError, "cannot be loaded"),
        ("nowhere.keras", FileError, "does not exist"),
        ("nowhere.h5", FileError, "does not exist"),
        ("nowhere", FileError, "does not exist"),
    ],
)
def test_what_is_no_model(
    given: Given, tmp_path: Path, name: str, kind: type[EdgeError], says: str
) -> None:
    for suffix in ("bin", "keras", "h5", "tflite"):
        (given.folder / f"model.{suffix}").write_bytes(b"hello, world")
    (given.folder / "folder").mkdir(exist_ok=True)
    (given.folder / "broken").mkdir(exist_ok=True)
    (given.folder / "broken" / "saved_model.pb").write_bytes(b"hello, world")
    assert says in refused(given, name, kind, tmp_path)[0]


def test_a_layer_that_is_not_known_here(given: Given, tmp_path: Path) -> None:
    """In a .keras file and in an .h5 of Keras 2, which says less about it."""
    import h5py

    with zipfile.ZipFile(given.folder / "fixed.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    stem = next(one for one in config["config"]["layers"] if one["config"]["name"] == "stem")
    stem |= {"module": "mine", "class_name": "Swirl", "registered_name": "mine>Swirl"}
    with zipfile.ZipFile(given.folder / "swirl.keras", "w") as file:
        for name, content in members.items():
            file.writestr(name, json.dumps(config) if name == "config.json" else content)
    (given.folder / "swirl.h5").write_bytes((given.folder / "fixed.h5").read_bytes())
    with h5py.File(given.folder / "swirl.h5", "r+") as file:
        old = {"class_name": "Swirl", "config": stem["config"], "name": "stem"}
        old["inbound_nodes"] = stem["inbound_nodes"]
        config["config"]["layers"] = [
            old if one is stem else one for one in config["config"]["layers"]
        ]
        file.attrs["model_config"] = json.dumps(config)
    for name in ("swirl.keras", "swirl.h5"):
        error, fix = refused(given, name, ModelError, tmp_path)
        assert "has a layer 'Swirl' that cannot be rebuilt" in error
        assert "model.export('FOLDER')" in fix


def test_weights_alone(given: Given, tmp_path: Path) -> None:
    import keras

    model = keras.models.load_model(given.folder / "fixed.keras")
    model.save_weights(given.folder / "only.weights.h5")
    error, fix = refused(given, "only.weights.h5", ModelError, tmp_path)
    assert "holds weights without a model" in error and "model.load_weights" in fix


def test_two_signatures_are_listed(given: Given, tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()

    def scores(image: Any) -> Any:
        return {"scores": tf.reduce_mean(image, axis=(1, 2))}

    def sums(image: Any) -> Any:
        return {"sums": tf.reduce_sum(image, axis=(1, 2, 3), keepdims=True)}

    specs = [tf.TensorSpec((None, 16, 16, 3), tf.float32, name="image")]
    module.scores, module.sums = (tf.function(f, input_signature=specs) for f in (scores, sums))
    tf.saved_model.save(
        *(module, str(given.folder / "two")),
        signatures={"scores": module.scores, "sums": module.sums},
    )
    error, fix = refused(given, "two", ConfigError, tmp_path)
    assert "2 signatures: scores [None, 16, 16, 3] -> [None, 3], sums " in error
    assert fix == "choose one: --signature scores"
    error, fix = refused(given, "two", ConfigError, tmp_path, signature="other")
    assert "no signature 'other'" in error and "scores" in fix
    error, _ = refused(given, "two", ModelError, tmp_path, signature="sums")
    assert "answers [None, 1, 1, 1], not one row of scores" in error
    # The other one is taken, and needs what every float model needs.
    none: dict[str, Any] = {"mean": (), "std": ()}
    error, fix = refused(given, "two", ConfigError, tmp_path, signature="scores", **none)
    assert "does not say how pixels are normalised" in error and "--mean 0 --std 1" in fix


def test_sizes_that_are_missing_or_others(given: Given, tmp_path: Path) -> None:
    error, fix = refused(given, "any.keras", ConfigError, tmp_path)
    assert "takes images of any size: [None, None, None, 3]" in error and "--size" in fix
    error, fix = refused(given, "fixed.keras", ConfigError, tmp_path, size=(16, 20))
    assert "takes images of 16x16, --size says 16x20" in error and fix == "leave --size out"
    error, _ = refused(given, "any.keras", ModelError, tmp_path, size=(2, 2))
    assert "cannot be built for images of 2x2" in error


def test_inputs_and_outputs_that_no_classifier_has(given: Given, tmp_path: Path) -> None:
    import keras
    from keras import layers

    image, other = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    small = layers.GlobalAveragePooling2D()(image)
    many = layers.Concatenate()([small, layers.GlobalAveragePooling2D()(other)])
    sequence, deep = keras.Input((16, 3)), keras.Input((16, 16, 8))
    models = {
        "answers [None, 16, 16, 3], not": keras.Model(image, layers.ReLU()(image)),
        "answers [None, 1], not": keras.Model(image, layers.Dense(1)(small)),
        "answers [None, 3], [None, 2], not": keras.Model(image, [small, layers.Dense(2)(small)]),
        "takes 2 inputs, not one image": keras.Model([image, other], many),
        "takes [None, 16, 3], not one": keras.Model(sequence, layers.Flatten()(sequence)),
        "must be 1 or 3, the channels": keras.Model(deep, layers.Flatten()(deep)),
    }
    for says, model in models.items():
        model.save(given.folder / "odd.keras")
        assert says in refused(given, "odd.keras", ModelError, tmp_path)[0]


def test_an_operation_that_does_not_convert(given: Given, tmp_path: Path) -> None:
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3))
    odd = keras.ops.erfinv(layers.GlobalAveragePooling2D()(image))
    keras.Model(image, layers.Softmax()(odd)).save(given.folder / "erfinv.keras")
    options = {"quantize": "float32", "data": None}
    with pytest.raises((TrainingError, ModelError), match="Erfinv") as caught:
        packed(given, "erfinv.keras", tmp_path / "x.edge", **options)
    assert "\n" not in str(caught.value) and caught.value.fix
    assert "operation 'erfinv/Erfinv': " in str(caught.value)  # in no layer
    # What TensorFlow printed stays for whoever wants to know more.
    assert [path.name for path in tmp_path.iterdir()] == ["x.convert.log"]


def test_an_operation_of_a_saved_model_that_does_not_convert(given: Given, tmp_path: Path) -> None:
    """Its place is that within the SavedModel, not in what we make of it."""
    import tensorflow as tf

    def scores(image: Any) -> Any:
        with tf.name_scope("odd_block"):
            return tf.math.erfinv(tf.reduce_mean(image, axis=(1, 2)))

    module = tf.Module()
    specs = [tf.TensorSpec((None, 16, 16, 3), tf.float32, name="image")]
    module.scores = tf.function(scores, input_signature=specs)
    tf.saved_model.save(module, str(given.folder / "odd"), signatures=module.scores)
    with pytest.raises(TrainingError, match="operation 'odd_block/erfinv/Erfinv': TensorFlow Lite"):
        packed(given, "odd", tmp_path / "x.edge", quantize="float32", data=None)


def test_options_that_do_not_go_together(given: Given, tmp_path: Path) -> None:
    def says(model: str, kind: type[EdgeError], **options: Any) -> str:
        return "\n".join(refused(given, model, kind, tmp_path, **options))

    (given.folder / "int8.tflite").write_bytes(tiny_classifier((16, 16, 3)))
    (given.folder / "float.tflite").write_bytes(tiny_classifier((16, 16, 3), dtype="float32"))
    for model in ("fixed.keras", "fixed.h5", "saved"):
        said = says(model, ConfigError, data=None)
        assert "int8 needs images to calibrate with" in said and "--data DIR" in said
    assert "quantized already: int8" in says("int8.tflite", ModelError, quantize="int8")
    assert "is a float32 model" in says("float.tflite", ConfigError, quantize="float32")
    assert "cannot make a uint8 input" in says(
        "float.tflite", ConfigError, quantize="int8", io="uint8"
    )
    assert "--io does not apply" in says("float.tflite", ConfigError, io="int8")
    said = says("fixed.keras", ConfigError, quantize="float16", io="int8")
    assert "--io is int8, but float16 has float32" in said
    assert "--size does not apply" in says("int8.tflite", ConfigError, size=(16, 16))
    assert "--signature applies only to" in says("fixed.keras", ConfigError, signature="serve")
    (tmp_path.parent / "two.txt").write_text("a\nb\n")
    said = says("fixed.keras", DataError, labels=tmp_path.parent / "two.txt")
    assert "has 2 labels, the model has 3 scores" in said and "give 3 lines" in said
