"""`edge-sdk cameras`: parse, call one function, print, return."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_sdk import formatting
from edge_sdk.cli import console

if TYPE_CHECKING:
    from edge_sdk.documents.cameras import Cameras


@click.command()
@console.json_option
def cameras(as_json: bool) -> None:
    """Which cameras are attached and usable, why not the others, and how to write the rest."""
    from edge_device.cameras.listing import cameras_document, list_cameras

    document = cameras_document(list_cameras())
    console.answer(document, _text(document), as_json=as_json)


def _text(document: Cameras) -> str:
    attached = [
        [c["spec"], c["name"] or "-", "usable" if c["usable"] else f"no: {c['because']}", c["fix"]]
        for c in document["cameras"]
    ]
    every = [kind["parameters"] for kind in document["kinds"]]
    common = [name for name in every[0] if all(name in names for names in every)]
    kinds = [
        [
            kind["write"],
            kind["help"],
            " ".join(name for name in kind["parameters"] if name not in common),
        ]
        for kind in document["kinds"]
    ]
    head = ("attached", "name", "here", "fix")
    kinds_head = ("write", "for", "also takes")
    return (
        f"{formatting.table(attached, head=head, width=formatting.WIDTH)}\n\n"
        f"{formatting.table(kinds, head=kinds_head, width=formatting.WIDTH)}\n\n"
        f"All take {', '.join(common)}, behind a ? or, in URLs, behind a #:\n"
        "  v4l2:/dev/video0?fps=30&width=1280&height=720\n"
        "  rtsp://HOST/PATH#fps=10"
    )
