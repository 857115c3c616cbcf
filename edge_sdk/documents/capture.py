"""edge-sdk/capture/1: images taken from a camera into class folders."""

from typing import Literal, TypedDict


class CapturedLabel(TypedDict):
    """One class folder."""

    label: str
    folder: str
    captured: int  # images written now
    skipped_similar: int  # images left out, almost the same as the last one
    pictures: int  # images in the folder in all
    files: list[str]  # written now
    dark: list[str]
    blurred: list[str]


class Capture(TypedDict):
    """Printed by `capture`."""

    schema: Literal["edge-sdk/capture/1"]
    camera: str  # SPEC
    folder: str
    ended: Literal["count", "camera", "stopped", "error"]
    captured: int  # images of all labels
    skipped_similar: int
    labels: list[CapturedLabel]
    preview: str | None  # path of the preview image
    review: str | None  # path of review.html
    warnings: list[str]
