"""`folder:PATH`: one folder per class, or train/, val/ and test/ with class folders in each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from edge_converter.datasets import Source
from edge_sdk.data.class_folders import ClassFolders, folders_beside_parts, list_folder
from edge_sdk.data.samples import Image, Sample
from edge_sdk.data.sources import PARTS, part_folders
from edge_sdk.errors import DataError
from edge_sdk.images.image_files import SUFFIXES


def open_source(path: str) -> Source:
    """The images below `path`. Raises FileError, DataError."""
    return open_classes(Path(path), SUFFIXES, "image", image)


def image(label: int, file: Path) -> Image:
    """The image in a file."""
    return Image(label, str(file), path=file)


def open_classes(
    folder: Path, suffixes: Collection[str], what: str, sample: Callable[[int, Path], Sample]
) -> Source:
    """The files below `folder` with these suffixes as samples. what: "image", "clip".

    Raises FileError, DataError.
    """
    places = part_folders(folder) or {"all": folder}
    found = {name: list_folder(place, suffixes) for name, place in places.items()}
    for name, place in places.items():
        _check_classes(place, found[name], what)
    _check_parts(folder, places, found, suffixes, what)
    labels = tuple(next(iter(found.values())).classes)
    return Source(
        labels,
        {name: _samples(listing, sample) for name, listing in found.items()},
        what=what,
        left_out=tuple(path for listing in found.values() for path in listing.left_out),
    )


def _samples(found: ClassFolders, sample: Callable[[int, Path], Sample]) -> list[Sample]:
    return [
        sample(label, file) for label, files in enumerate(found.classes.values()) for file in files
    ]


def _check_classes(folder: Path, found: ClassFolders, what: str) -> None:
    if not found.classes:
        raise DataError(
            f"{folder} has no class folders",
            fix=f"make a folder for each class in it, e.g. {folder / 'cat'}, with {what}s inside",
        )
    empty = [name for name, files in found.classes.items() if not files]
    if empty:
        others = [path for path in found.left_out if path.parent.name in empty]
        seen = f" ({others[0]} is no {what} that can be read)" if others else ""
        raise DataError(
            f"class folder without {what}s: {', '.join(empty)} in {folder}{seen}",
            fix=f"put {what}s into it, or remove the folder",
        )


def _check_parts(
    folder: Path,
    places: dict[str, Path],
    found: dict[str, ClassFolders],
    suffixes: Collection[str],
    what: str,
) -> None:
    if "all" in places:
        _check_no_part(folder, found["all"])
        return
    if strange := folders_beside_parts(folder, suffixes):
        name, count = next(iter(strange.items()))
        raise DataError(
            f"{folder / name} is beside train and test, so its {count} {what}"
            f"{'s' * (count != 1)} would not be used",
            fix=f"rename it to {folder / 'val'}, or move it elsewhere",
        )
    labels = found["train"].classes.keys()
    for name, listing in found.items():
        if odd := sorted(listing.classes.keys() ^ labels):
            raise DataError(
                f"{places[name]} has other classes than {places['train']}: {', '.join(odd)}",
                fix="give every part the same class folders",
            )


def _check_no_part(folder: Path, found: ClassFolders) -> None:
    if odd := [name for name in found.classes if name in PARTS]:
        raise DataError(
            f"{folder} has {' and '.join(odd)}, but not both train and test",
            fix=f"name the folders {folder / 'train'} and {folder / 'test'} (val may be left out), "
            "with the class folders in each; a class must not be called train, val or test",
        )
