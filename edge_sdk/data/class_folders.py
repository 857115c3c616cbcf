"""Folders of classes: the files of one kind in them, and what is left out."""

from __future__ import annotations

import stat
from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from edge_sdk.data.sources import PARTS, part_folders
from edge_sdk.errors import FileError
from edge_sdk.files import reading
from edge_sdk.images.image_files import walk


@dataclass(frozen=True)
class ClassFolders:
    """The files of one kind in each class folder, sorted; empty classes too.

    left_out: what nobody will look at: files of other kinds in the class folders, and files of the
    kind that lie in none.
    """

    classes: dict[str, tuple[Path, ...]]
    left_out: tuple[Path, ...]


def list_folder(folder: Path, suffixes: Collection[str]) -> ClassFolders:
    """`folder/CLASS/**/file` for files with one of these suffixes (lower case); hidden files and
    folders do not count. Raises FileError.
    """
    with reading(folder, what="folder of classes"):
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise FileError(f"{folder} is not a folder", fix="name a folder of class folders")
        inside = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    classes: dict[str, tuple[Path, ...]] = {}
    left_out = [path for path in inside if path.is_file() and path.suffix.lower() in suffixes]
    for place in (path for path in inside if path.is_dir()):
        found = (p for p in walk(place) if p.name[0] != "." and p.is_file())
        files = sorted(found, key=attrgetter("parts"))  # as paths sort, in half the time
        classes[place.name] = tuple(p for p in files if p.suffix.lower() in suffixes)
        left_out += [p for p in files if p.suffix.lower() not in suffixes]
    return ClassFolders(classes, tuple(left_out))


def folders_beside_parts(folder: Path, suffixes: Collection[str]) -> dict[str, int]:
    """{name: files of the kind} of the folders beside train/ and test/ that are none of the parts
    but have such files, e.g. valid/. {} where `folder` has no parts. Raises FileError.
    """
    if not part_folders(folder):
        return {}
    found = list_folder(folder, suffixes).classes
    return {name: len(files) for name, files in found.items() if files and name not in PARTS}
