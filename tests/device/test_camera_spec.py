"""Camera SPECs: what they say, and what is said about wrong ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_device.cameras import BACKENDS, check_spec, open_camera
from edge_sdk.errors import ConfigError, EdgeError, NotAvailableYet


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("folder:images", "images"),
        ("folder:my images/täglich", "my images/täglich"),
        ("folder:/数据/图片?fps=5", "/数据/图片"),
        ("folder:100%25/a&b=c", "100%25/a&b=c"),
        ("folder:C:/odd", "C:/odd"),
        ("folder:what?/inside", "what?/inside"),
        ("folder:what?/inside?loop=1", "what?/inside"),
        ("folder:why??", "why?"),
        ("folder:a?fps=5?", "a?fps=5"),
        ("video:film.mp4?rotate=90", "film.mp4"),
        ("synthetic?fps=max", ""),
        ("fake", ""),
    ],
)
def test_addresses_are_literal(text: str, address: str) -> None:
    assert check_spec(text).address == address


def test_every_parameter() -> None:
    spec = check_spec("folder:x?fps=12.5&width=640&height=480&rotate=270&hflip=1&loop=1")
    assert (spec.fps, spec.width, spec.height) == (12.5, 640, 480)
    assert (spec.rotate, spec.hflip, spec.loop) == (270, True, True)
    assert check_spec("fake?fps=max&frames=7").fps == math.inf
    assert check_spec("fake?frames=7").frames == 7
    plain = check_spec("folder:x")
    assert (plain.fps, plain.width, plain.rotate, plain.hflip, plain.loop) == (
        *(None, None),
        *(0, False, False),
    )


@pytest.mark.parametrize("value", ["0", "-1", "abc", "", "nan", "inf", "-inf", "0.0", "1e999"])
def test_fps_that_is_no_rate(value: str) -> None:
    with pytest.raises(ConfigError, match=f"fps is {value!r}") as caught:
        open_camera(f"folder:x?fps={value}")
    assert "fps=30" in caught.value.fix
    assert "fps=max" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "says", "fix"),
    [
        ("folder:x?fsp=30", "unknown parameter 'fsp'", 'did you mean "fps"'),
        ("folder:x?frames=3", "unknown parameter 'frames'", "known: fps, width"),
        ("synthetic?loop=1", "unknown parameter 'loop'", "known: fps, width"),
        ("folder:x?fps=1&fps=2", "fps is given twice", "give fps once"),
        ("folder:x?loop", "loop is ''", "loop=1"),
        ("folder:x?width=0", "width is '0'", "width=1280"),
        ("folder:x?width=99999", "width is '99999'", "1 to 16384"),
        ("folder:x?height=1.5", "height is '1.5'", "height=720"),
        ("folder:x?rotate=45", "rotate is '45'", "0, 90, 180 or 270"),
        ("folder:x?hflip=yes", "hflip is 'yes'", "hflip=1"),
        ("fake?frames=0", "frames is '0'", "frames=100"),
        ("folder:", "does not say which folder", "folder:PATH"),
        ("video?loop=1", "does not say which video", "video:PATH"),
        ("synthetic:here", "synthetic has no address", "write synthetic"),
        ("foldr:x", "unknown camera", 'did you mean "folder"'),
        ("", "unknown camera", "KIND:ADDRESS"),
    ],
)
def test_what_is_said_about_a_wrong_spec(text: str, says: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_camera(text)
    assert says in str(caught.value)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    "text", ["picamera2", "picamera2:1?fps=30", "v4l2:/dev/video0", "rtsp://h/s", "http://h/a.mjpg"]
)
def test_cameras_of_later_versions(text: str) -> None:
    with pytest.raises(NotAvailableYet) as caught:
        open_camera(text)
    assert "folder:" in caught.value.fix


@pytest.mark.parametrize("text", ["x" * 300, "x/" * 3000, "a\x00b"])
def test_a_name_that_no_file_can_have(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown camera") as caught:
        check_spec(text)
    assert "KIND:ADDRESS" in caught.value.fix


def test_a_path_alone_is_told_its_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_camera(str(tmp_path))
    assert caught.value.fix == f"write folder:{tmp_path}"
    film = tmp_path / "film.mp4"
    film.touch()
    with pytest.raises(ConfigError) as caught:
        open_camera(str(film))
    assert caught.value.fix == f"write video:{film}"


@given(st.sampled_from(sorted(BACKENDS)), st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_fix(kind: str, tail: str) -> None:
    try:
        spec = check_spec(kind + tail)
    except EdgeError as error:
        assert error.fix
    else:
        assert spec.fps is None or spec.fps > 0
