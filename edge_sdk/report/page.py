"""The page around a report: one HTML file with its style inside, without scripts or network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from edge_sdk.report.markup import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="eyebrow">{eyebrow}</p>
<h1>{heading}</h1>
<p class="lede">{lede}</p>
{banner}
{tiles}
</header>
<nav aria-label="Sections">{links}</nav>
<main>
{body}
</main>
</body>
</html>
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing from outside: no script, no network, images only from the page itself."""


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading and its HTML. Without HTML it is left out."""

    anchor: str
    title: str
    body: str


@dataclass(frozen=True)
class Tile:
    """A figure of the summary: its name, its value and a line below; `value` is plain text."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Head:
    """The part above the sections. lede and banner are HTML, the rest plain text."""

    kind: str
    heading: str
    lede: str
    banner: str
    tiles: Sequence[Tile]


def page(head: Head, sections: Iterable[Section]) -> str:
    """The whole document."""
    shown = [section for section in sections if section.body]
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return _PAGE.format(
        title=escape(f"{head.heading}: {head.kind}"),
        policy=_POLICY,
        style=style,
        eyebrow=escape(f"Edge SDK {head.kind}"),
        heading=escape(head.heading),
        lede=head.lede,
        banner=head.banner,
        tiles=_tiles(head.tiles),
        links="".join(f'<a href="#{one.anchor}">{escape(one.title)}</a>' for one in shown),
        body="\n".join(_section(one) for one in shown),
    )


def banner(kind: str, title: str, words: str) -> str:
    """A line that must not be overlooked. kind: "good", "warn" or "bad"."""
    return f'<p class="banner {kind}"><strong>{escape(title)}</strong> {escape(words)}</p>'


def figure(caption: str, chart: str, keys: Sequence[str] = ()) -> str:
    """A chart under its caption, with the names of its series. "" without a chart."""
    if not chart:
        return ""
    legend = "".join(
        f'<span class="key"><i class="s{index}"></i>{escape(name)}</span>'
        for index, name in enumerate(keys, start=1)
    )
    return f"<figure><figcaption>{escape(caption)}{legend}</figcaption>{chart}</figure>"


def side_by_side(*parts: str) -> str:
    """Parts in columns where there is room. "" without parts."""
    shown = [part for part in parts if part]
    return f'<div class="columns">{"".join(shown)}</div>' if shown else ""


def folded(summary: str, body: str) -> str:
    """A part that opens on a click. "" without a body."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def note(words: str) -> str:
    """A small remark in plain text."""
    return f'<p class="note">{escape(words)}</p>'


def command(line: str) -> str:
    """A command line."""
    return f"<pre><code>{escape(line)}</code></pre>"


def _section(section: Section) -> str:
    heading = f'<h2 id="{section.anchor}-title">{escape(section.title)}</h2>'
    return (
        f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-title">'
        f"{heading}{section.body}</section>"
    )


def _tiles(tiles: Sequence[Tile]) -> str:
    cells = [
        f"<div><dt>{escape(tile.name)}</dt>"
        f'<dd class="{"value" if len(tile.value) <= 14 else "value long"}">'
        f'{escape(tile.value)}</dd><dd class="under">{escape(tile.note)}</dd></div>'
        for tile in tiles
    ]
    return f'<dl class="tiles">{"".join(cells)}</dl>' if cells else ""
