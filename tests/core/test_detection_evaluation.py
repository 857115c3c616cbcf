"""`evaluate` on coco: images, with real models; and the annotation files themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk import BBox, Bundle, Frame, evaluate, evaluate_detections
from edge_sdk.data.coco import read_coco
from edge_sdk.data.sample_sets import pack_prefixes
from edge_sdk.data.samples import Scene
from edge_sdk.data.sources import open_source
from edge_sdk.errors import ConfigError, DataError, EdgeError, FileError
from edge_sdk.evaluation.metrics import warnings
from edge_sdk.images.image_files import write_image

Make = Callable[..., Any]
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
Thing = tuple[str, int, int]


def write_coco(
    folder: Path, scenes: list[list[Thing]], place: str = "images", **changes: Any
) -> Path:
    """Images of 8 x 8 cells of 10 pixels with coloured ones (label, column, row), each a thing;
    and their annotation file. changes: keys of the document that differ.
    """
    (folder / place).mkdir(parents=True, exist_ok=True)
    entries, annotations = [], []
    for number, things in enumerate(scenes, start=7):
        pixels = np.zeros((80, 80, 3), np.uint8)
        for label, column, row in things:
            pixels[row * 10 : row * 10 + 10, column * 10 : column * 10 + 10] = COLORS[label]
            annotations.append(
                {
                    **{"id": len(annotations), "image_id": number, "area": 100, "iscrowd": 0},
                    **{"category_id": 3 * list(COLORS).index(label) + 1},
                    "bbox": [column * 10, row * 10, 10, 10],
                }
            )
        name = f"{number:06}.png"
        write_image(folder / place / name, Frame(pixels, "rgb"))
        entries.append({"id": number, "file_name": name, "width": 80, "height": 80})
    categories = [{"id": 3 * i + 1, "name": name} for i, name in enumerate(COLORS)]
    document = {"images": entries, "annotations": annotations, "categories": categories[::-1]}
    path = folder / "annotations.json"
    path.write_text(json.dumps(document | changes))
    return path


SCENES: list[list[Thing]] = [
    [("red", 1, 1), ("green", 4, 5)],
    [("red", 2, 6), ("red", 7, 0), ("red", 0, 3)],
    [],
    [("green", 6, 6)],
]


@pytest.mark.parametrize("ending", ["ssd", "background", "built-in"])
def test_all_found(ending: str, detector_bundle: Make, tmp_path: Path) -> None:
    path = write_coco(tmp_path, SCENES)
    with Bundle.open(detector_bundle(ending)) as bundle:
        found = evaluate_detections(bundle, f"coco:{path}", threads=2)
    assert found.mean_ap == pytest.approx(1) and found.mean_ap_50 == pytest.approx(1)
    assert found.n == 4
    assert {name: (score.n, score.ap) for name, score in found.per_class.items()} == {
        "red": (4, pytest.approx(1)),
        "green": (2, pytest.approx(1)),
        "blue": (0, None),
    }
    assert found.engine is not None and found.engine.threads == 2
    text = found.describe()
    assert "100.00 %" in text and "red" in text and "blue" not in text
    assert warnings(found) == ["the source has no test part: every image was used"]


def test_found_a_little_beside(detector_bundle: Make, tmp_path: Path) -> None:
    """Truths of 12.5 x 10 around cells of 10 x 10 overlap them by .8: AP .7 of the red ones; and of
    the two green ones one is not there, AP 51/101.
    """
    path = write_coco(tmp_path, SCENES)
    document = json.loads(path.read_text())
    for entry in document["annotations"]:
        if entry["category_id"] == 1:
            entry["bbox"][2] = 12.5
    document["annotations"][-1]["bbox"][1] = 30
    path.write_text(json.dumps(document))
    with Bundle.open(detector_bundle()) as bundle:
        found = evaluate_detections(bundle, f"coco:{path}")
    red, green = found.per_class["red"].ap, found.per_class["green"].ap
    # The red one at column 7 ends at 80, its truth at 82.5: clipped all the same.
    assert red == pytest.approx(0.7)
    assert green == pytest.approx(51 / 101)
    assert found.mean_ap == pytest.approx((0.7 + 51 / 101) / 2)
    assert found.mean_ap_50 == pytest.approx((1 + 51 / 101) / 2)


def test_every_score_counts(detector_bundle: Make, tmp_path: Path) -> None:
    """Faint things are below the manifest's threshold; mAP is over all of them."""
    path = write_coco(tmp_path, SCENES[:1])
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[10:20, 10:20, 0], pixels[50:60, 40:50, 1] = 20, 30
    write_image(tmp_path / "images" / "000007.png", Frame(pixels, "rgb"))
    with Bundle.open(detector_bundle()) as bundle:
        assert evaluate_detections(bundle, f"coco:{path}").mean_ap == pytest.approx(1)


def test_labels_that_are_equal_are_one(detector_bundle: Make, tmp_path: Path) -> None:
    path = write_coco(tmp_path, [[("red", 1, 1), ("green", 4, 4)]])
    document = json.loads(path.read_text())
    document["categories"] = [{"id": 1, "name": "red"}, {"id": 4, "name": "red"}]
    path.write_text(json.dumps(document))
    with Bundle.open(detector_bundle(labels=("red", "red", "blue"))) as bundle:
        found = evaluate_detections(bundle, f"coco:{path}")
    assert list(found.per_class) == ["red", "blue"]
    assert found.per_class["red"].n == 2 and found.mean_ap == pytest.approx(1)


def test_images_that_were_trained_on(detector_parts: Make, tmp_path: Path) -> None:
    from edge_sdk.bundle.reading import write_bundle

    path = write_coco(tmp_path, SCENES)
    manifest, members = detector_parts()
    trained = pack_prefixes(read_coco(path).images[:2])
    record = json.dumps({"dataset": {"train_sha256_prefixes": trained}}).encode()
    write_bundle(tmp_path / "x.edge", manifest, {**members, "build.json": record})
    with Bundle.open(tmp_path / "x.edge") as bundle:
        found = evaluate_detections(bundle, f"coco:{path}")
    assert found.seen_in_training == 2
    assert "2 of 4 images were in the training set: mAP is too high" in warnings(found)


def test_the_command(command: Make, detector_bundle: Make, tmp_path: Path) -> None:
    path, bundle = write_coco(tmp_path, SCENES), detector_bundle("built-in")
    done = command("evaluate", bundle, "--data", f"coco:{path}", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "edge-sdk/evaluate/1"
    assert document["mAP"] == pytest.approx(1) and document["n"] == 4
    assert [document[key] for key in ("accuracy", "interval", "top5", "macro_f1")] == [None] * 4
    assert document["per_class"]["green"] == {"n": 2, "ap": pytest.approx(1)}
    assert document["per_class"]["blue"] == {"n": 0, "ap": None}
    done = command("evaluate", bundle, "--data", f"coco:{path}")
    assert "mAP (IoU .50:.95)  100.00 %" in done.stdout


def test_tasks_and_data_that_do_not_meet(
    detector_bundle: Make, tiny_bundle: Make, write_images: Make, tmp_path: Path
) -> None:
    scenes = f"coco:{write_coco(tmp_path, SCENES)}"
    write_images(tmp_path / "folders" / "red", 1)
    with Bundle.open(detector_bundle()) as bundle:
        with pytest.raises(ConfigError, match="is a detector, not a classifier"):
            evaluate(bundle, scenes)
        with pytest.raises(DataError, match="the data has none") as caught:
            evaluate_detections(bundle, str(tmp_path / "folders"))
        assert "coco:" in caught.value.fix
    with Bundle.open(tiny_bundle(shape=(8, 8, 3), labels=tuple(COLORS))) as bundle:
        with pytest.raises(ConfigError, match="is a classifier, not a detector"):
            evaluate_detections(bundle, scenes)
        with pytest.raises(DataError, match="the data holds images with boxes"):
            evaluate(bundle, scenes)


def test_labels_that_the_bundle_does_not_know(detector_bundle: Make, tmp_path: Path) -> None:
    """Only those of things count: COCO's file names 80 categories, whatever is in the images."""
    path = write_coco(tmp_path, SCENES)
    document = json.loads(path.read_text())
    document["categories"].append({"id": 99, "name": "violet"})
    path.write_text(json.dumps(document))
    with Bundle.open(detector_bundle()) as bundle:
        assert evaluate_detections(bundle, f"coco:{path}").n == 4
        document["annotations"][0]["category_id"] = 99
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match="does not know: violet") as caught:
            evaluate_detections(bundle, f"coco:{path}")
    assert "red, green, blue" in caught.value.fix


def test_images_that_cannot_be_read(detector_bundle: Make, tmp_path: Path) -> None:
    path = write_coco(tmp_path, SCENES)
    (tmp_path / "images" / "000008.png").write_bytes(b"no image")
    with (
        Bundle.open(detector_bundle()) as bundle,
        pytest.raises(DataError, match="1 of 4 images cannot be read"),
    ):
        evaluate_detections(bundle, f"coco:{path}")


def test_a_image_that_was_resized(detector_bundle: Make, tmp_path: Path) -> None:
    path = write_coco(tmp_path, SCENES)
    write_image(tmp_path / "images" / "000008.png", Frame(np.zeros((40, 80, 3), np.uint8), "bgr"))
    with (
        Bundle.open(detector_bundle()) as bundle,
        pytest.raises(DataError, match="is 80 x 40, its annotations are for 80 x 80"),
    ):
        evaluate_detections(bundle, f"coco:{path}")


def test_nothing_to_be_found(detector_bundle: Make, tmp_path: Path) -> None:
    path = write_coco(tmp_path, [[], []])
    with (
        Bundle.open(detector_bundle()) as bundle,
        pytest.raises(DataError, match="no image has annotated objects"),
    ):
        evaluate_detections(bundle, f"coco:{path}")


# --- annotation files ----------------------------------------------------------------------------


def test_what_a_file_says(tmp_path: Path) -> None:
    path = write_coco(tmp_path, SCENES)
    source = open_source(f"coco:{path}")
    assert (source.labels, source.part) == (("red", "green", "blue"), "all")
    first = source.images[0]
    assert isinstance(first, Scene)
    assert (first.name, first.path) == ("000007.png", tmp_path / "images" / "000007.png")
    assert [(truth.label, truth.box) for truth in first.truths] == [
        (0, BBox(10, 10, 20, 20)),
        (1, BBox(40, 50, 50, 60)),
    ]
    frame = first.read()
    assert (frame.width, frame.height) == (80, 80)
    assert not any(truth.crowd for truth in first.truths)
    assert isinstance(first.target, tuple) and len(first.target) == 2
    with pytest.raises(DataError, match="has boxes, not a class"):
        _ = first.label
    assert replace(first, size=None).read().width == 80


@pytest.mark.parametrize("images", [".", "images", "../val2017"])
def test_where_images_are(images: str, tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    path = write_coco(folder, SCENES, images)
    path = path.rename(folder / "instances_val2017.json")
    assert [scene.read().width for scene in read_coco(path).images] == [80] * 4


def test_crowds_are_marked(tmp_path: Path) -> None:
    path = write_coco(tmp_path, SCENES[:1])
    document = json.loads(path.read_text())
    document["annotations"][0]["iscrowd"] = 1
    del document["annotations"][1]["iscrowd"]
    path.write_text(json.dumps(document))
    (scene,) = read_coco(path).images
    assert isinstance(scene, Scene)
    assert [truth.crowd for truth in scene.truths] == [True, False]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"annotations": [{"image_id": 1}]}, DataError, "there is no 'bbox'"),
        ({"annotations": [{"bbox": [1, 2, 3]}]}, DataError, "not enough values"),
        ({"annotations": [{"bbox": [1, 2, -3, 4]}]}, DataError, "bbox"),
        ({"annotations": [{"bbox": [1, 2, 1e999, 4]}]}, DataError, "bbox"),
        ({"annotations": None}, DataError, "not COCO's annotations"),
        (
            {"annotations": [{"bbox": [1, 2, 3, 4], "category_id": 50, "image_id": 7}]},
            DataError,
            "there is no 50",
        ),
        ({"images": []}, DataError, "lists no images"),
        ({"images": {}}, DataError, "lists no images"),
        ({"categories": []}, DataError, "there is no 1"),
        ({"images": [{"id": 7, "file_name": "gone.png"}]}, FileError, "gone.png, which is not"),
        ({"images": [{"id": "x", "file_name": "gone.png"}]}, DataError, "invalid literal"),
        ({"images": ["x"]}, DataError, "not COCO's annotations"),
    ],
)
def test_files_that_are_none(
    changes: dict[str, Any], error: type[EdgeError], says: str, tmp_path: Path
) -> None:
    path = write_coco(tmp_path, SCENES, **changes)
    with pytest.raises(error) as caught:
        read_coco(path)
    assert says in str(caught.value) and caught.value.fix


def test_no_json_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2")
    (tmp_path / "b.json").write_text("[" * 100_000)
    (tmp_path / "d.json").write_text("[]")
    for name in ("a.json", "b.json", "d.json"):
        with pytest.raises(DataError, match="not COCO's annotations"):
            read_coco(tmp_path / name)
    with pytest.raises(FileError, match="does not exist"):
        read_coco(tmp_path / "c.json")
