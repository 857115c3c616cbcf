"""Images in a report: inside the page itself, so that it opens without its neighbours."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sdk.report.markup import escape
from edge_sdk.report.page import Section, note


@dataclass(frozen=True)
class Exhibit:
    """An image (the bytes of a PNG file) with the words under it."""

    png: bytes
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """A section of images. words: what they show; pixelated: small ones, shown larger."""

    anchor: str
    title: str
    words: str
    exhibits: Sequence[Exhibit]
    pixelated: bool = False


def gallery_section(gallery: Gallery) -> Section:
    """The section; empty without images."""
    shown = "".join(_figure(exhibit) for exhibit in gallery.exhibits)
    kind = "gallery pixelated" if gallery.pixelated else "gallery"
    body = f'{note(gallery.words)}<div class="{kind}">{shown}</div>' if shown else ""
    return Section(gallery.anchor, gallery.title, body)


def _figure(exhibit: Exhibit) -> str:
    words = escape(exhibit.caption)
    source = base64.b64encode(exhibit.png).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )
