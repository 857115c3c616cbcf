"""Accuracy of a converted model, and of the one in float32, on images in class folders."""

from __future__ import annotations

from pathlib import Path

from edge_converter.builder.packing import BundleContents, make_golden, manifest_for
from edge_converter.conversion.record import AccuracyPair, ConvertedModel
from edge_converter.conversion.sample_images import Images
from edge_sdk.data.sample_sets import digest_of
from edge_sdk.data.samples import LabelledImages
from edge_sdk.documents.build import BuildDataset
from edge_sdk.engines import AUTO, open_engine
from edge_sdk.errors import DataError
from edge_sdk.evaluation.classification import doubts, evaluate_images
from edge_sdk.evaluation.result import Evaluation
from edge_sdk.events import Event, Listener
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.tasks import task_of


def measure(
    converted: ConvertedModel,
    contents: BundleContents,
    labelled: LabelledImages | None,
    listen: Listener,
) -> AccuracyPair | None:
    """The accuracy of both on `labelled`; None for a detector, whose objects class folders do not
    locate, and, with a warning, where it cannot be measured.
    """
    if labelled is None or task_of(contents).metric != "accuracy":
        return None
    strange = [label for label in labelled.labels if label not in contents.labels]
    if strange:
        names = ", ".join(strange[:5])
        message = f"accuracy not measured: the model has no label {names}, class folders of --data"
        listen(Event("warning", message=message))
        return None
    if not labelled.images:
        listen(
            Event(
                "warning", message="accuracy not measured: every image was needed for calibration"
            )
        )
        return None
    try:
        found = AccuracyPair(
            _evaluated(converted.model, contents, labelled),
            _evaluated(converted.floats, contents, labelled) if converted.floats else None,
        )
    except DataError as error:
        listen(Event("warning", message=f"accuracy not measured: {error}"))
        return None
    counts = [score.n for score in found.model.per_class.values()]
    for line in doubts(found.model.correct, counts):
        listen(Event("warning", message=line))
    return found


def dataset_entry(
    folder: Path | None, images: Images, measured: AccuracyPair | None
) -> BuildDataset | None:
    """`dataset` of the build document; None where no image calibrated or measured."""
    if folder is None or not (images.calibration or measured):
        return None
    tested = images.labelled.images if measured and images.labelled else ()
    return {
        "source": f"folder:{folder.resolve().name}",
        "n_train": 0,
        "n_val": 0,
        "n_test": measured.model.n if measured else 0,
        "n_calibration": len(images.calibration),
        "sha256": digest_of([*images.calibration, *tested]),
        "unreadable": [],
        "duplicates": 0,
    }


def _evaluated(model: bytes, contents: BundleContents, images: LabelledImages) -> Evaluation:
    golden, origin = make_golden(model, contents.preprocess, [], "synthetic")
    manifest = manifest_for(model, contents, golden, origin)
    with open_engine(AUTO, model) as engine:
        return evaluate_images(Recognizer(manifest.interface, contents.labels, engine), images)
