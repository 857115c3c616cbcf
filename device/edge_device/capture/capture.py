"""`edge-sdk capture`: images from a camera into class folders, for a model of one's own.

A camera is watched in its own time: one image every `interval_s`, the newest at that instant. A
file is gone through as fast as it decodes: one image every `interval_s` of the film.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from edge_device.cameras import Camera, open_camera
from edge_device.cameras.backends import check_spec
from edge_device.cameras.listing import first_usable, list_cameras
from edge_device.capture.label_folder import ClassFolder, check_label, check_out
from edge_device.capture.review import write_review
from edge_device.capture.session import Frames, ImageBatch, Operator, Session
from edge_device.capture.settings import DELAY_S, OUT, Settings
from edge_device.run.pipeline import Pipeline
from edge_device.sinks.preview import check_preview
from edge_sdk.data.sources import PARTS
from edge_sdk.errors import ConfigError, EdgeError, FileError
from edge_sdk.files import reading
from edge_sdk.formatting import table
from edge_sdk.images.image_files import class_folders, list_images

if TYPE_CHECKING:
    from edge_sdk.documents.capture import Capture, CapturedLabel

FILES = ("folder", "video")
"""Kinds of cameras whose images wait for their reader."""

Ended = Literal["count", "camera", "stopped", "error"]


class CaptureResult(NamedTuple):
    """The document, and the error that ended it early."""

    document: Capture
    error: EdgeError | None = None


def capture(
    camera: str | None,
    labels: Sequence[str],
    out: Path,
    settings: Settings | None = None,
    operator: Operator | None = None,
) -> CaptureResult:
    """Fill `out/LABEL` for each label from the camera of that SPEC, None: the first that is usable;
    what is there stays.

    What goes wrong before the first image is raised: ConfigError, FileError, CameraError,
    MissingPackage. An error after that ends it, and what was written stays.
    """
    settings, operator = settings or Settings(), operator or Operator()
    if camera is None:
        camera = first_usable(list_cameras())
    files = check_spec(camera).kind in FILES
    _check(labels, out, settings)
    if len(labels) > 1 and (files or operator.entered is None):
        why = "a file cannot wait between labels" if files else "there is no terminal for Enter"
        raise ConfigError(
            f"{len(labels)} labels were given, but {why}",
            fix=f"capture one label at a time: --label {labels[0]}",
        )
    with ExitStack() as stack:
        source = stack.enter_context(_open(camera, files, operator.stop))
        batches = [ImageBatch(ClassFolder(out, label)) for label in labels]
        frames = stack.enter_context(closing(_frames(source, files, operator.stop)))
        session = Session(frames, _paced(settings, files, source), operator)
        error = _fill(session, batches)
        if error is not None and not any(batch.files for batch in batches):
            raise error
        ended = _ended(batches, settings.count, error, operator)
    return CaptureResult(_document(source, out, settings, batches, ended), error)


class _FilmClock:
    """Time that passes only when somebody sleeps: a file is read as fast as it decodes."""

    def __init__(self) -> None:
        self._ns = 0

    def now_ns(self) -> int:
        return self._ns

    def sleep(self, seconds: float) -> None:
        self._ns += round(seconds * 1e9)


def _check(labels: Sequence[str], out: Path, settings: Settings) -> None:
    for label in labels:
        check_label(label)
    if len(set(labels)) < len(labels):
        raise ConfigError("a label is given twice", fix="give each label once")
    check_out(out)
    preview = settings.preview
    if preview is None:
        return
    check_preview(preview)
    with reading(preview, what="preview"):
        inside = out.resolve() in preview.resolve().parents
    if inside:
        raise FileError(
            f"preview {preview} is inside {out} and would become one of its images",
            fix="give a file elsewhere, for example /dev/shm/preview.jpg",
        )


def _open(camera: str, files: bool, stop: Callable[[], bool]) -> Camera:
    if not files:
        return open_camera(camera, stop=stop)
    time = _FilmClock()
    return open_camera(camera, now_ns=time.now_ns, sleep=time.sleep)


def _frames(camera: Camera, files: bool, stop: Callable[[], bool]) -> Frames:
    """Every frame of a file; the newest of a camera."""
    if files:
        for frame in camera:
            if stop():
                return
            yield frame
        return
    with Pipeline(camera, "latest", stop=stop) as pipeline:
        for queued in pipeline:
            yield queued.frame


def _paced(settings: Settings, files: bool, camera: Camera) -> Settings:
    """A file without a rate (fps=max) has no time that an interval could be measured in."""
    if files and camera.unpaced:
        return replace(settings, interval_s=0.0, delay_s=0.0)
    delay_s = 0.0 if files else DELAY_S
    return replace(settings, delay_s=delay_s if settings.delay_s is None else settings.delay_s)


def _fill(session: Session, batches: Sequence[ImageBatch]) -> EdgeError | None:
    try:
        for batch in batches:
            if len(batches) > 1:
                session.ask(batch.folder.label)
            session.fill(batch)
    except EdgeError as error:
        return error
    return None


def _ended(
    batches: Sequence[ImageBatch], count: int, error: EdgeError | None, operator: Operator
) -> Ended:
    if error is not None:
        return "error"
    if all(len(batch.files) == count for batch in batches):
        return "count"
    return "stopped" if operator.stop() else "camera"


def _document(
    camera: Camera, out: Path, settings: Settings, batches: Sequence[ImageBatch], ended: Ended
) -> Capture:
    return {
        "schema": "edge-sdk/capture/1",
        "camera": camera.spec.text,
        "folder": str(out),
        "ended": ended,
        "captured": sum(len(batch.files) for batch in batches),
        "skipped_similar": sum(batch.skipped for batch in batches),
        "labels": [_label(batch) for batch in batches],
        "preview": str(settings.preview) if settings.preview else None,
        "review": None,
        "warnings": [*camera.notes, *(line for batch in batches for line in _warnings(batch))],
    }


def _label(batch: ImageBatch) -> CapturedLabel:
    folder = batch.folder.path
    return {
        "label": batch.folder.label,
        "folder": str(folder),
        "captured": len(batch.files),
        "skipped_similar": batch.skipped,
        "pictures": len(list_images(folder, recursive=True)) if folder.is_dir() else 0,
        "files": [str(path) for path in batch.files],
        "dark": _with(batch, "dark"),
        "blurred": _with(batch, "blurred"),
    }


def _with(batch: ImageBatch, fault: str) -> list[str]:
    return [str(path) for path, found in batch.faults.items() if found == fault]


_ADVICE = {
    "dark": "are dark: add light, or turn the camera away from a bright window",
    "blurred": "look blurred or show no edges: hold the camera still, add light, clean the lens",
}


def _warnings(batch: ImageBatch) -> list[str]:
    return [
        f"{batch.folder.label}: {len(found)} of {len(batch.files)} images {advice} "
        f"({', '.join(Path(name).name for name in found[:3])}{', …' if len(found) > 3 else ''})"
        for fault, advice in _ADVICE.items()
        if (found := _with(batch, fault))
    ]


def reviewed(document: Capture, error: EdgeError | None) -> CaptureResult:
    """Write the page of what is in the folder now. An error of that is the error of all where there
    is none yet.
    """
    out = Path(document["folder"])
    try:
        page = write_review(out, document, next_steps(document))
    except EdgeError as failure:
        return CaptureResult(document, error or failure)
    document = document.copy()
    document["review"] = str(page)
    return CaptureResult(document, error)


def describe(document: Capture) -> str:
    """The document for people: each label, then what to do next."""
    rows = [
        [
            entry["folder"],
            f"{entry['captured']} captured, {entry['pictures']} in total",
            f"{entry['skipped_similar']} near-duplicates skipped"
            if entry["skipped_similar"]
            else "",
        ]
        for entry in document["labels"]
    ]
    if document["ended"] in _ENDED:
        rows.append(["ended", _ENDED[document["ended"]], ""])
    for name, path in (("preview", document["preview"]), ("review", document["review"])):
        if path:
            rows.append([name, path, ""])
    steps = "\n".join(f"  {line}" for line in next_steps(document))
    return f"{table(rows)}\n\nnext\n{steps}"


def next_steps(document: Capture) -> list[str]:
    """Commands to go on with, as one may type them."""
    out = Path(document["folder"])
    lines = []
    if len(class_folders(out)) < 2:
        where = "" if out == OUT else f" --out {shlex.quote(str(out))}"
        camera = shlex.quote(document["camera"])
        lines.append(f"edge-sdk capture --camera {camera} --label ANOTHER{where}")
    whole = out.parent if out.name in PARTS else out
    lines.append(f"edge-sdk inspect {shlex.quote(str(whole))}")
    project = whole.parent if whole.name == OUT.name else Path()
    recipe = project / "recipe.toml"
    if not recipe.exists():
        lines.append(f"edge-sdk init {shlex.quote(str(project))}".removesuffix(" ."))
    build = f"edge-sdk build {shlex.quote(str(recipe))}".removesuffix(" recipe.toml")
    if whole.name != OUT.name:
        build += f" --set data.source={shlex.quote(f'folder:{whole}')}"
    return [*lines, build]


_ENDED = {
    "camera": "the camera you stopped it before there were enough images images",
    "stopped": "you stopped it before there were enough images",
    "error": "by the error below; the images written so far are kept",
}
