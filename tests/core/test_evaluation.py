"""How often a bundle is right, on images whose answers are known: LiteRT was asked directly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import Bundle, Evaluation, Frame, Recognizer, evaluate, open_engine
from edge_sdk.data.sample_sets import check_unreadable, digest_of, pack_prefixes, training_prefixes
from edge_sdk.data.samples import Image, LabelledImages
from edge_sdk.data.sources import open_source
from edge_sdk.errors import DataError
from edge_sdk.evaluation.classification import doubts, evaluate_images
from edge_sdk.images.image_files import write_image
from edge_sdk.statistics import wilson
from edge_sdk.tflite.tiny import tiny_classifier

LABELS = ("cat", "dog", "owl")


def best_classes(frames: np.ndarray[Any, Any]) -> list[int]:
    """What LiteRT answers for 4 x 4 grey images, the first of equals."""
    with open_engine("litert", tiny_classifier()) as engine:
        fed = (frames.astype(int) - 128).astype(np.int8)
        return [int(engine(f.reshape(1, 4, 4, 1))[0].argmax()) for f in fed]


@pytest.fixture(scope="module")
def answered() -> dict[int, list[Any]]:
    """Images for each answer of the tiny model, at least 12 of each."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (3000, 4, 4), np.uint8)
    frames[::2] &= random.integers(0, 2, (1500, 4, 4), np.uint8) * 255
    found: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    for frame, best in zip(frames, best_classes(frames), strict=True):
        found[best].append(frame)
    assert min(map(len, found.values())) >= 12
    return found


def image(folder: Path, label: str, name: str, pixels: Any) -> Path:
    path = folder / label / f"{name}.png"
    write_image(path, Frame(pixels, "gray"))
    return path


@pytest.fixture
def folder(tmp_path: Path, answered: dict[int, list[Any]]) -> Path:
    """10 images of each class; of the cats 2 that the model calls dogs, of the owls 1 cat."""
    for index, label in enumerate(LABELS):
        for number in range(10):
            answer = {("cat", 0): 1, ("cat", 1): 1, ("owl", 9): 0}.get((label, number), index)
            image(tmp_path, label, f"{number}", answered[answer][number])
    return tmp_path


def test_from_end_to_end(tiny_bundle: Callable[..., Path], folder: Path) -> None:
    seen: list[tuple[int | None, int | None]] = []
    with Bundle.open(tiny_bundle(labels=LABELS)) as bundle:
        found = evaluate(
            bundle, f"folder:{folder}", listen=lambda e: seen.append((e.done, e.total))
        )
        document = found.as_dict(bundle=bundle.identity)
    assert (found.n, found.correct, found.part) == (30, 27, "all")
    assert found.accuracy == 0.9
    assert found.interval == wilson(27, 30)
    assert found.confusion.tolist() == [[8, 2, 0], [0, 10, 0], [1, 0, 9]]
    assert found.right.tolist() == [False, False, *[True] * 27, False]
    recall = {label: score.recall for label, score in found.per_class.items()}
    assert recall == {"cat": 0.8, "dog": 1.0, "owl": 0.9}
    precision = {label: score.precision for label, score in found.per_class.items()}
    assert precision == {"cat": 8 / 9, "dog": 10 / 12, "owl": 1.0}
    assert found.macro_f1 == pytest.approx((16 / 19 + 20 / 22 + 18 / 19) / 3)
    assert found.top5 is None
    assert seen == [(n, 30) for n in range(1, 31)]
    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == "edge-sdk/evaluate/1"
    assert document["per_class"]["dog"] == {"n": 10, "recall": 1.0, "precision": 10 / 12}
    assert document["mAP"] is None
    assert document["confusion"] == found.confusion.tolist()
    assert document["confusions"] == [["cat", "dog", 2], ["owl", "cat", 1]]
    assert document["engine"]["delegate"] == "xnnpack" and document["engine"]["version"]
    assert document["golden"]["rule"] == "exact" and document["golden"]["passed"] is True
    assert [(m["truth"], m["answer"]) for m in document["mistakes"]].count(("cat", "dog")) == 2
    gaps = [m["score"] - m["truth_score"] for m in document["mistakes"]]
    assert gaps == sorted(gaps, reverse=True) and min(gaps) >= 0 and len(gaps) == 3
    assert {m["name"] for m in document["mistakes"]} == {
        str(folder / name) for name in ("cat/0.png", "cat/1.png", "owl/9.png")
    }
    shown = found.describe()
    assert all(mistake["name"] in shown for mistake in document["mistakes"])


@pytest.mark.parametrize("place", [0, 1])
def test_equal_labels_are_one_class(
    place: int, tiny_bundle: Callable[..., Path], tmp_path: Path, answered: dict[int, list[Any]]
) -> None:
    """An image of a crane is answered rightly by either of two classes called crane."""
    for answer, label in ((place, "crane"), (2, "owl"), (place, "owl")):
        image(tmp_path, label, f"{answer}", answered[answer][0])
    with Bundle.open(tiny_bundle(labels=("crane", "crane", "owl"))) as bundle:
        found = evaluate(bundle, str(tmp_path))
    assert found.right.tolist() == [True, False, True] or found.correct == 2
    assert found.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert list(found.per_class) == ["crane", "crane (2)", "owl"]
    assert found.per_class["crane"].recall == 1.0
    assert found.confusions == [("owl", "crane", 1)]


def test_many_classes_have_no_matrix_in_the_document() -> None:
    random = np.random.default_rng(0)
    confusion = random.integers(0, 9, (101, 101))
    labels = tuple(f"class {number}" for number in range(101))
    right = np.ones(int(confusion.sum()), np.bool_)
    document = Evaluation(labels, confusion, right, in_top5=0).as_dict(bundle={})
    assert document["confusion"] is None
    assert len(document["confusions"]) == 200
    assert {count for _, _, count in document["confusions"]} == {8}
    for truth, answer, count in document["confusions"]:
        assert truth != answer
        assert confusion[labels.index(truth), labels.index(answer)] == count


def test_labels_are_matched_by_name_not_by_place(
    tiny_bundle: Callable[..., Path], folder: Path, answered: dict[int, list[Any]], tmp_path: Path
) -> None:
    """The bundle's order is another than the folders', and one class has no images."""
    labels = ("zebra", "dog", "owl", "cat")
    part = tmp_path / "part"
    with Bundle.open(tiny_bundle(labels=labels, classes=4, seed=5)) as bundle:
        recognizer = Recognizer.open(bundle)
        with recognizer:
            for label in ("cat", "owl"):
                image(part, label, "0", answered[0][0])
            found = evaluate_images(recognizer, open_source(str(part)))
            recognizer(Frame(answered[0][0], "gray"))
            best = int(recognizer.scores().argmax())
    assert found.confusion[3, best] == found.confusion[2, best] == 1
    assert found.per_class["zebra"].recall is None
    assert found.correct == (1 if best in (2, 3) else 0)


def test_the_test_part_is_used(
    tiny_bundle: Callable[..., Path], tmp_path: Path, answered: dict[int, list[Any]]
) -> None:
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        for number in range(count):
            image(tmp_path / part, "cat", f"{number}", answered[0][number])
    with Bundle.open(tiny_bundle(labels=LABELS)) as bundle:
        found = evaluate(bundle, str(tmp_path))
    assert (found.n, found.part, found.accuracy) == (1, "test", 1.0)


def test_unknown_labels_are_an_error_before_anything_runs(
    tiny_bundle: Callable[..., Path], folder: Path
) -> None:
    image(folder, "zebra", "0", np.zeros((4, 4), np.uint8))
    bundle = Bundle.open(tiny_bundle(labels=LABELS))
    with pytest.raises(DataError, match="does not know: zebra") as caught:
        evaluate(bundle, str(folder))
    assert "cat, dog, owl" in caught.value.fix


def many(folder: Path, answered: dict[int, list[Any]], good: int, bad: int) -> list[Path]:
    for number in range(good):
        image(folder, "cat", f"{number:03}", answered[0][number % 12])
    broken = [folder / "cat" / f"broken {number}.jpg" for number in range(bad)]
    for path in broken:
        path.write_bytes(b"\xff\xd8 no image")
    return broken


def test_unreadable_images_are_skipped_counted_and_listed(
    tiny_bundle: Callable[..., Path], tmp_path: Path, answered: dict[int, list[Any]]
) -> None:
    (broken,) = many(tmp_path, answered, 99, 1)
    with Bundle.open(tiny_bundle(labels=LABELS)) as bundle:
        found = evaluate(bundle, str(tmp_path))
    assert (found.n, found.accuracy) == (99, 1.0)
    (said,) = found.unreadable
    assert str(broken) in said
    document = found.as_dict(bundle={})
    assert document["unreadable"] == [said]
    assert document["n"] == 99


def test_more_than_one_percent_unreadable_is_an_error(
    tiny_bundle: Callable[..., Path], tmp_path: Path, answered: dict[int, list[Any]]
) -> None:
    many(tmp_path, answered, 98, 2)
    bundle = Bundle.open(tiny_bundle(labels=LABELS))
    wanted = r"2 of 100 images cannot be read \(allowed: 1.0%\)"
    with pytest.raises(DataError, match=wanted) as caught:
        evaluate(bundle, str(tmp_path))
    assert caught.value.fix == "remove or replace them"


def test_long_lists_of_unreadable_images_are_cut() -> None:
    check_unreadable(["a"] * 10, 1000, 0.01)
    with pytest.raises(DataError) as caught:
        check_unreadable([f"image {n}" for n in range(100)], 1000, 0.01)
    assert "image 4; …" in str(caught.value)
    assert "image 5" not in str(caught.value)
    with pytest.raises(DataError):
        check_unreadable(["a"], 10, 0.0)


def test_nothing_to_evaluate(tiny_bundle: Callable[..., Path]) -> None:
    bundle = Bundle.open(tiny_bundle(labels=LABELS))
    with pytest.raises(DataError, match="no image could be evaluated"):
        evaluate(bundle, LabelledImages(("cat",), [], "all"))


def test_images_of_the_training_record_are_counted(
    tiny_bundle: Callable[..., Path], folder: Path
) -> None:
    trained = [Image(0, "", path=path) for path in sorted((folder / "dog").iterdir())[2:6]]
    build = {"dataset": {"train_sha256_prefixes": pack_prefixes(trained)}}
    with Bundle.open(tiny_bundle(labels=LABELS, build=json.dumps(build))) as bundle:
        assert evaluate(bundle, str(folder)).seen_in_training == 4
    with Bundle.open(tiny_bundle(labels=LABELS)) as bundle:
        assert evaluate(bundle, str(folder)).seen_in_training == 0


@pytest.mark.parametrize(
    "build",
    [{}, {"dataset": None}, {"dataset": []}, {"dataset": {}}, {"dataset": "x"}]
    + [{"dataset": {"train_sha256_prefixes": value}} for value in (None, 3, [], {}, "")],
    ids=str,
)
def test_a_build_record_without_a_training_record(build: dict[str, Any]) -> None:
    assert training_prefixes(build) == frozenset()


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=30))
def test_prefixes_are_read_back(contents: list[bytes]) -> None:
    images = [Image(0, "", pixels=np.frombuffer(data, np.uint8)) for data in contents]
    packed = {"dataset": {"train_sha256_prefixes": pack_prefixes(images)}}
    wanted = {hashlib.sha256(data).hexdigest()[:16] for data in contents}
    assert training_prefixes(packed) == wanted
    assert digest_of(images) == digest_of(reversed(images))


def test_the_digest_of_a_set_depends_on_pixels_and_labels() -> None:
    pixels = np.zeros((2, 2), np.uint8)
    first, labelled = Image(0, "", pixels=pixels), Image(1, "", pixels=pixels)
    other = Image(0, "", pixels=pixels + 1)
    assert len({digest_of([first]), digest_of([labelled]), digest_of([other]), digest_of([])}) == 4


def test_six_classes_have_a_top_five() -> None:
    confusion = np.diag([1] * 6)
    right = np.array([True] * 6)
    found = Evaluation(tuple("abcdef"), confusion, right, in_top5=5)
    assert found.top5 == pytest.approx(5 / 6)
    assert found.per_class["a"].precision == 1.0


def test_top_five_counts_the_five_best(
    tiny_bundle: Callable[..., Path], tmp_path: Path, answered: dict[int, list[Any]]
) -> None:
    pixels = answered[0][0]
    with Bundle.open(tiny_bundle(classes=7)) as bundle:
        with Recognizer.open(bundle) as recognizer:
            recognizer(Frame(pixels, "gray"))
            order = np.argsort(-recognizer.scores(), kind="stable")
        for place in (0, 4, 5):
            label = bundle.labels[order[place]]
            image(tmp_path / str(place), label, "0", pixels)
            found = evaluate(bundle, str(tmp_path / str(place)))
            assert (found.top5, found.accuracy) == (float(place < 5), float(place == 0))


@pytest.mark.parametrize(
    ("correct", "counts", "wanted"),
    [
        (95, [50, 50], []),
        (990, [900, 100], []),
        (905, [900, 100], ["guessing: it is 88.5 % to 92.2 %"]),
        (10, [50, 50], ["guessing: it is 5.5 % to 17.4 %"]),
        (98, [50, 49], ["only 99 test images: the accuracy is known as 94.5 % to 99.8 %"]),
        (4, [4, 4, 4], ["class is right in 33.3 %", "only 12 test images"]),
    ],
)
def test_what_makes_an_accuracy_worth_little(
    correct: int, counts: list[int], wanted: list[str]
) -> None:
    lines = doubts(correct, counts)
    assert [words in line for words, line in zip(wanted, lines, strict=True)] == [True] * len(lines)
