"""From a recipe to a bundle: what is left behind, what is reused, and what stops it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from document_types import check_document
from edge_converter import BuildReport, Recipe, build
from edge_converter.builder.build_report import describe
from edge_converter.builder.gates import budget_failures
from edge_converter.builder.record import json_bytes
from edge_converter.builder.stage_cache import alone_in
from edge_converter.datasets import open_dataset
from edge_sdk import Bundle, evaluate
from edge_sdk.cli.table import main
from edge_sdk.data.samples import LabelledImages
from edge_sdk.errors import ConfigError, FileError, GateFailed
from edge_sdk.evaluation.metrics import warnings
from edge_sdk.inference.recognizer import open_recognizer
from listeners import Lines, of_progress
from waiting import PATIENCE_S

pytestmark = pytest.mark.slow

BUNDLE = "stripes-1.0.0.edge"
SCRIPT = Path(sys.executable).with_name("edge-sdk")


@pytest.fixture
def again(built: Any, tmp_path: Path) -> Path:
    """A copy of the shared build with its stages; the path of the recipe."""
    shutil.copytree(built.recipe.parent, tmp_path / "copy")
    return tmp_path / "copy" / "recipe.toml"


def cached(report: BuildReport) -> dict[str, bool]:
    return {stage["name"]: stage["cached"] for stage in report.document["stages"]}


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The finished process of an `edge-sdk` line."""
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def error_and_fix(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """The last two lines on stderr, which must be those."""
    error, fix = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ") and fix.startswith("fix: "), done.stderr
    assert "Traceback" not in done.stderr
    return error, fix


# --- what is left behind -------------------------------------------------------------------------


def test_the_bundle_says_what_the_recipe_asked(built: Any) -> None:
    with Bundle.open(built.report.bundle) as bundle:
        manifest, document = bundle.manifest, bundle.build
        assert bundle.path == built.recipe.parent / BUNDLE
        assert bundle.labels == ("low", "mid", "top")
        model = bundle.model()
    assert (manifest.name, manifest.version, manifest.task) == ("stripes", "1.0.0", "classify")
    entry = manifest.models["litert"]
    assert (entry.precision, entry.macs) == ("int8", document["steps"][0]["macs"])
    tensor = manifest.input.tensor
    assert (tensor.shape, tensor.dtype, tensor.zero_point) == ((1, 12, 12, 1), "int8", -128)
    assert tensor.scale == pytest.approx(1 / 255)
    assert manifest.input.preprocess == Recipe.load(built.recipe).input.preprocess
    assert [output.role for output in manifest.outputs] == ["scores"]
    assert manifest.budget.accuracy_loss == 0.5
    assert (manifest.golden.samples, manifest.golden.origin) == (10, "test")
    assert document["converted"]["bytes"] == len(model)
    # The bundle's record is the build's, without the durations that differ from run to run.
    whole = built.report.document
    check_document(whole)
    check_document(document)
    assert whole.keys() - document.keys() == {"stages"}
    for key in ("recipe_sha256", "labels", "agreement", "history", "accuracy_loss", "versions"):
        assert document[key] == whole[key]


def test_no_file_of_the_users_is_named_in_the_bundle(built: Any, tmp_path: Path) -> None:
    """An unreadable image, a wrong answer and a source with its whole path, far from home."""
    project = tmp_path / "secret"
    shutil.copytree(built.recipe.parent / "images", project / "images")
    (project / "images" / "low" / "broken.png").write_bytes(b"no image")
    recipe = project / "recipe.toml"
    recipe.write_text(built.recipe.read_text())
    settings = {"data.source": f"folder:{project / 'images'}", "data.max_unreadable": 0.5}
    report = build(
        Recipe.load(recipe, {**settings, "train.epochs": 1, "budget.accuracy_loss": 1.0})
    )
    assert "broken.png" in str(report.document["dataset"]["unreadable"])
    with Bundle.open(report.bundle) as bundle:
        text = json.dumps(bundle.build)
    assert "broken" not in text and "secret" not in text and str(tmp_path) not in text
    assert bundle.build["dataset"]["unreadable"] == ["1 files"]
    assert bundle.build["dataset"]["source"] == "folder:images"


def test_golden_outputs_are_exact_here(built: Any) -> None:
    with open_recognizer(built.report.bundle) as recognizer:
        assert recognizer.golden is not None
        assert (recognizer.golden.rule, recognizer.golden.passed) == ("exact", True)


def test_golden_samples_are_test_images_of_every_class(built: Any) -> None:
    data = open_dataset(Recipe.load(built.recipe))
    with (
        open_recognizer(built.report.bundle) as recognizer,
        Bundle.open(built.report.bundle) as bundle,
    ):
        tensors = []
        for image in data.test:
            out = np.empty((1, 12, 12, 1), np.int8)
            recognizer.preprocessor(image.read(), out)
            tensors.append((out.tobytes(), image.label))
        golden = [sample.tobytes() for sample in bundle.golden().inputs[0]]
    assert set(golden) <= {tensor for tensor, _ in tensors}
    assert [dict(tensors)[sample] for sample in golden[:6]] == [0, 1, 2, 0, 1, 2]


def test_evaluate_agrees_with_the_record(built: Any) -> None:
    data = open_dataset(Recipe.load(built.recipe))
    record = built.report.document["converted"]
    with Bundle.open(built.report.bundle) as bundle:
        found = evaluate(bundle, LabelledImages(data.labels, data.test, "test"))
        everything = evaluate(bundle, str(built.recipe.parent / "images"))
    assert (found.n, found.correct, found.accuracy) == (12, record["correct"], record["accuracy"])
    assert found.confusion.tolist() == record["confusion"]
    assert found.interval.as_list() == record["interval"]
    assert found.seen_in_training == 0
    assert everything.seen_in_training == built.report.document["dataset"]["n_train"] == 48
    assert any("48 of 72 images were in the training set" in w for w in warnings(everything))


def test_the_record_and_everything_else_is_kept(built: Any) -> None:
    report = built.report
    assert report.folder == built.recipe.parent / "stripes-1.0.0.build"
    assert json.loads((report.folder / "build.json").read_text("utf-8")) == report.document
    assert "stripes" in (report.folder / "build.html").read_text("utf-8")
    recipe = json.loads((report.folder / "recipe.json").read_text("utf-8"))
    assert Recipe.parse(recipe).sha256 == report.document["recipe_sha256"]
    names = {path.name for path in report.folder.iterdir()}
    assert names == {
        *("build.json", "build.html", "convert.log", "model.keras", "recipe.json", "stages"),
        ".lock",
    }
    assert [path.name for path in built.recipe.parent.iterdir() if path.name[0] == "."] == []


def test_the_record_is_the_contracts(built: Any) -> None:
    document = built.report.document
    assert document["schema"] == "edge-sdk/build/1"
    assert document["recipe_sha256"] == Recipe.load(built.recipe).sha256
    dataset = document["dataset"]
    assert {k: dataset[k] for k in ("n_train", "n_val", "n_test", "unreadable", "duplicates")} == {
        "n_train": 48,
        "n_val": 12,
        "n_test": 12,
        "unreadable": [],
        "duplicates": 0,
    }
    assert dataset["sha256"] == open_dataset(Recipe.load(built.recipe)).sha256
    assert [stage["name"] for stage in document["stages"]] == ["train", "convert", "verify"]
    assert not any(cached(built.report).values())
    assert set(document["steps"][0]) == {"name", "accuracy", "bytes", "macs", "note"}
    # 10*10*32*9 + 3*3*64*9*32 + 64*128 + 128*3 multiply-adds of the seed CNN at 12 x 12.
    assert document["steps"][0]["macs"] == 28_800 + 165_888 + 8_192 + 384
    assert {"accuracy", "bytes"} <= set(document["float"])
    assert document["converted"]["quantization"] == "int8"
    assert document["accuracy_loss"] == (
        document["float"]["accuracy"] - document["converted"]["accuracy"]
    )
    assert document["budget"]["accuracy_loss"] == 0.5
    assert (document["passed"], document["tries"]) == (True, [])
    worst = document["worst_layers"]
    assert [set(layer) for layer in worst] == [{"name", "op", "sqnr_db", "together"}] * len(worst)
    assert [layer["sqnr_db"] for layer in worst] == sorted(layer["sqnr_db"] for layer in worst)
    assert {"conv1", "conv2", "dense", "scores"} <= {layer["name"] for layer in worst}
    assert {"python", "tensorflow", "edge-sdk-converter"} <= set(document["versions"])
    assert built.report.passed and built.report.accuracy_loss == document["accuracy_loss"]


def test_what_it_says(built: Any) -> None:
    first = "data: 48 to train, 12 to validate, 12 to test, 3 classes, 0 unreadable, 0 duplicates"
    assert built.said[0] == first
    assert [line.split(":")[0] for line in built.said] == [
        *("data", "train", "convert", "verify", "warning", "pack")
    ]
    assert built.said[-1] == f"pack: {built.report.bundle}"
    text = describe(built.report)
    for word in ("float accuracy", "int8 accuracy", "95 % interval", BUNDLE, "build.html"):
        assert word in text


# --- the same again ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(
    project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The shared build's recipe and images in another folder, built by a process of its own
    with the command; the current folder holds files that Python must not take for its own.
    """
    folder = tmp_path_factory.mktemp("twin 双胞胎")
    recipe = project(folder)
    for name in ("keras.py", "tensorflow.py"):
        (folder / name).write_text("raise SystemExit('this is not the library')\n")
    return recipe, run("build", "--json", cwd=folder)


def test_the_same_build_is_the_same_bytes(built: Any, twin: Any) -> None:
    """Another process, another folder."""
    import keras

    recipe, done = twin
    assert done.returncode == 0, done.stderr
    assert (recipe.parent / BUNDLE).read_bytes() == built.report.bundle.read_bytes()
    models = [
        keras.models.load_model(folder / "stripes-1.0.0.build" / "model.keras").get_weights()
        for folder in (recipe.parent, built.recipe.parent)
    ]
    for ours, theirs in zip(*models, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_json_is_one_document_and_stderr_is_readable(built: Any, twin: Any) -> None:
    _, done = twin
    document = json.loads(done.stdout)
    same = {k: v for k, v in built.report.document.items() if k != "stages"}
    assert {k: v for k, v in document.items() if k != "stages"} == same
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        *("data", "train", "convert", "verify", "warning", "pack")
    ]


def test_nothing_is_done_twice(again: Path, built: Any) -> None:
    before = stamps(again.parent)
    said = Lines("note", "warning")
    report = build(Recipe.load(again), listen=said)
    assert cached(report) == {"train": True, "convert": True, "verify": True}
    assert "train: reused" in said and "convert: reused" in said
    assert stamps(again.parent) == before
    assert report.bundle.read_bytes() == built.report.bundle.read_bytes()


def stamps(folder: Path) -> dict[str, int]:
    """When the stages' files were written."""
    stages = folder / "stripes-1.0.0.build" / "stages"
    return {str(path): path.stat().st_mtime_ns for path in stages.rglob("*") if path.is_file()}


def test_only_what_a_change_touches_is_done_again(again: Path) -> None:
    report = build(Recipe.load(again, {"quantize.io": "uint8"}))
    assert cached(report) == {"train": True, "convert": False, "verify": False}
    with Bundle.open(report.bundle) as bundle:
        assert bundle.manifest.input.tensor.dtype == "uint8"
        assert bundle.manifest.models["litert"].precision == "int8"


@pytest.mark.parametrize(
    "change",
    [{"budget.latency_ms": 5.0}, {"version": "1.0.0"}, {"data.golden": "synthetic"}],
    ids=lambda change: next(iter(change)),
)
def test_what_a_change_does_not_touch_is_reused(again: Path, change: dict[str, Any]) -> None:
    report = build(Recipe.load(again, change))
    assert all(cached(report).values())
    with Bundle.open(report.bundle) as bundle:
        golden = "synthetic" if "data.golden" in change else "test"
        assert bundle.manifest.golden.origin == golden
        assert bundle.manifest.budget.latency_ms == change.get("budget.latency_ms")


class Trains(Exception):
    """Training began."""


@pytest.mark.parametrize(
    "change",
    [{"train.epochs": 4}, {"seed": 8}, {"data.split": [0.6, 0.2, 0.2]}, {"input.std": [127.5]}],
    ids=lambda change: next(iter(change)),
)
def test_what_training_depends_on_trains_again(again: Path, change: dict[str, Any]) -> None:
    def progress(line: str) -> None:
        if line.startswith("train: "):
            raise Trains

    with pytest.raises(Trains):
        build(Recipe.load(again, change), listen=of_progress(progress))
    assert not list((again.parent / "stripes-1.0.0.build" / "stages").glob(".*"))


def test_another_image_trains_again(again: Path) -> None:
    first = next((again.parent / "images" / "low").iterdir())
    shutil.copy(next((again.parent / "images" / "top").iterdir()), first)

    def progress(line: str) -> None:
        if line.startswith("train: "):
            raise Trains

    with pytest.raises(Trains):
        build(Recipe.load(again), listen=of_progress(progress))


def test_a_damaged_stage_is_done_again(again: Path, built: Any) -> None:
    verified = next((again.parent / "stripes-1.0.0.build" / "stages").glob("verify-*"))
    (verified / "model.json").write_text('{"accuracy": 1.0}')
    report = build(Recipe.load(again))
    assert cached(report) == {"train": True, "convert": True, "verify": False}
    assert report.bundle.read_bytes() == built.report.bundle.read_bytes()


def test_two_builds_do_not_share_a_folder(again: Path, built: Any) -> None:
    folder = again.parent / "stripes-1.0.0.build"
    with alone_in(folder), pytest.raises(FileError) as caught:
        build(Recipe.load(again))
    assert f"another build is running in {folder}" in str(caught.value)
    assert "--out" in caught.value.fix
    assert build(Recipe.load(again)).bundle.read_bytes() == built.report.bundle.read_bytes()


def test_a_model_that_guesses_is_warned_about(again: Path) -> None:
    said = Lines("note", "warning")
    change = {"train.epochs": 1, "train.learning_rate": 1e-9, "budget.accuracy_loss": 1.0}
    report = build(Recipe.load(again, change), listen=said)
    guessing, few = report.document["warnings"]
    assert "may be that of guessing" in guessing and "right in 33.3 %" in guessing
    assert "only 12 test images" in few and "(95 % interval)" in few
    assert {f"warning: {guessing}", f"warning: {few}"} <= set(said)
    page = (report.folder / "build.html").read_text("utf-8")
    assert guessing in page and few in page


def test_a_model_that_does_not_guess_is_not(built: Any) -> None:
    (few,) = built.report.document["warnings"]
    assert "only 12 test images" in few


# --- gates ---------------------------------------------------------------------------------------


def failures(recipe: Recipe, float_right: int, right: int, n: int, size: int = 1000) -> list[str]:
    reference = {"correct": float_right, "accuracy": float_right / n}
    converted = {"correct": right, "accuracy": right / n, "n": n, "bytes": size}
    return budget_failures(recipe.budget, reference, converted)


@pytest.mark.parametrize("n", [1000, 300, 7])
@pytest.mark.parametrize("limit", [0.0, 0.01, 0.07, 0.29])
def test_a_loss_of_exactly_the_budget_passes(n: int, limit: float) -> None:
    """Also where 0.99 - 0.98 is a little more than 0.01 in floating point."""
    data = {"name": "x", "data": {"source": "digits"}, "model": {"name": "seed_cnn"}}
    recipe = Recipe.parse({**data, "budget": {"accuracy_loss": limit}})
    allowed = int(limit * n + 1e-6)
    for float_right in (n, n - 1, n - 3):
        assert failures(recipe, float_right, float_right - allowed, n) == []
        assert failures(recipe, float_right - allowed, float_right, n) == []
        (line,) = failures(recipe, float_right, float_right - allowed - 1, n)
        assert f"exceeds {limit:g}" in line and f"{n} test images" in line


def test_bytes_up_to_the_budget_pass() -> None:
    data = {"name": "x", "data": {"source": "digits"}, "model": {"name": "seed_cnn"}}
    recipe = Recipe.parse({**data, "budget": {"bytes": 1000}})
    assert failures(recipe, 9, 9, 9, size=1000) == []
    assert failures(recipe, 9, 9, 9, size=1001) == [
        "model.tflite has 1001 bytes, the budget is 1000"
    ]


def test_an_exceeded_budget_keeps_the_record_and_the_old_bundle(again: Path, built: Any) -> None:
    with pytest.raises(GateFailed) as caught:
        build(Recipe.load(again, {"budget.bytes": 10}))
    document = caught.value.document
    check_document(document)
    assert document["passed"] is False and "the budget is 10" in str(caught.value)
    folder = again.parent / "stripes-1.0.0.build"
    assert json.loads((folder / "build.json").read_text("utf-8")) == document
    assert "limit was exceeded" in (folder / "build.html").read_text("utf-8")
    assert str(folder / "build.html") in caught.value.fix
    assert (again.parent / BUNDLE).read_bytes() == built.report.bundle.read_bytes()


def test_a_failed_gate_is_exit_status_3_with_the_document(again: Path) -> None:
    (again.parent / BUNDLE).unlink()
    report = again.parent / "report"
    done = run(
        *("build", "--set", "budget.bytes=10", "--report", report, "--json"), cwd=again.parent
    )
    assert done.returncode == 3
    document = json.loads(done.stdout)
    assert document["passed"] is False and document["budget"]["bytes"] == 10
    error, _ = error_and_fix(done)
    assert error.startswith("error: budget exceeded: model.tflite has")
    assert not (again.parent / BUNDLE).exists()
    assert json.loads((report / "build.json").read_text("utf-8")) == document
    assert (report / "report.html").is_file()


# --- options -------------------------------------------------------------------------------------


def test_a_board_adds_energy_labelled_model(again: Path) -> None:
    document = build(Recipe.load(again, {"target.board": "rpi4"})).document
    check_document(document)
    assert document["energy_model"]["label"] == "MODEL"
    assert document["energy_model"]["joules_per_inference"] > 0
    assert document["energy_model_because"] is None
    document = build(Recipe.load(again, {"target.board": "rpi3b-plus"})).document
    assert (document["energy_model"] is None) == bool(document["energy_model_because"])


def test_out_names_the_bundle_and_the_report_its_folder(again: Path, tmp_path: Path) -> None:
    """Stages lie beside the bundle, so a copy of them serves there."""
    shutil.copytree(again.parent / "stripes-1.0.0.build", tmp_path / "o/stripes-1.0.0.build")
    done = run("build", again, "--out", "o/my bundle.edge", "--report", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train: reused" in done.stderr
    assert "float accuracy" in done.stdout and "o/my bundle.edge" in done.stdout
    with Bundle.open(tmp_path / "o" / "my bundle.edge") as bundle:
        assert bundle.manifest.name == "stripes"
    record = (tmp_path / "r" / "build.json").read_text("utf-8")
    assert json.loads(record)["name"] == "stripes"
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "<html" in page and 'src="data:image/png;base64,' in page


# --- what stops it before any work ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        ([], "recipe.toml does not exist", "check the path"),
        (["nowhere.toml"], "nowhere.toml does not exist", "check the path"),
        (["."], ". is a folder, not a recipe", "give the recipe file itself"),
        (["recipe:nothing"], "unknown built-in recipe 'nothing'", "digits_seed"),
        (["ok.toml", "--set", "train.epoch=3"], "unknown key train.epoch", '"epochs"'),
        (["ok.toml", "--set", "train.epochs"], "is not KEY=VALUE", "--set train.epochs=5"),
        (["ok.toml", "--set", "model.name=seed_cn"], "unknown model 'seed_cn'", '"seed_cnn"'),
        (["ok.toml", "--set", "target.board=rpi9"], "rpi9", "rpi4"),
        (["ok.toml", "--set", 'steps=["prune"]'], "prune needs a trained model", '"train"'),
        (["ok.toml", "--out", "folder"], "folder is a folder", "folder/NAME.edge"),
        (["ok.toml", "--out", "ok.toml"], "is not the name of a bundle", "--out ok.edge"),
        (["ok.toml", "--out", "ok.toml/x.edge"], "cannot write ok.toml/", "you can write to"),
        (["ok.toml", "--out", "/proc/x/x.edge"], "cannot write /proc/x/", "you can write to"),
        (["ok.toml", "--report", "ok.toml"], "cannot write a report to ok.toml", "--report"),
        (["ok.toml", "--report", "/proc"], "cannot write a report to /proc", "--report"),
        (["ok.toml"], "nowhere does not exist", "check the path"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "-",
)
def test_mistakes_are_two_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str, fix: str
) -> None:
    """Nothing on stdout, and nothing left behind but a build folder."""
    recipe = 'name = "stripes"\ndata.source = "folder:nowhere"\nmodel.name = "seed_cnn"\n'
    (tmp_path / "ok.toml").write_text(recipe)
    (tmp_path / "folder").mkdir()
    with contextlib.chdir(tmp_path):
        assert main(["build", *arguments]) == 1
    stdout, stderr = capsys.readouterr()
    said, way_out = stderr.splitlines()
    assert stdout == "" and said.startswith("error: ") and way_out.startswith("fix: ")
    assert error in said and fix in way_out
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"ok.toml", "folder", "stripes-1.0.0.build"}
    assert not list(tmp_path.rglob("*.edge"))


def test_a_model_that_does_not_fit_the_images(again: Path) -> None:
    with pytest.raises(ConfigError, match="at least 10 x 10, not 8 x 12"):
        build(Recipe.load(again, {"input.width": 8}))


def test_names_that_are_not_utf8_are_kept_in_the_record() -> None:
    document = {"unreadable": ["images/caf\udce9/猫.png is a truncated JPEG"]}
    assert json.loads(json_bytes(document).decode("utf-8")) == document


# --- a full disk ---------------------------------------------------------------------------------


FULL = """
import resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from edge_sdk.cli.table import main
sys.exit(main(sys.argv[2:]))
"""


def run_on_a_full_disk(
    size: int, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """`edge-sdk build` where no file can grow beyond `size` bytes."""
    return subprocess.run(
        [sys.executable, "-c", FULL, str(size), "build"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_disk_full_after_training(
    project: Callable[..., Path], tmp_path: Path, unmeasured: dict[str, str]
) -> None:
    project(tmp_path)
    done = run_on_a_full_disk(20_000, tmp_path, unmeasured)
    assert (done.returncode, done.stdout) == (1, "")
    error, fix = error_and_fix(done)
    assert "cannot write in" in error and "File too large" in error and "--out" in fix
    assert not list(tmp_path.rglob("*.edge"))
    assert not list((tmp_path / "stripes-1.0.0.build" / "stages").iterdir())


def test_a_disk_full_while_it_packs(again: Path, built: Any, unmeasured: dict[str, str]) -> None:
    """Every stage is there, the bundle is what does not fit: the old one stays."""
    done = run_on_a_full_disk(8_000, again.parent, unmeasured)
    assert (done.returncode, done.stdout) == (1, "")
    error, _ = error_and_fix(done)
    assert "cannot write" in error and "File too large" in error
    assert (again.parent / BUNDLE).read_bytes() == built.report.bundle.read_bytes()
    assert [path.name for path in again.parent.rglob(".*")] == [".lock"]


def test_a_build_may_start_from_a_trained_file(built: Any, tmp_path: Path) -> None:
    trained = built.report.folder / "model.keras"
    text = built.recipe.read_text("utf-8")
    table = text[text.index("[train]") : text.index("[quantize]")]
    name = text[text.index("[model]") :].splitlines()[1]
    path = built.recipe.parent / "trained.toml"
    plain = text.replace(table, "").replace("seed = 7", "seed = 7\nsteps = []")
    path.write_text(plain.replace(name, f'name = "file:{trained}"'), "utf-8")
    document = build(Recipe.load(path), tmp_path / "stripes.edge").document
    assert [stage["name"] for stage in document["stages"]] == ["start", "convert", "verify"]
    assert (document["steps"], document["history"]) == ([], None)
    before = built.report.document
    for side in ("float", "converted"):
        assert document[side]["correct"] == before[side]["correct"]
