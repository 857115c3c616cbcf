"""`folder:PATH`: one folder per class, or train/, val/ and test/ with class folders in each."""

from __future__ import annotations

from pathlib import Path

from edge_converter.datasets import Source
from edge_sdk.errors import DataError
from edge_sdk.images import list_classes
from edge_sdk.sources import Picture

PARTS = ("train", "val", "test")


def open_source(path: str) -> Source:
    """The pictures below `path`. Raises FileError, DataError."""
    folder = Path(path)
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return _parts(folder)
    classes = list_classes(folder)
    if set(classes) <= set(PARTS):
        raise DataError(
            f"{folder} has {' and '.join(classes)}, not train and test",
            fix=f"name the folders {folder / 'train'} and {folder / 'test'} (val may be left out), "
            "with the class folders in each",
        )
    return Source(tuple(classes), {"all": _pictures(classes)})


def _parts(folder: Path) -> Source:
    found = {name: list_classes(folder / name) for name in PARTS if (folder / name).is_dir()}
    labels = tuple(found["train"])
    for name, classes in found.items():
        if tuple(classes) != labels:
            odd = sorted(set(classes) ^ set(labels))
            raise DataError(
                f"{folder / name} has other classes than {folder / 'train'}: {', '.join(odd)}",
                fix="give every part the same class folders",
            )
    return Source(labels, {name: _pictures(classes) for name, classes in found.items()})


def _pictures(classes: dict[str, list[Path]]) -> list[Picture]:
    return [
        Picture(index, str(file), path=file)
        for index, files in enumerate(classes.values())
        for file in files
    ]
