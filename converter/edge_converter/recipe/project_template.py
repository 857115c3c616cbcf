"""`edge-sdk init`: a commented recipe, a README and a place for one's own images."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path

from edge_sdk.documents.init import Init
from edge_sdk.errors import FileError
from edge_sdk.files import is_folder, reading, write_atomic

_FILES = {
    "recipe.toml": "recipe.toml",
    "README.md": "README.md",
    "images/README.txt": "images.txt",
}
"""The files of a project: name, and the template that it is made from."""


def start(folder: Path) -> Init:
    """Write the files of a new project into `folder`; the init document.

    Raises FileError where one of them is there already, or a file where a folder has to be: nothing
    is overwritten, nothing written.
    """
    for place in (folder, folder / "images"):
        if not is_folder(place) and os.path.lexists(place):
            raise FileError(
                f"{place} is not a folder",
                fix="rename it, or name a new folder: edge-sdk init doors",
            )
    with reading(folder, what="folder"):
        there = [name for name in _FILES if (folder / name).exists()]
    if there:
        raise FileError(
            f"{folder / there[0]} exists already and is not overwritten",
            fix=f"name a new folder: edge-sdk init {folder / 'new'}",
        )
    name = _name(folder)
    templates = resources.files("edge_converter") / "templates"
    for target, template in _FILES.items():
        text = (templates / template).read_text("utf-8").replace("{name}", name)
        write_atomic(folder / target, text.encode())
    return {
        "schema": "edge-sdk/init/1",
        "folder": str(folder),
        "name": name,
        "files": [str(folder / target) for target in _FILES],
    }


def next_steps(document: Init) -> str:
    """The next steps, for people."""
    folder = Path(document["folder"])
    return "\n".join(
        [
            *(f"wrote {path}" for path in document["files"]),
            "",
            f"1. put images into {folder / 'images' / 'CLASS'}, a folder for each class",
            f"2. edge-sdk inspect {folder / 'images'}",
            f"3. edge-sdk build {folder / 'recipe.toml'}",
        ]
    )


def _name(folder: Path) -> str:
    """The folder's name as far as a bundle may have it."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().name).strip("-._")
    return plain[:64] or "my-model"
