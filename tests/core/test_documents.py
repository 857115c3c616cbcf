"""Every document that a command prints or writes is of the type in edge_sdk/documents, and
docs/contracts.md names all of them.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typeguard import TypeCheckError

from document_types import TYPES, check_document, check_result_line, schemas_in
from edge_sdk.bundle.reading import write_bundle
from edge_sdk.cli.table import TABLE, main
from edge_sdk.tflite.tiny import tiny_classifier

Make = Callable[..., Any]

BENCHES = {
    "single-stream": (),
    "repeats": ("--repeats", 2),
    "multi-stream": ("--scenario", "multi-stream"),
    "offline": ("--scenario", "offline"),
    "soak": ("--soak",),
}
"""Scenario server takes longer: tests/device/test_bench_server.py."""


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """`printed("predict", …)`: the command's document, which is of its kind's type."""

    def run(*arguments: object, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        ended = main([*map(str, arguments), "--json"])
        found = capsys.readouterr()
        assert ended == status, found.err
        document: dict[str, Any] = json.loads(found.out)
        assert check_document(document) in (arguments[0], "build", "golden")
        return document

    return run


@pytest.fixture
def bundle(tiny_bundle: Make) -> Path:
    path: Path = tiny_bundle(shape=(8, 8, 3), labels=("cat", "dog", "owl"))
    return path


@pytest.fixture
def classes(tmp_path: Path, write_images: Make) -> Path:
    for number, label in enumerate(("cat", "dog", "owl")):
        write_images(tmp_path / "images" / label, 4, size=(20, 10), seed=number)
    return tmp_path / "images"


# --- documents -----------------------------------------------------------------------------------


def test_predict(printed: Make, bundle: Path, detector_bundle: Make, classes: Path) -> None:
    broken = classes / "cat" / "broken.png"
    broken.write_bytes(b"no image")
    assert printed("predict", bundle, classes)["unreadable"]
    assert printed("predict", detector_bundle(), classes)["results"]


def test_evaluate(printed: Make, bundle: Path, detector_bundle: Make, classes: Path) -> None:
    assert printed("evaluate", bundle, "--data", classes)["mAP"] is None
    image = next(classes.rglob("*.png"))
    annotations = {
        "images": [{"id": 1, "file_name": str(image), "width": 20, "height": 10}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    file = classes.parent / "coco.json"
    file.write_text(json.dumps(annotations))
    detector = detector_bundle(labels=("cat", "dog", "owl"))
    assert printed("evaluate", detector, "--data", f"coco:{file}")["accuracy"] is None


def test_compare(printed: Make, bundle: Path, classes: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny_classifier((8, 8, 3), 3))
    recorded = tmp_path / "bench"
    printed("bench", bundle, "--seconds", 0.1, "--report", recorded)
    report = ("--report", tmp_path / "report")
    paths = (bundle, bundle, model, recorded / "bench.json")
    document = printed("compare", *paths, "--data", classes, "--rounds", 8, *report)
    assert json.loads((tmp_path / "report" / "compare.json").read_text()) == document
    printed("compare", bundle, model, "--rounds", 2)


@pytest.mark.parametrize("kind", ["bundle", "model", "folder", "recipe"])
def test_inspect(kind: str, printed: Make, bundle: Path, classes: Path, tmp_path: Path) -> None:
    model, recipe = tmp_path / "model.tflite", tmp_path / "recipe.toml"
    model.write_bytes(tiny_classifier((8, 8, 3), 3))
    recipe.write_text('name = "a"\ndata.source = "folder:images"\nmodel.name = "edge_net"\n')
    for double in ("one.png", "two.png"):
        shutil.copy(next((classes / "dog").iterdir()), classes / "cat" / double)
    path = {"bundle": bundle, "model": model, "folder": classes, "recipe": recipe}[kind]
    document = printed("inspect", path, "--report", tmp_path / "report")
    assert document["kind"] == kind
    assert json.loads((tmp_path / "report" / "inspect.json").read_text()) == document


@pytest.mark.parametrize(
    "words",
    [
        *(("engines",), ("boards",), ("boards", "coral-usb"), ("cameras",)),
        *(("models",), ("models", "mobilenet_v2"), ("models", "features")),
    ],
    ids=" ".join,
)
def test_listings(words: tuple[str, ...], printed: Make) -> None:
    printed(*words)


def test_init(printed: Make, tmp_path: Path) -> None:
    printed("init", tmp_path / "new")


def test_capture(printed: Make, classes: Path, tmp_path: Path) -> None:
    camera = ("--camera", f"folder:{classes / 'cat'}?fps=max", "--label", "cat")
    document = printed("capture", *camera, "--out", tmp_path / "taken", "--review")
    assert document["review"]
    printed("capture", *camera, "--out", tmp_path / "taken", "--count", 1, "--keep-similar")


@pytest.mark.parametrize("detects", [False, True], ids=["classes", "boxes"])
def test_run(
    detects: bool, printed: Make, bundle: Path, detector_bundle: Make, classes: Path, tmp_path: Path
) -> None:
    path = detector_bundle() if detects else bundle
    report, lines = tmp_path / "report", tmp_path / "lines.jsonl"
    more = ("--track",) if detects else ("--board", "rpi4", "--deadline-ms", 100)
    camera = ("--camera", f"folder:{classes / 'cat'}?fps=max&loop=1", "--frames", 40)
    document = printed("run", path, *camera, *more, "--jsonl", lines, "--report", report)
    assert document["invalid_codes"][0] == "short" and "; " in document["invalid_because"]
    check_document(json.loads((report / "run.json").read_text()))
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(written) == 40
    for line in written:
        check_result_line(line)


@pytest.mark.parametrize("load", BENCHES)
def test_bench(load: str, printed: Make, bundle: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    document = printed("bench", bundle, "--seconds", 0.2, *BENCHES[load], "--report", report)
    assert document["schema"] == "edge-sdk/bench/1"
    check_document(json.loads((report / "bench.json").read_text()))


def test_convert(printed: Make, classes: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny_classifier((8, 8, 3), 3))
    options = ("--mean", 0, "--std", 255, "--out", tmp_path / "model.edge")
    assert printed("convert", model, *options, "--data", classes)["converted"]["n"] == 12
    assert printed("convert", model, *options)["converted"]["accuracy"] is None
    printed("inspect", tmp_path / "model.edge")


def test_a_failed_gate(printed: Make, tiny_parts: Make, classes: Path, tmp_path: Path) -> None:
    manifest, members = tiny_parts(shape=(8, 8, 3))
    _, other = tiny_parts(shape=(8, 8, 3), seed=5)
    path = tmp_path / "wrong.edge"
    write_bundle(path, manifest, members | {"golden.npz": other["golden.npz"]})
    assert printed("predict", path, classes, status=3)["golden"]["passed"] is False


def test_a_wrong_document_is_told(printed: Make) -> None:
    """The check can fail: an extra key, one that is missing, another type."""
    document = printed("engines")
    first, *others = document["engines"]
    for wrong in (
        {**document, "more": 1},
        {"schema": document["schema"]},
        {**document, "engines": [*others, {**first, "usable": "yes"}]},
    ):
        with pytest.raises(TypeCheckError):
            check_document(wrong)


# --- docs/contracts.md ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contracts(repository: Path) -> str:
    return (repository / "docs" / "contracts.md").read_text("utf-8")


def test_every_kind_has_a_type(repository: Path) -> None:
    folders = (repository / name for name in ("edge_sdk", "converter", "device", "hardware"))
    # Files, not documents: of a bundle, and of this machine's own (inference/proofs.py).
    assert schemas_in(*folders) - {"manifest", "accepted"} <= {*TYPES}


def test_every_command_has_a_row(contracts: str) -> None:
    table = contracts.split("\n## Commands", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`([a-z]+)[ `]", "".join(re.findall(r"^\|[^|]*\|([^|]*)\|", table, re.M)))
    assert named == [row.name for row in TABLE]


def _fields(source: str) -> dict[str, list[str]]:
    """{class: its own fields} of a module of document types."""
    return {
        node.name: [
            entry.target.id
            for entry in node.body
            if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)
        ]
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def test_every_field_of_every_document_is_named(contracts: str, repository: Path) -> None:
    section = contracts.split("\n## JSON", 1)[1].split("\n## ", 1)[0]
    for module in (repository / "edge_sdk" / "documents").glob("*.py"):
        for name, fields in _fields(module.read_text("utf-8")).items():
            block = re.search(rf"^{name}\b(?: = .* and)? +#.*\n((?:  .*\n)*)", section, re.M)
            assert block, name
            assert re.findall(r"^  (\w+)\??:", block[1], re.M) == fields, name
    for kind in TYPES:
        assert f"edge-sdk/{kind}/1" in section, kind
