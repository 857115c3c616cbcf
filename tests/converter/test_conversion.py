"""From Keras to .tflite: what comes out, and what is refused before anything is packed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe, build
from edge_converter.builder.packing import in_turns
from edge_converter.builder.stages import conversion_job
from edge_converter.datasets import open_dataset
from edge_converter.datasets.model_input import ModelInput
from edge_converter.models import build_model
from edge_converter.quantize.to_tflite import (
    AGREEMENT_BOUNDS,
    calibration_samples,
    check_agreement,
    convert_model,
)
from edge_converter.quantize.worker import to_tflite
from edge_converter.tf.concrete_function import batch_of_one
from edge_sdk import Frame, open_engine
from edge_sdk.data.samples import Image
from edge_sdk.errors import FileError, TrainingError
from edge_sdk.images.image_files import write_image
from edge_sdk.preprocess import Preprocessor
from edge_sdk.tensors import dequantize, quantize
from edge_sdk.tflite.graph import read_graph
from edge_sdk.tflite.tiny import tiny_classifier

pytestmark = pytest.mark.slow

Samples = np.ndarray[Any, Any]
BRIGHT = 160
"""Brighter than any training image of the stripes."""


@pytest.fixture(scope="module")
def trained(built: Any) -> Path:
    """The Keras model of the shared build."""
    path: Path = built.report.folder / "model.keras"
    return path


@pytest.fixture(scope="module")
def fed(built: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Samples, Samples]:
    """A folder with the training images as calibration, other images, and what the Keras model
    answers to those.
    """
    import keras

    recipe = Recipe.load(built.recipe)
    data = open_dataset(recipe)
    folder = tmp_path_factory.mktemp("conversion")
    np.save(folder / "calibration.npy", ModelInput.of(recipe, data.train).stack(data.train))
    samples = ModelInput.of(recipe, data.train).stack([*data.val, *data.test])
    model = keras.models.load_model(built.report.folder / "model.keras")
    return folder, samples, np.asarray(model(samples, training=False))


# --- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "io", "precision"),
    [
        ("float32", "float32", "float32"),
        ("float16", "float32", "float16"),
        ("dynamic", "float32", "mixed"),  # the first layer is too small: it stays float
        ("int8", "int8", "int8"),
        ("int8", "uint8", "int8"),
        ("int8", "float32", "int8"),
    ],
)
def test_modes_and_their_inputs_and_outputs(
    trained: Path, fed: tuple[Path, Samples, Samples], mode: str, io: str, precision: str
) -> None:
    import keras

    folder, samples, reference = fed
    path = folder / f"{mode}-{io}.tflite"
    path.write_bytes(to_tflite(batch_of_one(keras.models.load_model(trained)), mode, io, folder))
    graph = read_graph(path.read_bytes())
    assert graph.precision == precision
    assert [spec.dtype for spec in (*graph.input_specs, *graph.output_specs)] == [io, io]
    assert graph.input_specs[0].shape == (1, 12, 12, 1)
    assert graph.output_specs[0].shape == (1, 3)
    found = check_agreement(path, mode, samples, reference)
    assert (found.samples, found.bound) == (len(samples), AGREEMENT_BOUNDS[mode])
    tight = {"float32": 1e-6, "float16": 1e-3, "dynamic": 0.02, "int8": 0.02}
    assert found.distance <= tight[mode] and found.same_class == 1.0


def test_the_record_says_how_far_each_is_from_keras(built: Any) -> None:
    agreement = built.report.document["agreement"]
    assert set(agreement) == {"float", "converted"}
    assert agreement["float"]["bound"] == AGREEMENT_BOUNDS["float32"]
    assert agreement["converted"]["bound"] == AGREEMENT_BOUNDS["int8"]
    for found in agreement.values():
        assert found["samples"] == 12 and found["distance"] <= found["bound"]
        assert found["same_class"] == 1.0


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 24, 3)])
@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_the_seed_cnn_is_static(shape: tuple[int, int, int], mode: str, tmp_path: Path) -> None:
    """No SHAPE, no PACK, no open dimension, and nothing between input and output but the layers:
    one XNNPACK partition, and nothing that an Edge TPU could not map. test_models_tiny.py looks at
    the other models.
    """
    recipe = Recipe.parse(
        {"name": "a", "data": {"source": "digits"}, "model": {"name": "seed_cnn"}}
    )
    samples = np.random.default_rng(0).random((2, *shape), np.float32)
    samples[0, 0, 0], samples[0, -1, -1] = 0.0, 1.0
    np.save(tmp_path / "calibration.npy", samples)
    io = "int8" if mode == "int8" else "float32"
    model = to_tflite(batch_of_one(build_model(recipe, shape, 10)), mode, io, tmp_path)
    graph = read_graph(model)
    names = {operator.name for operator in graph.operators}
    assert not names & {"SHAPE", "PACK", "STRIDED_SLICE", "QUANTIZE", "DEQUANTIZE"}, names
    assert all(-1 not in (*t.shape, *t.signature) for t in graph.tensors)
    assert graph.subgraphs == 1 and graph.precision == mode
    with open_engine("litert", model) as engine:
        assert engine.info.delegate == "xnnpack"
        assert engine.inputs[0].shape == (1, *shape)


# --- calibration ---------------------------------------------------------------------------------


def test_dark_images_do_not_narrow_the_input(trained: Path, tmp_path: Path) -> None:
    """Nothing brighter than 100 in the calibration set, and still one step for each pixel value:
    the fast way into the input tensor.
    """
    random = np.random.default_rng(0)
    dark = [
        Image(i % 3, str(i), pixels=random.integers(0, 101, (12, 12), np.uint8), color="gray")
        for i in range(20)
    ]
    table = {"width": 12, "height": 12, "color": "gray", "mean": [127.5], "std": [127.5]}
    recipe = Recipe.parse(
        {
            "name": "dark",
            "data": {"source": "digits"},
            "input": table,
            "model": {"name": "seed_cnn"},
            "quantize": {"io": "uint8"},
        }
    )
    job = conversion_job(recipe, dark)
    found = convert_model(job, trained, dark, dark, tmp_path, tmp_path / "convert.log")
    assert found["converted"].samples == 20
    input_is_pinned(tmp_path / "model.tflite", recipe, "copy")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"float.tflite", "model.tflite", "worst_layers.json", "convert.log"}


def test_nor_do_they_in_a_build(built: Any) -> None:
    """The shared build's images are dark too; mean 0, std 255 and int8 make the other way in."""
    recipe = Recipe.load(built.recipe)
    assert max(p.read().pixels.max() for p in open_dataset(recipe).train) <= 100
    input_is_pinned(stage(built.report, "convert") / "model.tflite", recipe, "xor")


def input_is_pinned(path: Path, recipe: Recipe, tail: str) -> None:
    with open_engine("litert", path.read_bytes()) as engine:
        spec = engine.inputs[0]
    assert spec.dtype == recipe.quantize.io and spec.quant is not None
    assert spec.quant.scale == pytest.approx(1 / recipe.input.std[0], rel=1e-6)
    assert Preprocessor(recipe.input.preprocess, spec).tail == tail


def test_calibration_takes_some_of_them_the_same_for_the_same_seed() -> None:
    images = [Image(0, str(i), pixels=np.zeros((1, 1), np.uint8)) for i in range(50)]
    chosen = calibration_samples(images, 20, seed=1)
    assert len({p.name for p in chosen}) == 20 and set(chosen) <= set(images)
    assert chosen == calibration_samples(images, 20, seed=1)
    assert chosen != calibration_samples(images, 20, seed=2)
    assert len(calibration_samples(images[:5], 20, seed=1)) == 5


def test_checks_and_golden_samples_are_of_all_classes_in_turns() -> None:
    """Parts are stored class by class: the first 32 of one could be all of one class."""
    labels = [0, 0, 0, 0, 1, 1, 2, 2, 2]
    images = [Image(label, str(number)) for number, label in enumerate(labels)]
    ordered = in_turns(images)
    assert [p.label for p in ordered] == [0, 1, 2, 0, 1, 2, 0, 2, 0]
    assert [p.name for p in ordered] == ["0", "4", "6", "1", "5", "7", "2", "8", "3"]


def test_only_training_images_calibrate(built: Any, project: Any, tmp_path: Path) -> None:
    """Every other image turned bright: had one of them been looked at, some range in the model
    would be another. It is the same model, byte for byte.
    """
    path = project(tmp_path)
    recipe = Recipe.load(path, {"budget.accuracy_loss": 1.0})
    data = open_dataset(recipe)
    for image in (*data.val, *data.test):
        assert image.path is not None
        write_image(image.path, Frame(np.full((16, 16, 3), BRIGHT, np.uint8), "bgr"))
    report = build(recipe)
    first, second = (stage(r, "convert") / "model.tflite" for r in (built.report, report))
    assert first.read_bytes() == second.read_bytes()


def test_a_bright_image_would_show(
    trained: Path, fed: tuple[Path, Samples, Samples], tmp_path: Path
) -> None:
    """What the proof above rests on."""
    import keras

    model = batch_of_one(keras.models.load_model(trained))
    samples = np.load(fed[0] / "calibration.npy")
    plain = to_tflite(model, "int8", "int8", fed[0])
    samples[-1] = BRIGHT / 255
    np.save(tmp_path / "calibration.npy", samples)
    assert to_tflite(model, "int8", "int8", tmp_path) != plain


def stage(report: Any, name: str) -> Path:
    """The folder of a stage of a build."""
    found: Path = next((report.folder / "stages").glob(f"{name}-*"))
    return found


# --- what is refused -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Samples, Samples]:
    """An int8 model, samples, and its own answers to them."""
    path = tmp_path_factory.mktemp("tiny") / "model.tflite"
    path.write_bytes(tiny_classifier((4, 4, 1), 3))
    samples = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    with open_engine("litert", path.read_bytes()) as engine:
        spec, out = engine.inputs[0], engine.outputs[0]
        rows = [engine(quantize(sample[None], spec))[0][0] for sample in samples]
        return path, samples, dequantize(np.stack(rows), out)


def refused(path: Path, samples: Samples, reference: Samples, mode: str = "int8") -> str:
    with pytest.raises(TrainingError) as caught:
        check_agreement(path, mode, samples, reference)
    assert path.name in str(caught.value) and "quantize.mode" in caught.value.fix
    return str(caught.value)


def test_a_model_agrees_with_itself(tiny: tuple[Path, Samples, Samples]) -> None:
    found = check_agreement(tiny[0], "int8", tiny[1], tiny[2])
    assert (found.samples, found.distance, found.same_class) == (8, 0.0, 1.0)


def test_another_shape_is_refused(tiny: tuple[Path, Samples, Samples]) -> None:
    path, samples, reference = tiny
    message = refused(path, samples, np.hstack([reference, reference[:, :1]]))
    assert "answers with shape [3], the Keras model [4]" in message


def test_one_answer_to_everything_is_refused(tiny: tuple[Path, Samples, Samples]) -> None:
    """One image eight times stands for a model that does not look; the reference looked."""
    path, samples, reference = tiny
    same = np.repeat(samples[:1], 8, axis=0)
    assert "the same answer whatever it is fed" in refused(path, same, reference)
    still = np.repeat(reference[:1], 8, axis=0)
    assert check_agreement(path, "int8", same, still).distance == 0.0


def test_less_movement_than_an_output_step_is_no_fault(
    tiny: tuple[Path, Samples, Samples],
) -> None:
    path, samples, reference = tiny
    same, nearly = np.repeat(samples[:1], 8, axis=0), np.repeat(reference[:1], 8, axis=0)
    nearly[::2] += 0.004
    assert check_agreement(path, "int8", same, nearly).distance < 0.01


def test_another_answer_is_refused(tiny: tuple[Path, Samples, Samples]) -> None:
    path, samples, reference = tiny
    message = refused(path, samples, np.roll(reference, 1, axis=1))
    assert "mean total variation distance, at most 0.25" in message
    assert "at most 0.0001" in refused(path, samples, reference + 0.001, mode="float32")


def converted(model: Path, built: Any, folder: Path) -> None:
    recipe = Recipe.load(built.recipe)
    data = open_dataset(recipe)
    job = conversion_job(recipe, data.train)
    convert_model(job, model, data.train[:4], in_turns(data.val), folder, folder / "convert.log")


def test_not_a_number_is_refused(trained: Path, fed: tuple[Path, Samples, Samples]) -> None:
    """Weights that are NaN convert without a word; Keras answers NaN as well."""
    import keras

    folder, samples, reference = fed
    model = keras.models.load_model(trained)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    path = folder / "nan.tflite"
    path.write_bytes(to_tflite(batch_of_one(model), "float32", "float32", folder))
    for held_against in (reference, np.full_like(reference, np.nan)):
        assert "answers NaN or infinity" in refused(path, samples, held_against, "float32")


def test_a_full_disk_is_not_the_models_fault(trained: Path, built: Any, tmp_path: Path) -> None:
    """The conversion's own process finds no space left for what it made."""
    (tmp_path / "float.tflite").symlink_to("/dev/full")
    with pytest.raises(FileError) as caught:
        converted(trained, built, tmp_path)
    assert "No space left on device" in str(caught.value) and "--out" in caught.value.fix


def test_what_is_no_model_is_named(built: Any, tmp_path: Path) -> None:
    (tmp_path / "garbage.keras").write_bytes(os.urandom(1000))
    with pytest.raises(TrainingError) as caught:
        converted(tmp_path / "garbage.keras", built, tmp_path)
    assert "the conversion failed: " in str(caught.value)
    assert "garbage.keras is not a .keras file" in str(caught.value) and caught.value.fix
    assert "garbage.keras is not" in (tmp_path / "convert.log").read_text()


def test_a_crash_is_the_childs_alone(built: Any, tmp_path: Path) -> None:
    """TensorFlow's converter falls over a rolled LSTM in int8, and takes its process with it. What
    is known to help is said.
    """
    import keras

    rolled = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Reshape((12, 12)),
            keras.layers.LSTM(4, name="memory"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    rolled.save(tmp_path / "rolled.keras")
    with pytest.raises(TrainingError) as caught:
        converted(tmp_path / "rolled.keras", built, tmp_path)
    assert "the conversion failed (SIG" in str(caught.value)
    assert str(caught.value).endswith("are not unrolled: 'memory'")
    assert "unroll=True" in caught.value.fix
