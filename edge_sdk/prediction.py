"""`predict`: answers for pictures, and pictures with the answer written on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from edge_sdk.bundle import Bundle
from edge_sdk.errors import ConfigError
from edge_sdk.frames import Frame
from edge_sdk.images import list_images, read_image, write_image
from edge_sdk.recognizer import Recognizer
from edge_sdk.results import Result

_LEAST_WIDTH = 240


def predict(
    path: str | Path,
    pictures: Sequence[str | Path],
    *,
    engine: str = "litert",
    threads: int = 1,
    annotate: str | Path | None = None,
) -> dict[str, Any]:
    """The predict document of CONTRACTS.md: the answers of bundle `path`, a picture at a time.

    A folder stands for the pictures in it. annotate: a folder for copies with the answer on them.
    Raises FileError, ImageError, BundleError, GateFailed and what the engine raises.
    """
    files = _expand(pictures)
    results = []
    with Bundle.open(path) as bundle, Recognizer.open(bundle, engine, threads=threads) as model:
        for file in files:
            frame = read_image(file)
            result = model(frame)
            if annotate is not None:
                write_image(_annotated_path(file, Path(annotate)), _annotated(frame, result))
            results.append(
                {
                    "path": str(file),
                    "classes": result.as_dict()["classes"],
                    "detections": [],
                    "ms": result.stages.latency_ns / 1e6,
                }
            )
        return {
            "schema": "edge-sdk/predict/1",
            "bundle": bundle.identity,
            "engine": model.info.as_dict(),
            "results": results,
        }


def _expand(pictures: Sequence[str | Path]) -> list[Path]:
    files: list[Path] = []
    for given in map(Path, pictures):
        files += list_images(given) if given.is_dir() else [given]
    if not files:
        raise ConfigError("no pictures to answer", fix="name pictures, or a folder with pictures")
    return files


def _annotated_path(file: Path, folder: Path) -> Path:
    """The copy's place: its own folder's name keeps CLASS/1.png and OTHER/1.png apart."""
    return (
        folder / f"{file.parent.name}-{file.stem}.png" if file.parent.name else folder / file.name
    )


def _annotated(frame: Frame, result: Result) -> Frame:
    """The picture, enlarged where it is tiny, above a strip with the best class."""
    pixels = frame.pixels
    factor = max(1, -(-_LEAST_WIDTH // frame.width))
    if factor > 1:
        pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    best = result.classes[0] if result.classes else None
    text = f"{best.label} {best.score:.2f}" if best else "no answer"
    pixels = cv2.copyMakeBorder(pixels, 0, 28, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    # OpenCV's built-in font knows ASCII only.
    shown = text.encode("ascii", "replace").decode()
    where = (6, pixels.shape[0] - 9)
    cv2.putText(pixels, shown, where, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1)
    return Frame(pixels, frame.color)
