"""`folder:PATH`: one folder per class, or train/, val/ and test/ with class folders in each."""

from __future__ import annotations

from pathlib import Path

from edge_converter.datasets import Source
from edge_sdk.errors import DataError
from edge_sdk.images import list_classes
from edge_sdk.sources import PARTS, Picture, part_folders


def open_source(path: str) -> Source:
    """The pictures below `path`. Raises FileError, DataError."""
    folder = Path(path)
    if parts := part_folders(folder):
        return _parts(parts)
    classes = list_classes(folder)
    if odd := [name for name in classes if name in PARTS]:
        raise DataError(
            f"{folder} has {' and '.join(odd)}, but not both train and test",
            fix=f"name the folders {folder / 'train'} and {folder / 'test'} (val may be left out), "
            "with the class folders in each; a class must not be called train, val or test",
        )
    return Source(tuple(classes), {"all": _pictures(classes)})


def _parts(folders: dict[str, Path]) -> Source:
    found = {name: list_classes(folder) for name, folder in folders.items()}
    labels = tuple(found["train"])
    for name, classes in found.items():
        if tuple(classes) != labels:
            odd = sorted(set(classes) ^ set(labels))
            raise DataError(
                f"{folders[name]} has other classes than {folders['train']}: {', '.join(odd)}",
                fix="give every part the same class folders",
            )
    return Source(labels, {name: _pictures(classes) for name, classes in found.items()})


def _pictures(classes: dict[str, list[Path]]) -> list[Picture]:
    return [
        Picture(index, str(file), path=file)
        for index, files in enumerate(classes.values())
        for file in files
    ]
