"""model.weights: .keras files, ImageNet, what pretrained weights want to be fed, and bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_converter import Recipe
from edge_converter.models import build_model
from edge_converter.tf.setup import leave_out_extras, load_tensorflow
from edge_converter.weights import check_weights, load_weights, weights_key
from edge_converter.weights.imagenet import NETS
from edge_converter.weights.layer_weights import match_layers, set_layers
from edge_sdk.errors import ConfigError, EdgeError, FileError, ModelError
from edge_sdk.tflite.tiny import tiny_classifier
from waiting import PATIENCE_S

pytestmark = pytest.mark.slow

SHAPE = (16, 16, 3)


def recipe(weights: str, name: str = "edge_net", **tables: Any) -> Recipe:
    """A recipe with `weights`; further tables by name, options as part of [model]."""
    model = {"name": name, "weights": weights, "options": tables.pop("options", {})}
    data = {"source": "folder:images"}
    return Recipe.parse({"name": "doors", "data": data, "model": model, **tables})


def saved(path: Path, classes: int = 3, *, name: str = "edge_net", **options: Any) -> Any:
    """A model with weights of its own, and its file."""
    model = build_model(recipe("none", name, options=options), SHAPE, classes)
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 1, values.shape) for values in model.get_weights()])
    model.save(path)
    return model


def by_name(model: Any) -> dict[str, list[Any]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def equal(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def refused(kind: type[EdgeError], recipe: Recipe, model: Any = None) -> str:
    """The error of load_weights and its fix; the model stays as it was."""
    model = model or build_model(recipe, SHAPE, 3)
    before = model.get_weights()
    with pytest.raises(kind) as caught:
        load_weights(model, recipe)
    assert equal(before, model.get_weights())
    return f"{caught.value}\n{caught.value.fix}"


def test_none_leaves_everything_new() -> None:
    model = build_model(recipe("none"), SHAPE, 3)
    before = model.get_weights()
    transfer = load_weights(model, recipe("none"))
    assert transfer.loaded == ()
    assert transfer.head == tuple(by_name(model))
    assert equal(before, model.get_weights())


def test_a_file_with_as_many_classes_is_loaded_whole(tmp_path: Path) -> None:
    source = saved(tmp_path / "old.keras")
    model = build_model(recipe("none"), SHAPE, 3)
    transfer = load_weights(model, recipe(f"file:{tmp_path}/old.keras"))
    assert equal(source.get_weights(), model.get_weights())
    assert transfer.loaded == tuple(by_name(model)) and transfer.head == ()


def test_a_head_of_another_size_stays_new(tmp_path: Path) -> None:
    source = by_name(saved(tmp_path / "old.keras", 7))
    model = build_model(recipe("none"), SHAPE, 3)
    head = model.get_layer("scores").get_weights()
    transfer = load_weights(model, recipe(f"file:{tmp_path}/old.keras"))
    found = by_name(model)
    assert transfer.head == ("scores",) and equal(found.pop("scores"), head)
    assert transfer.loaded == tuple(found)
    assert all(equal(source[name], weights) for name, weights in found.items())


def test_the_path_starts_from_the_recipe(tmp_path: Path) -> None:
    saved(tmp_path / "old.keras")
    text = 'name = "d"\ndata.source = "folder:x"\nmodel.name = "edge_net"\n'
    (tmp_path / "recipe.toml").write_text(text + 'model.weights = "file:old.keras"\n')
    ours = Recipe.load(tmp_path / "recipe.toml")
    assert load_weights(build_model(ours, SHAPE, 3), ours).head == ()


def test_a_backbone_inside_a_model_with_a_head_of_several_layers(tmp_path: Path) -> None:
    """As most tutorials build it."""
    load_tensorflow()
    from keras import Input, Model, Sequential, layers

    whole = build_model(recipe("none"), SHAPE, 3)
    inside = Model(whole.input, whole.layers[-2].output)
    head = [layers.Dense(8, activation="relu"), layers.Dropout(0.2), layers.Dense(4)]
    Sequential([Input(SHAPE), inside, *head]).save(tmp_path / "tutorial.keras")
    model = build_model(recipe("none"), SHAPE, 3)
    assert not equal(model.get_weights(), whole.get_weights())
    transfer = load_weights(model, recipe(f"file:{tmp_path}/tutorial.keras"))
    assert transfer.head == ("scores",)
    assert equal(model.get_weights()[:-2], whole.get_weights()[:-2])


def test_names_that_keras_made_up_are_matched_by_kind_and_order(tmp_path: Path) -> None:
    """conv2d and conv2d_1 of one model are conv2d_2 and conv2d_3 of the next."""
    load_tensorflow()
    from keras import Input, Sequential, layers

    def own() -> Any:
        pixels = [layers.Conv2D(4, 3), layers.Conv2D(4, 3), layers.Normalization()]
        return Sequential([Input(SHAPE), *pixels, layers.Flatten(), layers.Dense(2)])

    source, model = own(), own()
    source.layers[2].adapt(np.random.default_rng(0).normal(3, 2, (64, 12, 12, 4)))
    source.save(tmp_path / "own.keras")
    assert not set(by_name(source)) & set(by_name(model))
    transfer = load_weights(model, recipe(f"file:{tmp_path}/own.keras", "python:own:build"))
    assert transfer.head == () and equal(source.get_weights(), model.get_weights())
    pixels = np.ones((1, *SHAPE), np.float32)
    assert np.array_equal(source(pixels), model(pixels))  # a Normalization keeps copies


def test_a_model_of_images_gives_its_backbone_to_one_of_clips(tmp_path: Path) -> None:
    saved(tmp_path / "images.keras")
    ours = recipe(
        f"file:{tmp_path}/images.keras",
        **{"data": {"source": "video:clips"}, "task": "sequence", "sequence": {"frames": 3}},
    )
    model = build_model(ours, (3, *SHAPE), 3)
    transfer = load_weights(model, ours)
    assert transfer.head == ("lstm", "scores")
    assert set(transfer.loaded) | set(transfer.head) == set(by_name(model))


def test_another_architecture_in_a_keras_file(tmp_path: Path) -> None:
    saved(tmp_path / "other.keras", name="seed_cnn")
    told = refused(ModelError, recipe(f"file:{tmp_path}/other.keras"))
    assert "other.keras holds seed_cnn, which does not fit edge_net: " in told
    assert "not in the file" in told and " more\n" in told and "model.name" in told


def test_other_options_of_the_same_architecture(tmp_path: Path) -> None:
    saved(tmp_path / "wide.keras", width=1.0)
    told = refused(ModelError, recipe(f"file:{tmp_path}/wide.keras"))
    assert "in the file, [[" in told and "model.options" in told
    saved(tmp_path / "deep.keras", depth=2.0)
    told = refused(ModelError, recipe(f"file:{tmp_path}/deep.keras"))
    assert "only in the file" in told


def test_the_same_backbone_without_its_first_layers_is_refused(tmp_path: Path) -> None:
    """The rest matches: it must not be loaded behind random layers."""
    load_tensorflow()
    from keras import Model

    whole = build_model(recipe("none"), SHAPE, 3)
    parts = [layer for layer in whole.layers if layer.weights]
    Model(parts[2].input, whole.output).save(tmp_path / "rest.keras")
    told = refused(ModelError, recipe(f"file:{tmp_path}/rest.keras"))
    assert f"{parts[0].name}: not in the file" in told


def test_weights_that_are_not_numbers(tmp_path: Path) -> None:
    model = saved(tmp_path / "good.keras")
    last = [layer for layer in model.layers if layer.weights][-2]
    last.set_weights([np.full_like(values, np.nan) for values in last.get_weights()])
    model.save(tmp_path / "nan.keras")
    told = refused(ModelError, recipe(f"file:{tmp_path}/nan.keras"))
    assert f"weights of {last.name} that are not finite" in told


@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_a_keras_file_that_was_cut_short(share: float, tmp_path: Path) -> None:
    saved(tmp_path / "whole.keras")
    whole = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: int(share * len(whole))])
    told = refused(ModelError, recipe(f"file:{tmp_path}/cut.keras"))
    assert "cut.keras is damaged or not a .keras file" in told


@pytest.mark.parametrize("name", ["there.keras", "there.tflite"])
def test_files_that_are_not_there_and_folders(name: str, tmp_path: Path) -> None:
    ours = recipe(f"file:{tmp_path / name}", "mobilenet_v2")
    for words in ("does not exist", "is a folder, not a model"):
        with pytest.raises(FileError, match=words):
            check_weights(ours)
        with pytest.raises(FileError):
            weights_key(ours)
        (tmp_path / name).mkdir(exist_ok=True)


@pytest.mark.parametrize("weights", ["Imagenet", "net.keras", "file:net.h5", "file:", ""])
def test_words_that_name_no_weights(weights: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_weights(recipe(weights))
    assert repr(weights) in str(caught.value)
    assert '"imagenet", "file:PATH.keras" or "file:PATH.tflite"' in caught.value.fix


def test_the_key_follows_the_content_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "some.keras"
    keys = []
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        keys.append(weights_key(recipe(f"file:{path}")))
    assert keys[0] == keys[2] != keys[1] and len(keys[0]) == 64
    assert [weights_key(recipe(word)) for word in ("none", "imagenet")] == ["none", "imagenet"]


@pytest.mark.parametrize(
    ("name", "width", "words"),
    [
        ("squeezenet", 0.5, "no ImageNet weights for model.name 'squeezenet'"),
        ("mobilenet_v1", 1.3, "one of 0.25, 0.5, 0.75, 1"),
        ("mobilenet_v2", 0.25, "one of 0.35, 0.5, 0.75, 1, 1.3, 1.4"),
    ],
)
def test_imagenet_weights_that_do_not_exist(name: str, width: float, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_weights(recipe("imagenet", name, options={"width": width}))
    assert words in f"{caught.value} {caught.value.fix}"


IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in NETS if name != "efficientnet_b0"),
        ("mobilenet_v2", {"mean": [127.5] * 3, "std": [127.5]}),
        ("efficientnet_b0", IMAGENET),
    ],
)
def test_what_imagenet_weights_want_to_be_fed(name: str, settings: dict[str, Any]) -> None:
    check_weights(recipe("imagenet", name, input=settings))


@pytest.mark.parametrize(
    ("name", "settings", "fix"),
    [
        ("mobilenet_v2", {"mean": [0.0], "std": [255.0]}, "mean = [127.5], std = [127.5]"),
        ("mobilenet_v1", {"mean": [127.0]}, "mean = [127.5], std = [127.5]"),
        ("mobilenet_v3_small", {"color": "bgr"}, 'color = "rgb"'),
        ("mobilenet_v3_large", {"color": "gray"}, 'color = "rgb"'),
        ("efficientnet_b0", {}, "mean = [123.675, 116.28, 103.53], std = [58.395, 57.12, 57.375]"),
    ],
)
def test_other_input_than_imagenet_weights_want(
    name: str, settings: dict[str, Any], fix: str
) -> None:
    with pytest.raises(ConfigError, match="were trained on rgb images fed with mean") as caught:
        check_weights(recipe("imagenet", name, input=settings))
    assert fix in caught.value.fix


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_quantized_input_says_itself_what_it_wants(dtype: Any, tmp_path: Path) -> None:
    """The tiny classifier takes pixels / 255, to one step of 1/255."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_classifier((4, 4, 3), dtype=dtype))

    def ours(mean: float, std: float) -> Recipe:
        return recipe(f"file:{path}", "mobilenet_v2", input={"mean": [mean], "std": [std]})

    check_weights(ours(0.0, 255.0))
    check_weights(ours(0.0, 256.0))
    for mean, std in ((127.5, 127.5), (2.0, 255.0)):
        with pytest.raises(ConfigError) as caught:
            check_weights(ours(mean, std))
        assert "mean [0], std [255] (scale 0.00392157, zero point" in str(caught.value)
        assert f"has rgb with mean [{mean:g}], std [{std:g}]" in str(caught.value)
        assert "mean = [0.0], std = [255.0]" in caught.value.fix


def test_a_float_input_says_nothing_and_the_architecture_does(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_classifier((4, 4, 3), dtype="float32"))
    check_weights(recipe(f"file:{path}", "mobilenet_v1"))
    with pytest.raises(ConfigError, match=r"fed with mean \[127.5\]"):
        check_weights(recipe(f"file:{path}", "mobilenet_v1", input={"std": [255.0]}))


def test_a_tflite_gives_weights_to_mobilenet_v1_and_v2_only(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_classifier((4, 4, 3)))
    with pytest.raises(ConfigError, match="cannot give weights to 'edge_net'") as caught:
        check_weights(recipe(f"file:{path}"))
    assert "mobilenet_v1, mobilenet_v2" in caught.value.fix


@pytest.mark.parametrize("name", NETS)
def test_every_net_takes_all_weights_of_keras_applications(name: str) -> None:
    """The layers that a download would fill, with random values: names and shapes are Keras'."""
    load_tensorflow()
    import keras

    net, ours = NETS[name], recipe("none", name)
    options: dict[str, Any] = {"alpha": ours.model.options.width} if net.widths else {}
    if net.minimalistic:
        options["minimalistic"] = True
    source = getattr(keras.applications, net.function)(
        include_top=False, weights=None, input_shape=(64, 64, 3), **options
    )
    model = build_model(ours, (32, 32, 3), 2)
    layers = match_layers(source, model, origin="Keras", architecture=name)
    loaded = set_layers(layers, "Keras")
    found, theirs = by_name(model), by_name(source)
    del found["scores"]
    theirs = {name: w for name, w in theirs.items() if not name.startswith("normalization")}
    assert loaded == tuple(found)
    assert found.keys() == theirs.keys()
    assert all(equal(found[name], theirs[name]) for name in found)


def _download() -> None:
    """Runs in a process of its own, without a network: Keras reads KERAS_HOME once. One line of
    JSON is all that may come out.
    """
    leave_out_extras()
    load_tensorflow()
    import keras

    ours = recipe("imagenet", "mobilenet_v2", input={"width": 64, "height": 48})
    model = build_model(ours, (48, 64, 3), 3)
    report: dict[str, Any] = {}

    def attempt(key: str) -> None:
        try:
            report[key] = load_weights(model, ours).head
        except EdgeError as error:
            report[key] = [type(error).__name__, str(error), error.fix]

    attempt("offline")
    source = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(224, 224, 3), alpha=0.5
    )
    folder = Path(os.environ["KERAS_HOME"]) / "models"
    file = folder / report["offline"][1].partition(": None")[0].rpartition("/")[2]
    source.save(file)  # .h5, as what Keras downloads
    attempt("there")
    report["equal"] = equal(model.get_weights()[:-2], source.get_weights())
    file.write_bytes(file.read_bytes()[:5000])
    attempt("cut")
    print(json.dumps(report))


def test_imagenet_weights_offline_kept_and_damaged(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    code = f"import runpy; runpy.run_path({__file__!r})['_download']()"
    fixtures = str(Path(__file__).parent.parent / "fixtures")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **nowhere, "KERAS_HOME": str(tmp_path), "PYTHONPATH": fixtures},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    report = json.loads(done.stdout)
    kind, message, fix = report["offline"]
    assert kind == "DataError" and "cannot be downloaded: URL fetch failure on" in message
    assert "_0.5_224_no_top.h5" in message  # 64 x 48 has none of its own
    assert f"put it into {tmp_path / 'models'}" in fix and "file:PATH.keras" in fix
    assert report["there"] == ["scores"] and report["equal"] is True
    kind, message, fix = report["cut"]
    assert kind == "DataError" and "cannot be loaded" in message
    assert f"delete the network's file in {tmp_path / 'models'}" in fix
