"""What has to be known about a model beside its file: normalisation and labels.

Taken from the options, else from the model's metadata, else from what its tensors allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_converter.conversion.options import BACKGROUND, ConvertOptions, Fit
from edge_sdk.errors import ConfigError, DataError, ModelError
from edge_sdk.files import read_file
from edge_sdk.frames import Color
from edge_sdk.preprocess import PreprocessSpec, fed_values
from edge_sdk.tasks import task_of
from edge_sdk.tensors import TensorSpec
from edge_sdk.tflite.metadata import ModelMetadata

Say = Callable[[str], None]


def check_classifier(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], path: Path
) -> None:
    """That the model takes one image and answers with one row of scores. Raises ModelError."""
    check_image(inputs, path)
    scores = math.prod(outputs[0].shape) if len(outputs) == 1 else 0
    if scores < 2 or outputs[0].shape[-1] != scores:
        shapes = ", ".join(str(list(spec.shape)) for spec in outputs)
        raise ModelError(
            f"{path} answers {shapes}, not one row of scores",
            fix="name an image classifier, or add --task detect for one that finds things",
        )


def check_image(inputs: Sequence[TensorSpec], path: Path) -> None:
    """That the model takes one image. Raises ModelError."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[0] != 1:
        shapes = ", ".join(str(list(spec.shape)) for spec in inputs)
        raise ModelError(
            f"{path} takes {shapes}, not one image [1, height, width, channels]",
            fix="name an image classifier with a batch of 1",
        )


def preprocessing(
    spec: TensorSpec, metadata: ModelMetadata, options: ConvertOptions, path: Path, say: Say
) -> PreprocessSpec:
    """How images become what the model was trained on. spec: its input. Raises ConfigError."""
    color: Color = options.color or ("gray" if spec.shape[3] == 1 else "rgb")
    if bool(options.mean) != bool(options.std):
        raise ConfigError("only one of --mean and --std was given", fix="give both")
    if options.mean:
        mean, std, whence = options.mean, options.std, "options"
        if metadata.mean and (mean, std) != (metadata.mean, metadata.std):
            say(
                f"warning: the model's metadata says mean {list(metadata.mean)}, "
                f"std {list(metadata.std)}"
            )
    elif options.preset == "blazeface":
        mean, std, whence = (127.5,), (127.5,), "the preset"
    elif metadata.mean and metadata.std:
        mean, std, whence = metadata.mean, metadata.std, "the model's metadata"
    elif spec.quant is not None and spec.quant.scale > 0:
        # stored = pixel + low, so fed = scale * (pixel + low - zero_point)
        low = -128 if spec.dtype == "int8" else 0
        mean, std = (float(spec.quant.zero_point - low),), (1 / spec.quant.scale,)
        whence = f"pixels 0..255 onto {spec.dtype}"
    elif spec.dtype == "uint8":
        mean, std, whence = (0.0,), (1.0,), "pixels 0..255 as they are"
    else:
        raise ConfigError(
            f"{path} is a float model and does not say how pixels are normalised",
            fix="add --mean and --std, e.g. --mean 127.5 --std 127.5 for -1..1, "
            "--mean 0 --std 255 for 0..1, --mean 0 --std 1 where the model does it itself",
        )
    say(f"normalisation: mean {list(mean)}, std {list(std)} (from {whence})")
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ConfigError(
            f"mean is {list(mean)}, std {list(std)}: both must be finite, std above 0",
            fix="give --mean, and --std above 0",
        )
    found = PreprocessSpec(color, _fit(options), options.resize, tuple(mean), tuple(std))
    fed_values(found)
    return found


def _fit(options: ConvertOptions) -> Fit:
    """As the model was trained: an SSD on squeezed images, BlazeFace on letterboxed ones."""
    if options.fit is not None:
        return options.fit
    if options.preset == "blazeface":
        return "letterbox"
    return task_of(options).fit


def labels_for(
    count: int,
    metadata: ModelMetadata,
    options: ConvertOptions,
    folders: Sequence[str],
    say: Say,
) -> tuple[str, ...]:
    """A label for each of `count` scores, or classes of a detector. folders: names of the class
    folders of --data.

    Raises DataError for a file with another number of them, FileError.
    """
    answers = task_of(options).classes
    if options.labels is not None:
        return _from_file(options.labels, count, answers, say)
    if options.preset == "blazeface":
        return ("face",)
    if len(metadata.labels) == count:
        say(f"labels: {count} from the model's metadata")
        return metadata.labels
    if len(folders) == count:
        say(
            f"warning: labels are the class folders of --data in the order of their names, "
            f"{', '.join(folders)}; name another order with --labels"
        )
        return tuple(folders)
    found = (
        f"{len(metadata.labels)} labels for {count} {answers}" if metadata.labels else "no labels"
    )
    say(f"warning: {found} found, classes are called 0 to {count - 1}; name them with --labels")
    return tuple(str(index) for index in range(count))


def _from_file(path: Path, count: int, answers: str, say: Say) -> tuple[str, ...]:
    text = read_file(path, what="labels file", max_bytes=16 * 1024 * 1024)
    try:
        labels = tuple(line.strip() for line in text.decode("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8", fix="save it as UTF-8") from error
    if answers == "classes" and len(labels) == count + 1 and labels[0].lower() in BACKGROUND:
        say(f"labels: without the first one, {labels[0]!r}, which no detection has")
        labels = labels[1:]
    if len(labels) != count:
        raise DataError(
            f"{path} has {len(labels)} labels, the model has {count} {answers}",
            fix=f"give {count} lines, one label each, in the model's order",
        )
    return labels
