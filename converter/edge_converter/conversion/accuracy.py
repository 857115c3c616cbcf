"""Accuracy of a converted model, and of the one in float32, on images in class folders."""

from __future__ import annotations

from pathlib import Path

from edge_converter.builder.packing import Contents, make_golden, manifest_for
from edge_converter.conversion.record import Converted, Measured
from edge_converter.conversion.sample_images import Images
from edge_converter.conversion.source_model import Say
from edge_sdk.data.sample_sets import digest_of
from edge_sdk.data.samples import LabelledImages
from edge_sdk.documents.build import BuildDataset
from edge_sdk.engines import open_engine
from edge_sdk.errors import DataError
from edge_sdk.evaluation.classification import doubts, evaluate_images
from edge_sdk.evaluation.result import Evaluation
from edge_sdk.inference.recognizer import Recognizer
from edge_sdk.tasks import task_of


def measure(
    converted: Converted, contents: Contents, labelled: LabelledImages | None, say: Say
) -> Measured | None:
    """What both answer to `labelled`; None, with the reason said, where that cannot be told, and
    for a detector: folders do not say where things are.
    """
    if labelled is None or task_of(contents).metric != "accuracy":
        return None
    strange = [label for label in labelled.labels if label not in contents.labels]
    if strange:
        say(
            f"warning: no accuracy: the model has no label {', '.join(strange[:5])}, as folders of "
            "--data are called"
        )
        return None
    if not labelled.images:
        say("warning: no accuracy: every image was needed to calibrate")
        return None
    try:
        found = Measured(
            _evaluated(converted.model, contents, labelled),
            _evaluated(converted.floats, contents, labelled) if converted.floats else None,
        )
    except DataError as error:
        say(f"warning: no accuracy: {error}")
        return None
    counts = [score.n for score in found.model.per_class.values()]
    for line in doubts(found.model.correct, counts):
        say(f"warning: {line}")
    return found


def dataset_entry(
    folder: Path | None, images: Images, measured: Measured | None
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


def _evaluated(model: bytes, contents: Contents, images: LabelledImages) -> Evaluation:
    golden, origin = make_golden(model, contents.preprocess, [], "synthetic")
    manifest = manifest_for(model, contents, golden, origin)
    with open_engine("litert", model) as engine:
        return evaluate_images(Recognizer(manifest.interface, contents.labels, engine), images)
