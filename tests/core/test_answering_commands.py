"""predict, evaluate, compare, inspect, boards and engines, called as a user calls them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_sdk import Bundle, Recognizer, read_image
from edge_sdk.cli.table import main
from edge_sdk.comparison.compare import compare
from edge_sdk.data.sample_sets import pack_prefixes
from edge_sdk.data.samples import Image
from edge_sdk.tflite.tiny import tiny_classifier

Make = Callable[..., Any]


@pytest.fixture
def answers(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """`answers("predict", …)`: the command's JSON document; it must end with 0."""

    def run(*arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        status = main([*map(str, arguments), "--json"])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        document: dict[str, Any] = json.loads(printed.out)
        return document

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`refused("predict", …)`: the error and the fix; status 1, two lines, nothing on stdout."""

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        status = main([*map(str, arguments)])
        printed = capsys.readouterr()
        lines = [line for line in printed.err.splitlines() if not line.startswith("warning: ")]
        assert (status, printed.out, len(lines)) == (1, "", 2), printed
        assert lines[0].startswith("error: ") and lines[1].startswith("fix: ")
        return printed.err

    return run


@pytest.fixture
def photos(tmp_path: Path, write_images: Make) -> Path:
    """A folder with a space and Chinese characters in its name, with four images."""
    folder = tmp_path / "my 照片"
    write_images(folder, 4, size=(20, 10))
    return folder


def test_predict_answers_each_image(
    answers: Make, tiny_bundle: Make, photos: Path, tmp_path: Path
) -> None:
    path = tiny_bundle(shape=(8, 8, 3), classes=6)
    document = answers("predict", path, photos)
    assert document["schema"] == "edge-sdk/predict/1"
    with Bundle.open(path) as bundle, Recognizer.open(bundle) as model:
        assert document["bundle"]["sha256"] == bundle.sha256
        for entry, file in zip(document["results"], sorted(photos.iterdir()), strict=True):
            wanted = [(c.label, c.index, c.score) for c in model(read_image(file)).classes]
            found = [(c["label"], c["index"], c["score"]) for c in entry["classes"]]
            assert (entry["path"], found) == (str(file), wanted)
            assert entry["detections"] == [] and entry["ms"] > 0
            assert found == sorted(found, key=lambda c: -c[2])


def test_predict_annotates_copies(
    answers: Make, tiny_bundle: Make, photos: Path, tmp_path: Path
) -> None:
    before = {file.name: file.read_bytes() for file in photos.iterdir()}
    answers("predict", tiny_bundle(shape=(8, 8, 3)), photos, "--annotate", tmp_path / "out")
    copies = sorted((tmp_path / "out").iterdir())
    assert [c.name for c in copies] == [f"my 照片-{n:03}.png.png" for n in range(4)]
    copy = cv2.imdecode(np.fromfile(copies[0], np.uint8), cv2.IMREAD_COLOR)
    assert copy.shape[1] >= 240 and copy[-28:].max() > 200  # enlarged, white letters below
    assert {file.name: file.read_bytes() for file in photos.iterdir()} == before


def test_a_label_that_cannot_be_drawn_is_said_once(
    tiny_bundle: Make, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its copy shows the class's number, as the copy of a class that is called so."""
    said = {}
    for name, labels in (
        ("chinese", ("门", "窗", "cat")),
        ("ascii", ("class 0", "class 1", "cat")),
    ):
        bundle = tiny_bundle(tmp_path / name, shape=(8, 8, 3), labels=labels)
        line = ["predict", str(bundle), str(photos), "--annotate", str(tmp_path / name)]
        assert main(line) == 0
        said[name] = capsys.readouterr().err
    assert said["chinese"].count("\n") == 1
    assert "show 2 of 3 labels by their number" in said["chinese"]
    assert '"class 0" is 门' in said["chinese"]
    assert said["ascii"] == ""
    copies = [sorted((tmp_path / name).glob("*.png")) for name in said]
    assert len(copies[0]) == 4
    for one, other in zip(*copies, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert main(["predict", str(tmp_path / "chinese" / "tiny-1.0.0.edge"), str(photos)]) == 0
    assert capsys.readouterr().err == ""


def test_annotated_copies_of_equal_names_stand_side_by_side(
    answers: Make, tiny_bundle: Make, write_images: Make, tmp_path: Path
) -> None:
    images = [
        *write_images(tmp_path / "p" / "x", 1, suffix=".png"),
        *write_images(tmp_path / "p" / "x", 1, suffix=".bmp"),
        *write_images(tmp_path / "q" / "x", 1, suffix=".png"),
    ]
    answers("predict", tiny_bundle(shape=(8, 8, 3)), *images, "--annotate", tmp_path / "out")
    copies = sorted(copy.name for copy in (tmp_path / "out").iterdir())
    assert copies == ["x-000.bmp.png", "x-000.png-2.png", "x-000.png.png"]


def test_an_annotated_copy_never_replaces_a_image(
    answers: Make, refused: Make, tiny_bundle: Make, write_images: Make, tmp_path: Path
) -> None:
    """By bare names in the image's own folder, and again with the first copy beside it."""
    bundle = tiny_bundle(shape=(8, 8, 3))
    (image,) = write_images(tmp_path / "images", 1)
    before = image.read_bytes()
    with contextlib.chdir(image.parent):
        answers("predict", bundle, image.name, "--annotate", ".")
        assert sorted(p.name for p in Path().iterdir()) == ["000.png", "images-000.png.png"]
        both = sorted(p.name for p in Path().iterdir())
        message = refused("predict", bundle, *both, "--annotate", ".")
    assert "would replace an image" in message and "another folder" in message
    assert image.read_bytes() == before


@pytest.mark.parametrize("place", [".", "out", "../link"])
def test_copies_do_not_go_where_images_are_answered(
    place: str, refused: Make, tiny_bundle: Make, photos: Path
) -> None:
    """The next answers would be about them, too."""
    (photos.parent / "link").symlink_to(photos)
    before = sorted(photos.iterdir())
    copies = photos / place
    message = refused("predict", tiny_bundle(shape=(8, 8, 3)), photos, "--annotate", copies)
    assert f"would be among the images of {photos}" in message
    assert "--annotate" in message
    assert sorted(photos.iterdir()) == before


def test_a_folder_for_copies_is_tried_before_the_model_is_opened(
    refused: Make, tiny_bundle: Make, photos: Path, tmp_path: Path, fresh_state: Path
) -> None:
    """A bundle that has been opened is remembered: this one has not."""
    (tmp_path / "file").touch()
    bundle = tiny_bundle(shape=(8, 8, 3))
    message = refused("predict", bundle, photos, "--annotate", tmp_path / "file" / "out")
    assert f"cannot write annotated copies to {tmp_path}/file/out" in message
    assert "with --annotate" in message
    assert not list((fresh_state / "accepted").glob("*"))


def test_a_folder_without_images_is_named(refused: Make, tiny_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = refused("predict", tiny_bundle(), tmp_path / "empty")
    assert f"no images to answer in {tmp_path}/empty" in message
    assert ".jpg" in message


def test_an_unreadable_image_of_a_folder_is_skipped_and_listed(
    answers: Make,
    refused: Make,
    tiny_bundle: Make,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = tiny_bundle(shape=(8, 8, 3))
    broken, *whole = sorted(photos.iterdir())
    broken.write_bytes(broken.read_bytes()[:40])
    document = answers("predict", bundle, photos)
    assert [entry["path"] for entry in document["results"]] == [str(path) for path in whole]
    assert document["unreadable"] == [f"{broken} is a truncated PNG"]
    assert main(["predict", str(bundle), str(photos)]) == 0
    assert f"warning: 1 image skipped: {broken} is a truncated PNG\n" in capsys.readouterr().err
    assert "truncated PNG" in refused("predict", bundle, photos, broken)
    for path in whole:
        path.unlink()
    assert "none of the 1 images can be read" in refused("predict", bundle, photos)


def test_every_named_image_that_cannot_be_read_is_told_before_any_is_answered(
    answers: Make, refused: Make, tiny_bundle: Make, photos: Path, tmp_path: Path
) -> None:
    bundle, (broken, *whole) = tiny_bundle(shape=(8, 8, 3)), sorted(photos.iterdir())
    broken.write_bytes(broken.read_bytes()[:40])
    long, out = "x" * 300, tmp_path / "out"
    given = [whole[0], broken, long, whole[1], photos / "none.png"]
    message = refused("predict", bundle, *given, "--annotate", out)
    assert "3 of 5 images cannot be read" in message
    for words in (f"{broken} is a truncated PNG", f"cannot read {long}", "none.png does not exist"):
        assert words in message
    assert not out.exists()
    document = answers("predict", bundle, *whole)
    assert [entry["path"] for entry in document["results"]] == list(map(str, whole))


def test_names_that_no_file_can_have(refused: Make, tiny_bundle: Make) -> None:
    long = "x" * 300
    assert "cannot read" in refused("predict", tiny_bundle(), long)
    assert "cannot read" in refused("inspect", long)
    assert "cannot read" in refused("evaluate", tiny_bundle(), "--data", f"foldr:{long}")


def test_a_device_is_no_image(refused: Make, tiny_bundle: Make) -> None:
    assert "a pipe or a device" in refused("predict", tiny_bundle(), "/dev/zero")
    assert "a pipe or a device" in refused("inspect", "/dev/zero")


@pytest.mark.parametrize(
    "line",
    [
        ["compare", "a", "b", "--rounds", "0"],
        ["compare", "a", "b", "--threads", "0"],
        ["predict", "a", "b", "--threads", "-1"],
        ["evaluate", "a", "--data", "b", "--threads", "0"],
        ["run", "a", "--threads", "100000"],
    ],
    ids=" ".join,
)
def test_counts_have_bounds(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    assert "1<=x<=256" in capsys.readouterr().err


def test_an_unproven_engine_is_said_aloud(
    answers: Make,
    tiny_bundle: Make,
    write_images: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, data = tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c")), tmp_path / "data"
    write_images(data / "a", 2)
    said = "warning: answers are unproven on this engine: no bound is known for engine fake\n"
    for line in (["predict", str(bundle), str(data / "a")], ["evaluate", bundle, "--data", data]):
        document = answers(*line, "--engine", "fake")
        assert (document["engine"]["name"], document["golden"]["passed"]) == ("fake", None)
        assert main([*map(str, line), "--engine", "fake"]) == 0
        assert said in capsys.readouterr().err
        document = answers(*line)
        assert document["engine"]["version"] == importlib.metadata.version("ai-edge-litert")
        assert document["golden"]["passed"] is True
        assert main([*map(str, line)]) == 0
        assert "unproven" not in capsys.readouterr().err


def test_predict_refuses_what_is_not_there(
    refused: Make, tiny_bundle: Make, photos: Path, tmp_path: Path
) -> None:
    bundle = tiny_bundle(shape=(8, 8, 3))
    assert "does not exist" in refused("predict", bundle, tmp_path / "none.jpg")
    assert "does not exist" in refused("predict", tmp_path / "none.edge", photos)
    assert "is a folder" in refused("predict", tmp_path, photos)
    broken = photos / "000.png"
    broken.write_bytes(broken.read_bytes()[:40])
    assert "truncated PNG" in refused("predict", bundle, broken)
    (tmp_path / "empty").mkdir()
    assert "no images" in refused("predict", bundle, tmp_path / "empty")
    assert "unknown engine" in refused("predict", bundle, photos, "--engine", "litter")


def test_evaluate_counts(
    answers: Make, tiny_bundle: Make, write_images: Make, tmp_path: Path
) -> None:
    path = tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c"))
    for label in "abc":
        write_images(tmp_path / "data" / label, 5, seed=ord(label))
    document = answers("evaluate", path, "--data", tmp_path / "data")
    predicted = [
        (file["path"], file["classes"][0]["label"])
        for label in "abc"
        for file in answers("predict", path, tmp_path / "data" / label)["results"]
    ]
    correct = sum(Path(file).parent.name == label for file, label in predicted)
    assert (document["n"], document["correct"]) == (15, correct)
    assert document["accuracy"] == correct / 15
    assert document["interval"][0] < document["accuracy"] < document["interval"][1]
    assert document["part"] == "all" and document["mAP"] is None
    assert sum(map(sum, document["confusion"])) == 15


def test_evaluate_refuses_other_labels(
    refused: Make, tiny_bundle: Make, write_images: Make, tmp_path: Path
) -> None:
    write_images(tmp_path / "data" / "zebra", 2)
    message = refused("evaluate", tiny_bundle(shape=(8, 8, 3)), "--data", tmp_path / "data")
    assert "zebra" in message and "class0, class1, class2" in message
    assert "unknown data source" in refused("evaluate", tiny_bundle(), "--data", "digitz:x")
    assert "a.json does not exist" in refused("evaluate", tiny_bundle(), "--data", "coco:a.json")


def test_compare_measures_in_turns(answers: Make, tiny_bundle: Make, tmp_path: Path) -> None:
    bundle = tiny_bundle()
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny_classifier((16, 16, 3), 4, dtype="float32"))
    document = answers("compare", bundle, model, "--rounds", "3")
    first, second = document["rows"]
    assert (first["kind"], second["kind"]) == ("bundle", "model")
    assert (first["precision"], second["precision"]) == ("int8", "float32")
    assert second["macs"] == 16 * 16 * 3 * 4 and second["bytes"] == model.stat().st_size
    for row in (first, second):
        timing = row["invoke_ms"]
        assert 0 < timing["min"] <= timing["median"] <= timing["max"]
        assert row["accuracy"] is None


def test_compare_says_how_far_it_is(tiny_bundle: Make, write_images: Make, tmp_path: Path) -> None:
    bundle = tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c"))
    write_images(tmp_path / "a", 2)
    said: list[str] = []
    document = compare(
        [bundle, bundle], data=str(tmp_path), rounds=5, listen=lambda e: said.append(e.text)
    )
    one = [f"{bundle}: opening", f"{bundle}: 1 of 2 images", f"{bundle}: 2 of 2 images"]
    assert said == [*one, *one, *(f"measure: {done} of 5 rounds" for done in (0, 2, 4))]
    assert all(row["invoke_ms"]["median"] > 0 for row in document["rows"])


def test_compare_with_data_and_records(
    answers: Make, tiny_bundle: Make, write_images: Make, tmp_path: Path
) -> None:
    bundle = tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c"))
    for label in "abc":
        write_images(tmp_path / "data" / label, 3, seed=ord(label))
    camera = f"folder:{tmp_path / 'data' / 'a'}?fps=max"
    answers("run", bundle, "--camera", camera, "--report", tmp_path)
    record = tmp_path / "run.json"
    document = answers("compare", bundle, record, "--data", tmp_path / "data", "--rounds", "2")
    measured, recorded = document["rows"]
    assert measured["n"] == 9 and 0 <= measured["accuracy"] <= 1
    assert (measured["part"], measured["seen_in_training"]) == ("all", 0)
    assert recorded["kind"] == "recorded run"
    assert recorded["latency"] == json.loads(record.read_text())["latency"]
    assert main(["compare", str(bundle), str(record), "--rounds", "2"]) == 0


def test_compare_says_what_is_wrong_with_an_accuracy(
    answers: Make,
    tiny_bundle: Make,
    write_images: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = write_images(tmp_path / "data" / "a", 100)
    images[0].write_bytes(images[0].read_bytes()[:40])
    trained = [Image(0, "", path=path) for path in images[1:4]]
    build = json.dumps({"dataset": {"train_sha256_prefixes": pack_prefixes(trained)}})
    bundle = tiny_bundle(shape=(8, 8, 3), labels=("a", "b", "c"), build=build)
    line = ["compare", bundle, bundle, "--data", tmp_path / "data", "--rounds", "1"]
    row, _ = answers(*line, "--threads", "2")["rows"]
    assert (row["n"], row["seen_in_training"], row["engine"]["threads"]) == (99, 3, 2)
    assert row["unreadable"] == [f"{images[0]} is a truncated PNG"]
    assert main([*map(str, line)]) == 0
    said = capsys.readouterr().err
    assert f"warning: {bundle}: 3 of 99 images were in the training set" in said
    assert f"warning: {bundle}: 1 image skipped" in said


def test_compare_refuses(refused: Make, tiny_bundle: Make, tmp_path: Path) -> None:
    bundle = tiny_bundle()
    other = tmp_path / "other.json"
    other.write_text('{"schema": "something/else"}')
    assert "compare needs two or more files" in refused("compare", bundle)
    assert "no run.json" in refused("compare", bundle, other)
    text = tmp_path / "notes.txt"
    text.write_text("a text that is not a model")
    assert "neither a bundle nor a .tflite" in refused("compare", bundle, text)


@pytest.mark.parametrize("option", ["--seconds", "--min-score"])
def test_nan_is_no_number(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "a.edge", option, "nan"]) == 2
    assert "not a finite number" in capsys.readouterr().err


def test_a_bundle_takes_no_other_files_place(refused: Make, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny_classifier())
    assert main(["convert", str(model), "--out", str(model)]) == 1
    assert model.read_bytes() == tiny_classifier()
    assert "--out" in refused("build", "recipe:digits_seed", "--out", tmp_path / "recipe.toml")
    assert not (tmp_path / "digits-1.0.0.build").exists()


def test_inspect_bundle_and_model(answers: Make, tiny_bundle: Make, tmp_path: Path) -> None:
    document = answers("inspect", tiny_bundle(origin="test", labels=("x", "y", "z")))
    assert document["kind"] == "bundle" and document["labels"] == ["x", "y", "z"]
    assert document["manifest"]["golden"]["from"] == "test"
    assert document["graph"]["operators"] == {"RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    model = tmp_path / "m.tflite"
    model.write_bytes(tiny_classifier((4, 4, 1), 3, dtype="uint8"))
    document = answers("inspect", model)
    assert (document["kind"], document["graph"]["precision"]) == ("model", "uint8")
    assert document["graph"]["macs"] == 48
    assert main(["inspect", str(model)]) == 0


def test_inspect_folder(answers: Make, write_images: Make, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for label, count in (("cat", 3), ("dog", 2)):
        write_images(folder / label, count, seed=count)
    shutil.copy(folder / "cat" / "000.png", folder / "dog" / "copy.png")
    (folder / "dog" / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    document = answers("inspect", folder)
    assert document["classes"] == {"cat": 3, "dog": 4} and document["pictures"] == 7
    assert document["duplicates"] == 1 and document["sizes"] == {"16x12": 6}
    assert len(document["unreadable"]) == 1 and "broken.jpg" in document["unreadable"][0]


def test_inspect_shows_an_empty_class(answers: Make, write_images: Make, tmp_path: Path) -> None:
    write_images(tmp_path / "cat", 2)
    (tmp_path / "dog").mkdir()
    document = answers("inspect", tmp_path)
    assert (document["classes"], document["pictures"]) == ({"cat": 2, "dog": 0}, 2)
    assert document["parts"] == {}


def test_inspect_shows_a_folder_of_images_beside_an_empty_folder(
    answers: Make, write_images: Make, tmp_path: Path
) -> None:
    write_images(tmp_path, 2)
    (tmp_path / "notes").mkdir()
    document = answers("inspect", tmp_path)
    assert (document["classes"], document["pictures"]) == ({}, 2)


def test_inspect_shows_the_parts(answers: Make, write_images: Make, tmp_path: Path) -> None:
    for part, cats, dogs in (("train", 3, 2), ("val", 1, 1), ("test", 2, 0)):
        write_images(tmp_path / part / "cat", cats, seed=cats)
        write_images(tmp_path / part / "dog", dogs, seed=10 * dogs)
    (tmp_path / "test" / "dog").mkdir(exist_ok=True)
    document = answers("inspect", tmp_path)
    assert document["parts"] == {
        "train": {"cat": 3, "dog": 2},
        "val": {"cat": 1, "dog": 1},
        "test": {"cat": 2, "dog": 0},
    }
    assert document["classes"] == {"cat": 6, "dog": 3} and document["pictures"] == 9


@pytest.mark.parametrize("side", ["x", [], None, {}])
def test_inspect_takes_any_build_record(side: object, answers: Make, tiny_bundle: Make) -> None:
    build = json.dumps({"float": side, "converted": {"accuracy": 0.5}})
    document = answers("inspect", tiny_bundle(build=build))
    assert document["accuracy"] == {"float": None, "converted": 0.5}


def test_inspect_recipe(answers: Make, refused: Make, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('name = "a"\n[data]\nsource = "digits"\n[model]\nname = "seed_cnn"\n')
    document = answers("inspect", recipe)
    assert document["kind"] == "recipe" and document["recipe"]["train"]["epochs"] == 30
    recipe.write_text('nam = "a"\n')
    assert 'did you mean "name"?' in refused("inspect", recipe)
    assert "does not exist" in refused("inspect", tmp_path / "none.toml")


def test_inspect_refuses_an_empty_folder(refused: Make, tmp_path: Path) -> None:
    assert "no class folders" in refused("inspect", tmp_path)


def test_hostile_models_kill_no_command(refused: Make, shared_data: Path, tmp_path: Path) -> None:
    for model in sorted((shared_data / "hostile").glob("*.tflite")):
        assert "refuses the model" in refused("compare", model, model)
        assert "refuses the model" in refused("convert", model, "--out", tmp_path / "x.edge")
        assert main(["inspect", str(model)]) == 0
    assert not (tmp_path / "x.edge").exists()


def test_boards_have_sources(answers: Make, refused: Make) -> None:
    document = answers("boards")
    names = {board["name"] for board in document["boards"]}
    assert {"rpi3b-plus", "rpi4", "rpi5", "zero2w"} <= names
    assert {a["name"] for a in document["accelerators"]} == {"coral-usb", "coral-pcie"}
    assert main(["boards", "rpi4"]) == 0
    assert "rpi4" in refused("boards", "rpi44")


def test_engines_says_what_is_usable(answers: Make) -> None:
    found = {engine["name"]: engine for engine in answers("engines")["engines"]}
    assert found["litert"]["usable"] and found["litert"]["version"]
    assert found["fake"]["usable"]
    for engine in found.values():
        assert engine["usable"] or (engine["because"] and engine["fix"])
    assert main(["engines"]) == 0
