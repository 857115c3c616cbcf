"""Reports in a real browser, as wide as a phone, a tablet and a desk: what must be seen is seen."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.cli.table import main
from edge_sdk.tflite.tiny import tiny_classifier
from waiting import PATIENCE_S

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
PHONE, TABLET, DESK = "375", "768", "1200"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOOK = """
const found = {};
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, wide = page.documentElement.clientWidth;
  const cut = {}, captions = page.querySelectorAll("figcaption");
  for (const figure of page.querySelectorAll("figure:has(.scroll)")) {
    const edge = figure.querySelector(".scroll").getBoundingClientRect().right + 0.5;
    cut[figure.querySelector("figcaption").textContent] =
      [...figure.querySelectorAll("thead th")]
        .filter((head) => head.getBoundingClientRect().right > edge)
        .map((head) => head.textContent);
  }
  found[frame.width] = {
    fits: page.documentElement.scrollWidth <= wide,
    captions: [...captions].filter((one) => one.getBoundingClientRect().width)
      .every((one) => one.scrollWidth <= one.clientWidth && one.closest(".scroll") === null),
    cut,
  };
}
document.body.replaceChildren(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"NOT TESTED: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture
def looked_at(browser: str, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """`looked_at(source)`: by width of the window, whether the page and its captions fit into it,
    and by caption which column heads of a table are `cut` off until it is scrolled.
    """

    def look(source: str) -> dict[str, Any]:
        frames = "".join(
            f'<iframe width="{width}" height="900" srcdoc="{html.escape(source)}"></iframe>'
            for width in (PHONE, TABLET, DESK)
        )
        window = tmp_path / "window.html"
        script = f"<script>addEventListener('load', () => {{{LOOK}}})</script>"
        window.write_text(f"<!doctype html><body>{frames}{script}", encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [browser, *options, profile, window.as_uri()],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        body = done.stdout.partition("<body>")[2].partition("</body>")[0]
        found: dict[str, Any] = json.loads(html.unescape(body))
        assert list(found) == [PHONE, TABLET, DESK]
        return found

    return look


def test_a_comparison_says_who_is_dominated_where_it_is_seen(
    tiny_bundle: Make, tmp_path: Path, looked_at: Make
) -> None:
    model = tmp_path / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    model.write_bytes(tiny_classifier())
    line = ["compare", tiny_bundle(), model, "--rounds", "1", "--report", tmp_path / "out"]
    assert main([*map(str, line)]) == 0
    found = looked_at((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert all(one["fits"] and one["captions"] for one in found.values())
    (phone, tablet, desk) = (next(iter(one["cut"].values())) for one in found.values())
    assert not {"Dominated", "Accuracy"} & {*phone, *tablet}
    assert phone, "all seven columns on a phone: is it one?"
    assert not desk


def test_only_a_phone_cuts_off_columns_of_a_run(
    run_page: Make, build_document: Make, looked_at: Make
) -> None:
    found = looked_at(run_page(build_document()).source)
    assert all(one["fits"] and one["captions"] for one in found.values())
    for width in (TABLET, DESK):
        assert not any(found[width]["cut"].values())
