"""`coco:ANNOTATIONS.json`: images with boxes, as COCO writes them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_sdk.data.samples import LabelledImages, Scene, Truth
from edge_sdk.errors import DataError, FileError
from edge_sdk.files import read_file
from edge_sdk.results import BBox

_MAX_BYTES = 1024 * 1024 * 1024


def read_coco(path: str | Path) -> LabelledImages:
    """The images that an annotation file lists, in its order, as Scenes; labels are its
    categories by id. Images lie beside the file, in images/ beside it, or as COCO's own do:
    annotations/instances_val2017.json with val2017/.

    Raises FileError where there is no such file or no image, DataError for a file that is not
    COCO's.
    """
    path = Path(path)
    data = read_file(path, what="COCO annotation", max_bytes=_MAX_BYTES)
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
        categories = sorted(document["categories"], key=lambda category: int(category["id"]))
        numbers = {int(category["id"]): i for i, category in enumerate(categories)}
        truths = _truths(document["annotations"], numbers)
        entries = [_entry(image) for image in document["images"]]
        labels = tuple(str(category["name"]) for category in categories)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not COCO's annotations of boxes: {_reason(error)}",
            fix="name a file with images, annotations (bbox) and categories",
        ) from error
    if not entries or not labels:
        raise DataError(f"{path} lists no images or no categories", fix="name another file")
    folder = _folder(path, [name for _, name, _ in entries])
    scenes = [
        Scene(tuple(truths.get(key, ())), name, folder / name, size=size)
        for key, name, size in entries
    ]
    return LabelledImages(labels, scenes, "all")


def _entry(image: dict[str, Any]) -> tuple[int, str, tuple[int, int] | None]:
    """Its id, file name and size."""
    size = (int(image["width"]), int(image["height"])) if "width" in image else None
    return int(image["id"]), str(image["file_name"]), size


def _truths(
    annotations: Sequence[dict[str, Any]], numbers: dict[int, int]
) -> defaultdict[int, list[Truth]]:
    """{image's id: objects in it}."""
    found: defaultdict[int, list[Truth]] = defaultdict(list)
    for entry in annotations:
        x, y, width, height = map(float, entry["bbox"])
        if not all(map(math.isfinite, (x, y, width, height))) or min(width, height) < 0:
            raise ValueError(f"bbox {entry['bbox']}")
        box = BBox(x, y, x + width, y + height)
        truth = Truth(numbers[int(entry["category_id"])], box, bool(entry.get("iscrowd", 0)))
        found[int(entry["image_id"])].append(truth)
    return found


def _folder(path: Path, names: Sequence[str]) -> Path:
    """The folder of the first image that can be found. Raises FileError."""
    part = path.stem.rpartition("_")[2]
    places = [path.parent, path.parent / "images", path.parent.parent / part]
    for place in places:
        if any((place / name).is_file() for name in names[:100]):
            return place
    raise FileError(
        f"{path} lists {names[0]}, which is not there",
        fix=f"put its images into {places[0]} or {places[1]}",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return " ".join(str(error).split())[:200]
