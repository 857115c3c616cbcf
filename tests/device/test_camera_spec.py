"""Camera SPECs: what they say, and what is said about wrong ones."""

from __future__ import annotations

import math
import tempfile
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_device import open_camera
from edge_device.cameras.backends import BACKENDS, check_spec
from edge_device.cameras.fake import FakeCamera
from edge_sdk.errors import CameraError, ConfigError, EdgeError
from edge_sdk.specs import masked


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
        ("v4l2:/dev/video0?fps=30", "/dev/video0"),
        ("picamera2", ""),
        ("picamera2:1?width=640", "1"),
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
        ("synthetic:here", "synthetic takes no address", "write synthetic"),
        ("v4l2", "does not say which v4l2", "write v4l2:/dev/video0"),
        ("v4l2:/dev/video0?loop=1", "unknown parameter 'loop'", "known: fps, width"),
        ("picamera2:first", "'first' is not a camera number", "write picamera2:0"),
        ("v4l2:0", "'0' is not a device", "write v4l2:/dev/video0"),
        ("/dev/video9", "does not say its kind", "write v4l2:/dev/video9"),
        ("/dev/null?fps=5", "does not say its kind", "write v4l2:/dev/null?fps=5"),
        ("1", "does not say its kind", "write v4l2:/dev/video1"),
        ("rtsp", "is not a valid URL", "write rtsp://HOST/PATH"),
        ("rtsp://u:p#ss@h/s", "is not a valid URL", "%23 for #"),
        ("rtsp:h/s", "is not a valid URL", "write rtsp://HOST/PATH"),
        ("rtsp:///s", "is not a valid URL", "write rtsp://HOST/PATH"),
        ("http://h:port/a", "is not a valid URL", "write http://HOST/PATH.mjpg"),
        ("http://[::1/a", "is not a valid URL", "write http://HOST/PATH.mjpg"),
        ("rtsp://h/s#fsp=30", "unknown parameter 'fsp'", 'did you mean "fps"'),
        ("rtsp://h/s#fps", "fps is ''", "fps=30"),
        ("rtsps://h/s", "unknown camera", 'did you mean "rtsp"'),
        ("foldr:x", "unknown camera", 'did you mean "folder"'),
        ("", "unknown camera", "KIND:ADDRESS"),
    ],
)
def test_what_is_said_about_a_wrong_spec(text: str, says: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_camera(text)
    assert says in str(caught.value)
    assert fix in caught.value.fix


def test_files_and_folders_in_dev_are_no_devices() -> None:
    """/dev/shm is where images are put that no card should wear out for."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        film = Path(folder) / "film.mp4"
        film.touch()
        for path, kind in ((film, "video"), (film.parent, "folder")):
            with pytest.raises(ConfigError, match="does not say its kind") as caught:
                open_camera(str(path))
            assert caught.value.fix == f"write {kind}:{path}"
    with pytest.raises(ConfigError) as caught:
        open_camera("/dev/null")
    assert caught.value.fix == "write v4l2:/dev/null"


@pytest.mark.parametrize(
    ("text", "url", "fps"),
    [
        ("rtsp://h/s", "rtsp://h/s", None),
        ("rtsp://h:554/s?channel=1&fps=25#fps=10", "rtsp://h:554/s?channel=1&fps=25", 10),
        ("rtsp://h/s?a=b?c#d#fps=10&width=4", "rtsp://h/s?a=b?c#d", 10),
        ("rtsp://h/s#part", "rtsp://h/s#part", None),
        ("rtsp://u:p%23ss@h/s#fps=max", "rtsp://u:p%23ss@h/s", math.inf),
        ("http://[::1]:8080/a.mjpg#", "http://[::1]:8080/a.mjpg", None),
        ("https://h/?loop=1", "https://h/?loop=1", None),
    ],
)
def test_of_a_url_only_what_follows_the_hash_is_ours(
    text: str, url: str, fps: float | None
) -> None:
    spec = check_spec(text)
    assert (spec.address, spec.fps) == (url, fps)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://h/s#fps=10", "rtsp://h/s#fps=10"),
        ("rtsp://eye@h/s", "rtsp://eye@h/s"),
        ("rtsp://eye:s3cret@h/s?x=1#fps=10", "rtsp://eye:***@h/s?x=1#fps=10"),
        ("rtsp://eye:s3c@r/e t@h:554/s", "rtsp://eye:***@h:554/s"),
        ("http://:s3cret@h/a", "http://:***@h/a"),
        ("http://h/a?user=eye&pwd=s3cret&x=1", "http://h/a?user=eye&pwd=***&x=1"),
        ("rtsp://h/user=eye_password=s3cret", "rtsp://h/user=eye_password=***"),
        ("folder:a&password=b", "folder:a&password=b"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    spec = check_spec(text)
    assert spec.text == shown
    assert "s3c" not in repr(spec)
    assert "s3c" not in str(masked(f"cannot open '{text}': refused"))


@pytest.mark.parametrize(
    "text",
    [
        *("rtsp://eye:s3cret@/s", "rtps://eye:s3cret@h/s", "http://eye:s3cret@h:x/a"),
        *("rtsp://eye:s3cret@h/s#fsp=1", "rtsp://eye:s3cret@h/s#fps=1&fps=2"),
        "rtsp://eye:s3cret@h/s#fps=0",
    ],
)
def test_errors_do_not_show_passwords(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_spec(text)
    assert "s3cret" not in f"{caught.value} {caught.value.fix}"
    assert "eye" in str(caught.value)


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


@given(st.lists(st.text("#@/?:&= %'", max_size=3), max_size=4), st.sampled_from(["", "#fps=5"]))
def test_no_error_of_a_camera_shows_a_password(parts: list[str], parameters: str) -> None:
    """Whatever a backend says: it may repeat any piece of the URL."""
    password = "Zq7w" + "".join(part + "Zq7w" for part in parts)
    text = f"http://eye:{password}@127.0.0.1:9/a.mjpg{parameters}"
    try:
        spec = check_spec(text)
    except ConfigError as error:
        raised: EdgeError = error
    else:
        with pytest.raises(CameraError, match="RuntimeError") as caught:
            FakeCamera(spec, [RuntimeError(f"{text} Zq7w {spec.address!r}")]).read()
        raised = caught.value
        assert "Zq7w" not in spec.text + repr(spec)
    assert "Zq7w" not in "".join(traceback.format_exception(raised)).partition("Error: ")[2]
    assert "Zq7w" not in raised.fix


@given(
    st.lists(st.text("#@/?:&= %'", max_size=3), max_size=4),
    st.sampled_from(["v4l2:rtsp://", "v4l2:rtsp:/", "folder:/rtsp://", "folder:/a/http:/"]),
)
def test_a_url_given_as_a_path_shows_no_password(parts: list[str], start: str) -> None:
    """A path has one slash where the URL has two."""
    password = "Zq7w" + "".join(part + "Zq7w" for part in parts)
    with pytest.raises(EdgeError) as caught:
        open_camera(f"{start}eye:{password}@h")
    shown = "".join(traceback.format_exception(caught.value)).partition("Error: ")[2]
    assert "Zq7w" not in shown + caught.value.fix


@pytest.mark.parametrize("kind", ["v4l2", "folder", "video"])
def test_a_path_that_is_not_there_is_named_without_its_password(kind: str) -> None:
    if kind == "video":
        pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    with pytest.raises(EdgeError, match=r"rtsp:/{1,2}eye:\*\*\*@h"):
        open_camera(f"{kind}:/rtsp://eye:s3cret@h")


def test_a_path_with_a_colon_and_an_at_sign_is_shown_as_it_is() -> None:
    assert check_spec("video:/data/10:30@door.mp4").text == "video:/data/10:30@door.mp4"


@pytest.mark.parametrize("password", ["Zq7w#Zq7w", "Zq7w@Zq7w/", "Zq7w?Zq7w", "8#fps=Zq7w", "Zq7w"])
def test_opening_shows_no_password(
    password: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens there: through PyAV, which has the whole URL."""
    pytest.importorskip("av", reason="NOT TESTED: PyAV is not installed")
    with pytest.raises(EdgeError) as caught:
        open_camera(f"rtsp://eye:{password}@127.0.0.1:9/s#fps=5")
    said = "".join([str(caught.value), caught.value.fix, caplog.text, *capfd.readouterr()])
    assert "Zq7w" not in said and "eye:***@127.0.0.1:9" in said
