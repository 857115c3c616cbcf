"""`predict`: answers for images, and images with the answer written on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.bundle.reading import Bundle
from edge_sdk.data.sample_sets import skipped_warning
from edge_sdk.engines import AUTO
from edge_sdk.errors import ConfigError, DataError, FileError, ImageError
from edge_sdk.files import is_folder, prepare_folder
from edge_sdk.images.drawing import annotated, undrawable
from edge_sdk.images.image_files import SUFFIXES, list_images, read_image, write_image
from edge_sdk.inference.golden import unproven_warning
from edge_sdk.inference.recognizer import Recognizer, require_images

if TYPE_CHECKING:
    from edge_sdk.documents.predict import ImageAnswer, Predict


@dataclass(frozen=True)
class Predictions:
    """document: as docs/contracts.md describes it. warnings: what its reader must know."""

    document: Predict
    warnings: list[str]


def predict(
    path: str | Path,
    images: Sequence[str | Path],
    *,
    engine: str = AUTO,
    threads: int = 1,
    prove: bool = False,
    annotate: str | Path | None = None,
) -> Predictions:
    """The answers of bundle `path`, an image at a time.

    A folder stands for the images in it; those that cannot be read are left out and listed. Of
    images named by themselves every one must be readable: all are tried before any is answered.
    annotate: a folder for copies with the answer on them. prove: check all golden samples again.
    Raises FileError or ImageError for one such image, DataError for several, or where none of a
    folder's can be read; FileError for a folder of copies that cannot be written, or lies in one
    whose images are answered; BundleError, GateFailed and what the engine raises.
    """
    files = _expand(images)
    copies: list[Path] = []
    if annotate is not None:
        _check_apart(Path(annotate), images)
        copies = _copies([file for file, _ in files], Path(annotate))
    results: list[ImageAnswer] = []
    unreadable: list[str] = []
    warnings: list[str] = []
    with ExitStack() as stack:
        bundle = stack.enter_context(Bundle.open(path))
        require_images(bundle.manifest.interface)
        _require_readable([file for file, named in files if named])
        if annotate is not None:
            prepare_folder(Path(annotate), what="annotated copies", option="--annotate")
        model = stack.enter_context(Recognizer.open(bundle, engine, threads=threads, prove=prove))
        if unproven := unproven_warning(model.golden):
            warnings.append(unproven)
        if copies and (line := undrawable(model.labels)):
            warnings.append(line)
        for number, (file, named) in enumerate(files):
            try:
                frame = read_image(file)
            except (ImageError, FileError) as error:
                if named:
                    raise
                unreadable.append(str(error))
                continue
            result = model(frame)
            if copies:
                write_image(copies[number], annotated(frame, result))
            answer = result.as_dict()
            results.append(
                {
                    "path": str(file),
                    "classes": answer["classes"],
                    "detections": answer["detections"],
                    "ms": result.stages.latency_ns / 1e6,
                }
            )
        warnings += _skipped(results, unreadable)
        document: Predict = {
            "schema": "edge-sdk/predict/1",
            "bundle": bundle.identity,
            "engine": model.info.as_dict(),
            "golden": model.golden.as_dict() if model.golden else None,
            "results": results,
            "unreadable": unreadable,
        }
        return Predictions(document, warnings)


def _require_readable(named: Sequence[Path]) -> None:
    """Raises one error about all that cannot be read."""
    errors: list[ImageError | FileError] = []
    for file in named:
        try:
            read_image(file)
        except (ImageError, FileError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataError(
            f"{len(errors)} of {len(named)} images cannot be read: {'; '.join(map(str, errors))}",
            fix="leave them out, or copy them again",
        )


def _skipped(results: list[ImageAnswer], unreadable: list[str]) -> list[str]:
    """A warning about images that were left out. Raises DataError where all were."""
    if unreadable and not results:
        raise DataError(
            f"none of the {len(unreadable)} images can be read: {unreadable[0]}",
            fix="remove or replace them",
        )
    return [skipped_warning(unreadable)] if unreadable else []


def _expand(images: Sequence[str | Path]) -> list[tuple[Path, bool]]:
    """Each image, and whether it was named by itself."""
    files: list[tuple[Path, bool]] = []
    for given in map(Path, images):
        if _is_folder(given):
            files += [(file, False) for file in list_images(given, recursive=True)]
        else:
            files.append((given, True))
    if not files:
        where = f" in {', '.join(map(str, images))}" if images else ""
        suffixes = " ".join(sorted(SUFFIXES))
        raise ConfigError(
            f"no images to answer{where}", fix=f"name images, or a folder with some: {suffixes}"
        )
    return files


def _check_apart(copies: Path, images: Sequence[str | Path]) -> None:
    """Raises FileError for copies in a folder that is answered: they would be answered next."""
    place = Path(os.path.realpath(copies))
    for folder in filter(_is_folder, map(Path, images)):
        if place.is_relative_to(os.path.realpath(folder)):
            raise FileError(
                f"annotated copies in {copies} would be among the images of {folder}",
                fix="name another folder, outside of it, with --annotate",
            )


def _is_folder(path: Path) -> bool:
    """False also where nobody can say: reading it as an image tells why."""
    try:
        return is_folder(path)
    except FileError:
        return False


def _copies(files: Sequence[Path], folder: Path) -> list[Path]:
    """Each copy's place: FOLDER-FILE.png, with a number where two would have the same name.

    Raises FileError where one of them is an image to be read.
    """
    given = {os.path.realpath(file) for file in files}
    places: dict[str, None] = {}
    for file in files:
        parent = Path(os.path.realpath(file.parent)).name
        name = stem = f"{parent}-{file.name}" if parent else file.name
        number = 1
        while f"{name}.png" in places:
            number += 1
            name = f"{stem}-{number}"
        places[f"{name}.png"] = None
    for name in places:
        if os.path.realpath(folder / name) in given:
            raise FileError(
                f"the annotated copy {folder / name} would replace an image that was given",
                fix="name another folder with --annotate",
            )
    return [folder / name for name in places]
