"""The page of all classes that `edge-sdk capture --review` writes."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from captures import answered
from edge_sdk import Frame
from edge_sdk.images.image_files import write_image
from waiting import PATIENCE_S

Command = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., tuple[str, str]]


def test_a_review_is_one_page_of_all_classes(photos: str, tmp_path: Path, here: Command) -> None:
    write_image(tmp_path / "images" / "old" / "a.png", Frame(np.zeros((8, 8, 3), np.uint8), "bgr"))
    (tmp_path / "images" / "old" / "broken.png").write_bytes(b"no image")
    line = ["--camera", photos, "--label", "<b>open</b>".replace("/", "|"), "--review", "--json"]
    document = answered(here("capture", *line))
    page = (tmp_path / document["review"]).read_text("utf-8")
    assert document["review"] == "images/review.html"
    assert "<b>open" not in page
    text = html.unescape(page)
    assert page.count("<img") == document["captured"] + 1
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    for words in (
        *(Path(name).name for name in document["labels"][0]["files"]),
        "a.png: dark",
        "Unreadable: broken.png.",
        "edge-sdk inspect images",
        "almost the same as the last",
    ):
        assert words in text


@pytest.mark.slow
def test_a_review_in_a_browser(photos: str, tmp_path: Path, here: Command) -> None:
    """Every image is shown, and nothing is wider than a phone."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("NOT TESTED: no chromium is installed")
    line = ["--camera", photos, "--label", "open", "--review", "--json"]
    document = answered(here("capture", *line))
    page = (tmp_path / document["review"]).read_text("utf-8")
    look = (
        "const page = document.querySelector('iframe').contentDocument;"
        "const images = [...page.images];"
        "document.body.replaceChildren(JSON.stringify({"
        "shown: images.filter((one) => one.naturalWidth > 100).length,"
        "fits: page.documentElement.scrollWidth <= page.documentElement.clientWidth}));"
    )
    window = tmp_path / "window.html"
    window.write_text(
        f'<!doctype html><body><iframe width="375" height="900" srcdoc="{html.escape(page)}">'
        f"</iframe><script>addEventListener('load', () => {{{look}}})</script>"
    )
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", window.as_uri()],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    body = done.stdout.partition("<body>")[2].partition("</body>")[0]
    assert json.loads(html.unescape(body)) == {"shown": document["captured"], "fits": True}


def test_a_review_that_cannot_be_written_is_told_after_the_answer(
    photos: str, tmp_path: Path, here: Command, refused: Refused
) -> None:
    (tmp_path / "images" / "review.html").mkdir(parents=True)
    line = ["--camera", photos, "--label", "open", "--review"]
    done = here("capture", *line)
    error, _ = refused(done)
    assert "review.html is a folder" in error
    assert "6 captured" in done.stderr
