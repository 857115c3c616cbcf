"""Labels of a source model: from --labels, else from its metadata, else from the class folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_converter.conversion.options import BACKGROUND, ConvertOptions
from edge_sdk.errors import DataError
from edge_sdk.events import Event, Listener
from edge_sdk.files import read_file
from edge_sdk.tasks import task_of
from edge_sdk.tflite.metadata import ModelMetadata


def labels_for(
    count: int,
    metadata: ModelMetadata,
    options: ConvertOptions,
    folders: Sequence[str],
    listen: Listener,
) -> tuple[str, ...]:
    """A label for each of `count` scores, or classes of a detector. folders: names of the class
    folders of --data.

    Raises DataError for a file with another number of them, FileError.
    """
    answers = task_of(options).classes
    if options.labels is not None:
        return _from_file(options.labels, count, answers, listen)
    if options.preset == "blazeface":
        return ("face",)
    if len(metadata.labels) == count:
        listen(Event("note", "labels", f"{count} from the model's metadata"))
        return metadata.labels
    if len(folders) == count:
        listen(
            Event(
                "warning",
                message=(
                    f"labels are the class folders of --data in alphabetical order, "
                    f"{', '.join(folders)}; for another order use --labels"
                ),
            )
        )
        return tuple(folders)
    found = (
        f"{len(metadata.labels)} labels for {count} {answers}" if metadata.labels else "no labels"
    )
    listen(
        Event(
            "warning",
            message=f"{found} found, classes are called 0 to {count - 1}; name them with --labels",
        )
    )
    return tuple(str(index) for index in range(count))


def _from_file(path: Path, count: int, answers: str, listen: Listener) -> tuple[str, ...]:
    text = read_file(path, what="labels file", max_bytes=16 * 1024 * 1024)
    try:
        labels = tuple(line.strip() for line in text.decode("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8", fix="save it as UTF-8") from error
    if answers == "classes" and len(labels) == count + 1 and labels[0].lower() in BACKGROUND:
        listen(Event("note", "labels", f"left out the first, {labels[0]!r}: it is the background"))
        labels = labels[1:]
    if len(labels) != count:
        raise DataError(
            f"{path} has {len(labels)} labels, the model has {count} {answers}",
            fix=f"give {count} lines, one label each, in the model's order",
        )
    return labels
