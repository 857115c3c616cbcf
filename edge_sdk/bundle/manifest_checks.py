"""Whether what a manifest says fits together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_sdk.errors import BundleError
from edge_sdk.model.postprocess import Role, roles_of

if TYPE_CHECKING:
    from edge_sdk.bundle.manifest import Manifest


def check_manifest(manifest: Manifest, where: str) -> None:
    """Raises BundleError for models, tensors, labels and settings that do not belong together."""
    if "litert" not in manifest.models:
        raise BundleError(f'{where}: models has no "litert"', fix="build the bundle again")
    if not manifest.outputs:
        raise BundleError(f"{where}: outputs is empty", fix="build the bundle again")
    if manifest.task != "detect":
        _check_scores(manifest, where)
    _check_input(manifest, where)
    if manifest.task == "detect":
        _check_detection(manifest, where)


def _check_scores(manifest: Manifest, where: str) -> None:
    roles = [output.role for output in manifest.outputs]
    if "scores" not in roles:
        raise BundleError(f'{where}: no output has the role "scores"', fix="build the bundle again")
    classes = math.prod(manifest.outputs[roles.index("scores")].tensor.shape)
    if classes != manifest.labels.count:
        raise BundleError(
            f"{where}: {manifest.labels.count} labels for {classes} scores",
            fix="give one label for each score, in the model's order",
        )


def _check_input(manifest: Manifest, where: str) -> None:
    """An image is [1, height, width, channels]; a sequence has its frames behind the 1."""
    preprocess, sequence = manifest.input.preprocess, manifest.sequence
    shape = list(manifest.input.tensor.shape)
    wrong = ""
    if (manifest.task == "sequence") != (sequence is not None):
        wrong = f'task "{manifest.task}" {"needs" if sequence is None else "has no"} "sequence"'
    elif sequence is not None and (len(shape) < 3 or shape[1] != sequence.frames):
        wrong = f"input shape {shape} does not fit sequence.frames {sequence.frames}"
    elif preprocess is not None:
        rank = 4 if sequence is None else 5
        if len(shape) != rank or shape[-1] != preprocess.channels:
            wrong = f"input shape {shape} does not fit color {preprocess.color!r}"
    elif manifest.task == "detect":
        wrong = "input.preprocess is null"
    elif sequence is not None and len(shape) != 3:
        wrong = f"input shape {shape} is not [1, frames, features]"
    if wrong:
        raise BundleError(f"{where}: {wrong}", fix="build the bundle again")


def _check_detection(manifest: Manifest, where: str) -> None:
    post = manifest.postprocess
    shapes = {output.role: output.tensor.shape for output in manifest.outputs}
    missing = [role for role in roles_of(post.decode) if role not in shapes]
    if missing:
        raise BundleError(
            f"{where}: no output has the role {', '.join(missing)}", fix="build the bundle again"
        )
    wrong = _built_in_wrong(shapes) if post.decode == "none" else _raw_wrong(manifest, shapes)
    if wrong:
        raise BundleError(f"{where}: {wrong}", fix="build the bundle again")
    classes = post.classes
    if post.decode != "none":
        classes = shapes["raw_scores"][-1] - post.label_offset
    if classes is not None and classes != manifest.labels.count:
        raise BundleError(
            f"{where}: {manifest.labels.count} labels for {classes} classes",
            fix="give one label for each class, in the model's order",
        )
    for label, score in post.min_scores.items():
        if not 0 <= score <= 1:
            raise BundleError(
                f"{where}: postprocess.min_scores.{label} is {score}", fix="use 0 to 1"
            )


def _built_in_wrong(shapes: dict[Role, tuple[int, ...]]) -> str:
    count = math.prod(shapes["scores"])
    fits = math.prod(shapes["boxes"]) == 4 * count and math.prod(shapes["classes"]) == count
    if fits and math.prod(shapes["count"]) == 1:
        return ""
    return f"the shapes of boxes, classes, scores and count do not fit: {list(shapes.values())}"


def _raw_wrong(manifest: Manifest, shapes: dict[Role, tuple[int, ...]]) -> str:
    """Why boxes cannot be made of the raw outputs, or ""."""
    boxes, scores, anchors = shapes["raw_boxes"], shapes["raw_scores"], manifest.postprocess.anchors
    if anchors is None or not anchors.strides:
        return f'decode "{manifest.postprocess.decode}" needs anchors'
    if len(boxes) != 3 or len(scores) != 3 or boxes[:2] != scores[:2] or boxes[2] < 4:
        return f"raw_boxes {list(boxes)} and raw_scores {list(scores)} do not fit each other"
    count = anchors.count(*manifest.input.tensor.shape[1:3])
    return "" if boxes[:2] == (1, count) else f"{count} anchors for raw_boxes {list(boxes)}"
